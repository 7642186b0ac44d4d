//! The same on the other runtime.

use std::time::Duration;

use redis::AsyncCommands;
use shardwright::ShardErrorKind;

use super::connect;
use super::in_flight;
use crate::failures::DEADLINE;
use crate::failures::builder;
use crate::failures::failure_kind;
use crate::failures::key_of;
use crate::support::redis_server::RedisServer;
use crate::support::stopwatch::TOLERANCE;
use crate::support::stopwatch::timed;

#[test]
fn requests_end_in_time_and_nodes_come_back_on_smol() {
    let Some(mut servers) = RedisServer::start_many(2) else { return };
    let client = builder(servers.iter().map(RedisServer::url)).build().unwrap();
    let keys = ["n0", "n1"].map(|node| key_of(&client, node));
    let mut connection = smol::block_on(connect(&client));
    let () = smol::block_on(connection.mset(&[(&keys[0], "0"), (&keys[1], "1")])).unwrap();
    servers[1].process().stop();
    for _ in 0..3 {
        let (result, took) = timed(|| smol::block_on(connection.mget::<_, ()>(&keys)));
        assert_eq!(failure_kind(result), ShardErrorKind::Deadline);
        assert!(took.excess(DEADLINE) <= TOLERANCE, "{took:?}");
        assert_eq!(smol::block_on(connection.get::<_, String>(&keys[0])).unwrap(), "0");
    }
    // One that is dropped is as if it had not been.
    smol::block_on(smol::future::or(
        async { drop(connection.clone().get::<_, ()>(&keys[1]).await) },
        async {
            smol::Timer::after(Duration::from_millis(10)).await;
        },
    ));
    assert_eq!(in_flight(&client), 0);
    servers[1].process().resume();
    let values: Vec<String> = smol::block_on(connection.mget(&keys)).unwrap();
    assert_eq!(values, ["0", "1"]);
    servers[1].restart();
    // The connection before is lost.
    let _ = smol::block_on(connection.get::<_, Option<String>>(&keys[1]));
    let values: Vec<Option<String>> = smol::block_on(connection.mget(&keys)).unwrap();
    assert_eq!(values, [Some("0".into()), None]);
    assert_eq!(in_flight(&client), 0);
}
