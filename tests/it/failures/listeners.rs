//! Whoever listens to events cannot break what he is told of.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use redis::Commands;
use redis::ConnectionLike;
use redis::Value;
use shardwright::EjectPolicy;
use shardwright::NodeState;

use super::DeadPort;
use super::builder;
use super::failure_kind;
use super::key_of;
use crate::support::eventually;
use crate::support::redis_server::RedisServer;

#[test]
fn a_node_comes_back_although_the_listener_panics() {
    static TOLD: AtomicUsize = AtomicUsize::new(0);
    let Some(mut server) = RedisServer::start() else { return };
    let policy = EjectPolicy::fail_fast()
        .failure_limit(1)
        .retry_timeout(Duration::from_millis(10))
        .max_retry_timeout(Duration::from_millis(20));
    let builder = builder([server.url()]).timeout(Duration::from_secs(5)).eject(policy);
    let builder = builder.listener(|event| {
        TOLD.fetch_add(1, SeqCst);
        panic!("told of {event:?}");
    });
    let client = builder.build().unwrap();
    let mut connection = client.get_connection().unwrap();
    let () = connection.set("key", "value").unwrap();
    server.kill();
    failure_kind(connection.get::<_, ()>("key"));
    assert_ne!(client.node_states()[0].1, NodeState::Live);
    server.restart();
    eventually("it is back", || client.node_states()[0].1 == NodeState::Live);
    assert!(TOLD.load(SeqCst) >= 3, "ejected, probed, reinstated");
    assert_eq!(connection.get::<_, Option<String>>("key").unwrap(), None);
}

#[test]
fn replies_under_way_are_read_although_the_listener_panics() {
    let Some(server) = RedisServer::start() else { return };
    let dead = DeadPort::reserve();
    let policy = EjectPolicy::fail_fast().failure_limit(1);
    let builder = builder([server.url(), dead.url()]).eject(policy);
    let builder = builder.connect_mode(shardwright::ConnectMode::Lazy);
    let client = builder.listener(|event| panic!("told of {event:?}")).build().unwrap();
    let (ours, lost) = (key_of(&client, "n0"), key_of(&client, "n1"));
    let mut connection = client.get_connection().unwrap();
    let () = connection.set(&ours, "value").unwrap();
    for key in [&ours, &lost, &ours] {
        let get = redis::cmd("GET").arg(key).get_packed_command();
        connection.send_packed_command(&get).unwrap();
    }
    assert_eq!(redis::cmd("STRLEN").arg(&ours).query::<i64>(&mut connection).unwrap(), 5);
    let value = || Value::BulkString(b"value".to_vec());
    assert_eq!(connection.recv_response().unwrap(), value());
    failure_kind(connection.recv_response());
    assert_eq!(connection.recv_response().unwrap(), value());
    assert!(connection.is_open());
}
