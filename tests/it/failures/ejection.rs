//! When a node is ejected, and what becomes of its keys.

use std::time::Duration;

use redis::Commands;
use shardwright::EjectPolicy;
use shardwright::NodeState;
use shardwright::ShardErrorKind;

use super::builder;
use super::failure_kind;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::Step;

#[test]
fn a_connection_does_not_make_up_for_requests_that_fail() {
    // It shakes hands and answers nothing. Each request has a connection of its own, as in an application
    // that opens one when it needs one.
    let node = FakeNode::start(|_| vec![Step::Hang]);
    let timeout = Duration::from_millis(30);
    let policy = EjectPolicy::fail_fast().failure_limit(3);
    let client = builder([node.url()]).timeout(timeout).eject(policy).build().unwrap();
    for _ in 0..3 {
        assert_eq!(client.node_states()[0].1, NodeState::Live);
        let mut connection = client.get_connection().unwrap();
        assert_eq!(failure_kind(connection.get::<_, ()>("key")), ShardErrorKind::Deadline);
    }
    assert_eq!(client.node_states()[0].1, NodeState::Ejected);
}
