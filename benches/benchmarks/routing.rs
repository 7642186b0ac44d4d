//! From a key to a node: the hash tag, the hash and the ring in one.

use std::sync::Arc;

use shardwright::HashTag;
use shardwright::Topology;

use super::List;
use super::inputs::Key;
use super::inputs::SIZES;
use super::inputs::keys;
use super::inputs::topology;
use super::picking::binary_search;

pub(super) fn add_to(list: &mut List<'_>) {
    for count in SIZES {
        add_routing(list, format!("route/{count}"), || topology(count));
    }
    let tag = HashTag::new(b'{', b'}');
    add_routing(list, "route/4/tagged".to_owned(), || topology(4).with_hash_tag(tag));
}

/// Keys without a tag, so that a tag costs the search for it.
fn add_routing(list: &mut List<'_>, name: String, topology: impl FnOnce() -> Topology) {
    list.add_pair(name, || {
        let router = topology().router();
        let search = binary_search(Arc::clone(router.ring().expect("nothing is ejected")));
        let route = move |key: &Key| match router.node_for_key(key) {
            Some(node) => node.index() as u32,
            None => u32::MAX,
        };
        (keys(), route, move |key: &Key| search(&fnv1a_64(key)))
    });
}

/// For the bytes of ASCII.
fn fnv1a_64(key: &[u8]) -> u32 {
    key.iter().fold(0x8422_2325, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x1b3))
}
