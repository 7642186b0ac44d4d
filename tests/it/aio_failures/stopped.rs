//! A node that hangs delays nobody who wants something of another one.

use std::time::Duration;
use std::time::Instant;

use futures_util::future::join_all;
use redis::AsyncCommands;
use redis::aio::ConnectionLike;
use shardwright::ConnectMode;
use shardwright::ShardErrorKind;
use shardwright::ShardedClient;
use shardwright::ShardedMultiplexedConnection;

use super::connect;
use super::in_flight;
use super::timing::eventually;
use super::timing::in_time;
use super::timing::run;
use super::timing::timed;
use crate::failures::DEADLINE;
use crate::failures::builder;
use crate::failures::connecting::Blackhole;
use crate::failures::failure;
use crate::failures::failure_kind;
use crate::failures::key_of;
use crate::failures::keys_of;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::Step;
use crate::support::redis_server::RedisServer;
use crate::support::stopwatch::TOLERANCE;

/// What another node's GET may take, in the middle.
const QUICK: Duration = Duration::from_millis(5);
const GETS: usize = 400;

/// How long GETs of `key` take: the one in the middle, and the one that nine of ten are not longer than.
async fn look(connection: &ShardedMultiplexedConnection, key: &str) -> [Duration; 2] {
    let mut connection = connection.clone();
    // What is looked at is how long it takes, and a machine that stands still may take it once.
    connection.set_response_timeout(Duration::from_secs(5));
    let mut times = Vec::with_capacity(GETS);
    for _ in 0..GETS {
        let start = Instant::now();
        let _: Option<String> = connection.get(key).await.unwrap();
        times.push(start.elapsed());
        tokio::time::sleep(Duration::from_micros(500)).await;
    }
    times.sort();
    [times[GETS / 2], times[GETS * 9 / 10]]
}

/// Asserts that GETs of a node that is well are quick: the one in the middle as it is, and nine of ten but
/// for what they took `before`, on a machine that others use too.
fn assert_quick([median, tenth]: [Duration; 2], before: [Duration; 2], what: &str) {
    println!("{what}: median {median:?}, 90 % {tenth:?}; before {before:?}");
    assert!(median < QUICK, "{what}: {median:?}, before {before:?}");
    assert!(tenth < QUICK + before[1], "{what}: {tenth:?}, before {before:?}");
}

/// Tasks that keep asking the node that hangs, a hundred at a time.
fn besiege(
    connection: &ShardedMultiplexedConnection,
    key: &str,
) -> tokio::task::JoinSet<ShardErrorKind> {
    (0..300)
        .map(|number| {
            let (mut connection, key) = (connection.clone(), key.to_owned());
            async move {
                tokio::time::sleep(DEADLINE / 3 * (number % 3)).await;
                let mut kinds = Vec::new();
                for _ in 0..5 {
                    let result = in_time(DEADLINE, connection.get::<_, ()>(&key)).await;
                    kinds.push(failure_kind(result));
                }
                assert!(kinds.iter().all(|kind| *kind == ShardErrorKind::Deadline), "{kinds:?}");
                kinds[0]
            }
        })
        .collect()
}

async fn others_are_quick(client: &ShardedClient, what: &str, stop: impl FnOnce()) {
    let connection = connect(client).await;
    let (hung, well) = (key_of(client, "n0"), key_of(client, "n1"));
    let before = look(&connection, &well).await;
    stop();
    let mut one = connection.clone();
    let waiting = one.get::<_, ()>(&hung);
    let (kind, alone) = tokio::join!(waiting, look(&connection, &well));
    assert_eq!(failure_kind(kind), ShardErrorKind::Deadline);
    assert_quick(alone, before, &format!("{what}, one waits"));
    let siege = besiege(&connection, &hung);
    let besieged = look(&connection, &well).await;
    assert_quick(besieged, before, &format!("{what}, hundreds wait"));
    assert_eq!(siege.join_all().await.len(), 300);
    assert_eq!(in_flight(client), 0);
}

