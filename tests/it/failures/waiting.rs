//! Commands that wait on the server: their own time comes on top of the deadline, whichever way they go.

use std::time::Duration;

use redis::Cmd;
use redis::Commands;
use redis::ConnectionLike;
use redis::RedisResult;
use redis::Value;
use shardwright::EjectPolicy;
use shardwright::NodeState;
use shardwright::ShardErrorKind;
use shardwright::ShardedConnection;

use super::DEADLINE;
use super::builder;
use super::failure_kind;
use crate::support::redis_server::RedisServer;
use crate::support::stopwatch::in_time;

fn blpop(list: &str, time: Duration) -> Cmd {
    redis::cmd("BLPOP").arg(list).arg(time.as_secs_f64()).to_owned()
}

type Ask = fn(&mut ShardedConnection, Duration) -> RedisResult<Value>;

/// Ways to wait for `time` as a whole.
const WAYS: [Ask; 8] = [
    |connection, time| blpop("list", time).query(connection),
    |connection, time| connection.req_packed_command(&blpop("list", time).get_packed_command()),
    |connection, time| {
        // One behind the other.
        let halves = [blpop("list", time / 2), blpop("list", time / 2)];
        let pipeline = halves.into_iter().fold(redis::Pipeline::new(), |mut pipeline, half| {
            pipeline.add_command(half);
            pipeline
        });
        pipeline.query(connection).map(|[_, last]: [Value; 2]| last)
    },
    |connection, time| {
        connection.send_packed_command(&blpop("list", time).get_packed_command())?;
        connection.recv_response()
    },
    |connection, time| connection.on_node("n0", |node| blpop("list", time).query(node)),
    |connection, time| connection.on_key("list", |node| blpop("list", time).query(node)),
    |connection, time| {
        let packed = blpop("list", time).get_packed_command();
        connection.on_node("n0", |node| node.req_packed_command(&packed))
    },
    |connection, time| {
        let halves = blpop("list", time / 2).get_packed_command().repeat(2);
        connection.on_node("n0", |node| {
            node.req_packed_commands(&halves, 0, 2).map(|replies| replies[1].clone())
        })
    },
];

#[test]
fn the_time_that_a_command_waits_is_its_own() {
    let Some(server) = RedisServer::start() else { return };
    let client = builder([server.url()]).build().unwrap();
    let mut connection = client.get_connection().unwrap();
    let own = 2 * DEADLINE;
    for (way, ask) in WAYS.into_iter().enumerate() {
        let reply = in_time(DEADLINE + own, || ask(&mut connection, own));
        assert_eq!(reply, Ok(Value::Nil), "way {way}");
    }
    assert_eq!(client.metrics()[0].failures, 0);
}

#[test]
fn a_node_that_hangs_gets_no_more_than_deadline_and_waiting() {
    let Some(server) = RedisServer::start() else { return };
    let policy = EjectPolicy::fail_fast().failure_limit(1);
    let client = builder([server.url()]).eject(policy).build().unwrap();
    let own = DEADLINE / 2;
    for (way, ask) in WAYS.into_iter().enumerate() {
        let mut connection = client.get_connection().unwrap();
        let () = connection.del("list").unwrap();
        server.process().stop();
        let result = in_time(DEADLINE + own, || ask(&mut connection, own));
        assert_eq!(failure_kind(result), ShardErrorKind::Deadline, "way {way}");
        assert_eq!(client.node_states()[0].1, NodeState::Live, "it may have waited: way {way}");
        server.process().resume();
    }
    // On a node alone, too, what does not wait has our time and counts.
    let mut connection = client.get_connection().unwrap();
    let () = connection.del("list").unwrap();
    server.process().stop();
    let get = || connection.on_node("n0", |node| node.get::<_, ()>("key"));
    assert_eq!(failure_kind(in_time(DEADLINE, get)), ShardErrorKind::Deadline);
    assert_eq!(client.node_states()[0].1, NodeState::Ejected);
    server.process().resume();
}
