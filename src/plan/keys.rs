//! Keys that are each asked for by themselves, by node.

use crate::node::NodeId;
use crate::topology::Router;
use crate::topology::Unroutable;

/// The keys of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyFragment {
    pub(crate) node: NodeId,
    /// Which of the keys these are, in ascending order.
    pub(crate) places: Vec<usize>,
}

/// Which node each key belongs to, by node id; and the keys that have none.
pub(crate) fn scatter_keys<'k>(
    keys: impl ExactSizeIterator<Item = &'k [u8]>,
    router: &Router,
) -> (Vec<KeyFragment>, Vec<(usize, Unroutable)>) {
    let mut by_node: Vec<Vec<usize>> = vec![Vec::new(); router.nodes().len()];
    let mut homeless = Vec::new();
    router.route_many(keys, |place, node| match node {
        Ok(node) => by_node[node.index()].push(place),
        Err(why) => homeless.push((place, why)),
    });
    let fragment = |(index, places): (usize, Vec<usize>)| {
        Some(KeyFragment { node: NodeId::new(index)?, places }).filter(|it| !it.places.is_empty())
    };
    (by_node.into_iter().enumerate().filter_map(fragment).collect(), homeless)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::EjectPolicy;
    use crate::node::Node;
    use crate::topology::Topology;

    fn router() -> Router {
        let nodes = (0..4).map(|index| format!("10.0.0.{index}:11211:1").parse().unwrap());
        let nodes: Vec<Node> = nodes.collect();
        Topology::new(nodes).unwrap().with_eject_policy(EjectPolicy::fail_fast()).router()
    }

    #[test]
    fn every_key_is_in_the_fragment_of_its_node() {
        let router = router();
        let keys: Vec<_> = (0..99).map(|number| format!("key:{number}").into_bytes()).collect();
        let (fragments, homeless) = scatter_keys(keys.iter().map(Vec::as_slice), &router);
        assert!(homeless.is_empty());
        assert_eq!(fragments.iter().map(|it| it.places.len()).sum::<usize>(), 99);
        assert!(fragments.windows(2).all(|pair| pair[0].node < pair[1].node));
        for KeyFragment { node, places } in fragments {
            assert!(places.windows(2).all(|pair| pair[0] < pair[1]));
            assert!(places.iter().all(|&place| router.route(&keys[place]) == Ok(node)));
        }
    }

    #[test]
    fn keys_of_an_ejected_node_that_keeps_them_have_no_node() {
        let router = router();
        let out = router.route(b"key:0").unwrap();
        let router = router.with_ejected(&[out].into_iter().collect());
        let keys: Vec<_> = (0..40).map(|number| format!("key:{number}").into_bytes()).collect();
        let (fragments, homeless) = scatter_keys(keys.iter().map(Vec::as_slice), &router);
        assert!(fragments.iter().all(|it| it.node != out));
        assert_eq!(homeless[0], (0, Unroutable::Ejected(out)));
        assert_eq!(homeless.len() + fragments.iter().map(|it| it.places.len()).sum::<usize>(), 40);
    }
}