#[test]
fn a_node_that_is_stopped_delays_no_other() {
    let Some(servers) = RedisServer::start_many(2) else { return };
    let client = builder(servers.iter().map(RedisServer::url)).build().unwrap();
    run(others_are_quick(&client, "stopped", || servers[0].process().stop()));
    servers[0].process().resume();
}

#[test]
fn a_node_that_hangs_in_the_handshake_delays_no_other() {
    let Some(server) = RedisServer::start() else { return };
    let node = FakeNode::start_rude(|_| vec![Step::Hang]);
    let client = builder([node.url(), server.url()]).connect_mode(ConnectMode::Lazy);
    run(others_are_quick(&client.build().unwrap(), "handshake", || {}));
}

#[test]
fn a_node_that_cannot_be_connected_to_delays_no_other() {
    let Some(server) = RedisServer::start() else { return };
    let blackhole = Blackhole::open();
    let client = builder([blackhole.url(), server.url()]).connect_mode(ConnectMode::Lazy);
    run(others_are_quick(&client.build().unwrap(), "connect", || {}));
}

#[test]
fn thousands_of_requests_to_a_stopped_node_end_in_time_and_it_serves_again() {
    const TASKS: u32 = 3000;
    const LIMIT: Duration = Duration::from_millis(600);
    let Some(servers) = RedisServer::start_many(4) else { return };
    let client = builder(servers.iter().map(RedisServer::url)).timeout(LIMIT).build().unwrap();
    run(async {
        let mut connection = connect(&client).await;
        let keys: Vec<_> = (0..4).map(|node| key_of(&client, &format!("n{node}"))).collect();
        let () =
            connection.mset(&keys.iter().map(|key| (key, key)).collect::<Vec<_>>()).await.unwrap();
        let hung: Vec<_> = keys_of(&client, "n2").take(20).collect();
        servers[2].process().stop();
        let tasks = (0..TASKS).map(|number| {
            let mut connection = connection.clone();
            let key = hung[number as usize % hung.len()].clone();
            let keys = keys.clone();
            tokio::spawn(async move {
                tokio::time::sleep(LIMIT / 2 * number / TASKS).await;
                let (result, took) = match number % 3 {
                    0 => timed(connection.get::<_, Option<String>>(&key)).await,
                    1 => {
                        let (result, took) = timed(connection.mget::<_, Vec<String>>(&keys)).await;
                        (result.map(|_| None), took)
                    }
                    _ => {
                        let pipeline = redis::pipe().get(&keys[0]).get(&key).to_owned();
                        let (result, took) =
                            timed(pipeline.query_async::<Vec<Option<String>>>(&mut connection))
                                .await;
                        (result.map(|_| None), took)
                    }
                };
                let error = failure(result);
                // When the first one's time is up its connection goes, and who comes then waits for another.
                assert_eq!((error.kind(), error.node()), (ShardErrorKind::Deadline, Some("n2")));
                let excess = took.excess(LIMIT);
                assert!(excess <= TOLERANCE, "{excess:?} longer: {took:?}");
                (took.wall(), excess)
            })
        });
        let tasks: Vec<_> = tasks.collect();
        let mut most = 0;
        while !tasks.iter().all(tokio::task::JoinHandle::is_finished) {
            most = most.max(in_flight(&client));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let times: Vec<_> = join_all(tasks).await.into_iter().map(Result::unwrap).collect();
        let longest = times.iter().map(|(wall, _)| *wall).max();
        let excess = times.iter().map(|(_, excess)| *excess).max();
        println!("{most} in flight; longest {longest:?} of {LIMIT:?}, excess {excess:?}");
        assert!(most > 2000, "only {most} were under way at the same time");
        assert_eq!(in_flight(&client), 0);
        servers[2].process().resume();
        eventually("it answers", || true).await;
        for _ in 0..50 {
            let values: Vec<String> = in_time(LIMIT, connection.mget(&keys)).await.unwrap();
            assert_eq!(values, keys);
        }
        let pong = connection.req_packed_command(&redis::cmd("PING")).await.unwrap();
        assert_eq!(pong, redis::Value::SimpleString("PONG".into()));
    });
}
