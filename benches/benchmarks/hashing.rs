//! The hash functions.

use std::sync::Arc;

use shardwright::HashFn;
use shardwright::HashKind;

use super::List;
use super::inputs::Key;
use super::inputs::keys;
use super::overlapping;

/// The hashes of all keys added up. That the functions are nutcracker's, `tests/it/golden.rs` shows.
const SUMS: [(HashKind, u64); 12] = [
    (HashKind::OneAtATime, 35_233_318_220_498),
    (HashKind::Md5, 35_185_857_740_769),
    (HashKind::Crc16, 35_302_844_616_054),
    (HashKind::Crc32, 268_332_322),
    (HashKind::Crc32a, 35_094_399_891_179),
    (HashKind::Fnv1_64, 35_176_585_038_965),
    (HashKind::Fnv1a64, 35_235_715_650_631),
    (HashKind::Fnv1_32, 34_834_403_982_837),
    (HashKind::Fnv1a32, 35_254_579_392_423),
    (HashKind::Hsieh, 34_672_720_069_948),
    (HashKind::Murmur, 35_189_544_368_147),
    (HashKind::Jenkins, 35_197_560_716_518),
];

pub(super) fn add_to(list: &mut List<'_>) {
    for (kind, sum) in SUMS {
        list.add_pair(format!("hash/{kind}"), || {
            let keys = keys();
            assert_eq!(overlapping(&keys, |key| kind.hash(key)), sum, "{kind}");
            // As a router has it: called through a pointer.
            let hash: Arc<dyn HashFn> = Arc::new(kind);
            (keys, move |key: &Key| hash.hash(key), move |key: &Key| kind.hash(key))
        });
    }
    list.add_pair("hash_four/fnv1a_64".to_owned(), || {
        let keys = keys();
        let (fours, _) = keys.as_chunks();
        let hash: Arc<dyn HashFn> = Arc::new(HashKind::Fnv1a64);
        let together =
            move |keys: &[Key; 4]| sum(hash.hash_four(keys.each_ref().map(|key| &key[..])));
        let alone = |keys: &[Key; 4]| sum(keys.map(|key| HashKind::Fnv1a64.hash(&key)));
        (fours.into(), together, alone)
    });
}

fn sum(hashes: [u32; 4]) -> u32 {
    hashes.into_iter().fold(0, u32::wrapping_add)
}
