//! Channels over several nodes.

use std::collections::BTreeSet;
use std::time::Duration;
use std::time::Instant;

use redis::Commands;
use redis::RedisResult;
use redis::Value;
use shardwright::NodeConfig;
use shardwright::ShardErrorKind;
use shardwright::ShardedPubSub;

use super::pool::Pool;
use super::pool::ask;
use super::pool::clients;
use super::pool::kind;
use super::pool::say;
use super::pool::shard_error;
use crate::support::eventually;

const SOON: Duration = Duration::from_millis(30);

/// The next message as `channel payload`, which must come.
fn next(pubsub: &mut ShardedPubSub<'_>) -> String {
    let message = pubsub.get_message().unwrap();
    format!("{} {}", message.get_channel_name(), message.get_payload::<String>().unwrap())
}

/// That none is left to come.
fn is_silent(pubsub: &mut ShardedPubSub<'_>) -> bool {
    pubsub.set_read_timeout(Some(SOON)).unwrap();
    let result = pubsub.get_message();
    pubsub.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    matches!(result, Err(error) if error.is_timeout())
}

fn subscribers(pool: &Pool, channel: &str) -> Vec<i64> {
    let number = |server| {
        let mut command = redis::cmd("PUBSUB");
        command.arg("NUMSUB").arg(channel);
        command.query::<(String, i64)>(&mut pool.direct(server)).unwrap().1
    };
    (0..pool.servers.len()).map(number).collect()
}

fn patterns(pool: &Pool) -> Vec<String> {
    (0..pool.servers.len()).map(|server| say(&mut pool.direct(server), "PUBSUB NUMPAT")).collect()
}

#[test]
fn publishers_and_subscribers_of_a_channel_meet_on_its_node() {
    let Some(pool) = Pool::start(3) else { return };
    let (mut con, mut publisher) = (pool.connection(), pool.connection());
    let mut pubsub = con.as_pubsub();
    let channels = pool.keys();
    pubsub.subscribe(&channels).unwrap();
    for (server, channel) in channels.iter().enumerate() {
        let mut expected = [0; 3];
        expected[server] = 1;
        assert_eq!(subscribers(&pool, channel), expected);
        assert_eq!(publisher.publish::<_, _, i64>(channel, "hello").unwrap(), 1);
        assert_eq!(next(&mut pubsub), format!("{channel} hello"));
    }
    // Twice is once.
    pubsub.subscribe(&channels).unwrap();
    assert_eq!(publisher.publish::<_, _, i64>(&channels[1], "again").unwrap(), 1);
    assert_eq!(next(&mut pubsub), format!("{} again", channels[1]));
    assert!(is_silent(&mut pubsub));
    // Many from one publisher come in order.
    let mut pipe = redis::pipe();
    for number in 0..500 {
        pipe.publish(&channels[2], number);
    }
    assert_eq!(pipe.query::<Vec<i64>>(&mut publisher).unwrap(), [1; 500]);
    for number in 0..500 {
        assert_eq!(next(&mut pubsub), format!("{} {number}", channels[2]));
    }
    pubsub.unsubscribe(&channels[0]).unwrap();
    assert_eq!(publisher.publish::<_, _, i64>(&channels[0], "nobody").unwrap(), 0);
    pubsub.unsubscribe(&[] as &[&str]).unwrap();
    assert_eq!(publisher.publish::<_, _, i64>(&channels[2], "nobody").unwrap(), 0);
    assert!(is_silent(&mut pubsub));
}

#[test]
fn a_pattern_is_listened_to_on_all_nodes_and_each_message_comes_once() {
    let Some(pool) = Pool::start(3) else { return };
    let (mut con, mut publisher) = (pool.connection(), pool.connection());
    let mut pubsub = con.as_pubsub();
    pubsub.psubscribe("*key").unwrap();
    pubsub.psubscribe(&["*key", "none*"]).unwrap();
    assert_eq!(patterns(&pool), ["2", "2", "2"]);
    for channel in pool.keys() {
        assert_eq!(publisher.publish::<_, _, i64>(&channel, "x").unwrap(), 1);
        let message = pubsub.get_message().unwrap();
        assert_eq!(message.get_channel_name(), channel);
        assert_eq!(message.get_pattern::<String>().unwrap(), "*key");
    }
    assert!(is_silent(&mut pubsub));
    // Both ways at once is two messages, as on one server.
    let channel = pool.key_on(1, 0);
    pubsub.subscribe(&channel).unwrap();
    assert_eq!(publisher.publish::<_, _, i64>(&channel, "y").unwrap(), 2);
    let both = [pubsub.get_message().unwrap(), pubsub.get_message().unwrap()];
    assert_eq!(both.iter().filter(|message| message.from_pattern()).count(), 1);
    pubsub.punsubscribe("*key").unwrap();
    assert_eq!(patterns(&pool), ["1", "1", "1"]);
    assert_eq!(publisher.publish::<_, _, i64>(&channel, "z").unwrap(), 1);
    assert_eq!(next(&mut pubsub), format!("{channel} z"));
}

#[test]
fn each_node_announces_its_own_keys() {
    let Some(pool) = Pool::start(3) else { return };
    let (mut con, mut writer) = (pool.connection(), pool.connection());
    assert_eq!(say(&mut writer, "CONFIG SET notify-keyspace-events KEA"), "OK");
    let mut pubsub = con.as_pubsub();
    pubsub.subscribe("__keyevent@0__:set").unwrap();
    for key in pool.keys() {
        let () = writer.set(&key, 1).unwrap();
        assert_eq!(next(&mut pubsub), format!("__keyevent@0__:set {key}"));
    }
    pubsub.unsubscribe(&[] as &[&str]).unwrap();
    pubsub.psubscribe("__keyspace@*:*key").unwrap();
    for key in pool.keys() {
        let () = writer.del(&key).unwrap();
        assert_eq!(next(&mut pubsub), format!("__keyspace@0__:{key} del"));
    }
}

#[test]
fn a_node_that_fails_is_said_once_and_listened_to_again() {
    let Some(mut pool) = Pool::start(3) else { return };
    let (mut con, mut publisher) = (pool.connection(), pool.connection());
    let mut pubsub = con.as_pubsub();
    let channels = pool.keys();
    pubsub.subscribe(&channels).unwrap();
    pubsub.psubscribe("p*").unwrap();
    pool.servers[1].kill();
    let error = pubsub.get_message().unwrap_err();
    let error = shard_error(&error);
    assert_eq!((error.kind(), error.node()), (ShardErrorKind::Node, Some("n1")));
    // The others go on, and it is not said again while the node is down.
    for channel in [&channels[0], &channels[2]] {
        assert_eq!(publisher.publish::<_, _, i64>(channel, "x").unwrap(), 1);
        assert_eq!(next(&mut pubsub), format!("{channel} x"));
    }
    assert!(is_silent(&mut pubsub));
    pool.servers[1].restart();
    pubsub.set_read_timeout(Some(SOON)).unwrap();
    eventually("it listens again", || {
        assert!(pubsub.get_message().unwrap_err().is_timeout(), "said once");
        subscribers(&pool, &channels[1])[1] == 1 && patterns(&pool)[1] == "1"
    });
    pubsub.set_read_timeout(None).unwrap();
    super::pool::rest();
    assert_eq!(publisher.publish::<_, _, i64>(&channels[1], "back").unwrap(), 1);
    assert_eq!(next(&mut pubsub), format!("{} back", channels[1]));
}

#[test]
fn a_subscription_that_a_dead_node_does_not_confirm_fails_and_is_kept() {
    let Some(mut pool) = Pool::start(2) else { return };
    let (mut con, mut publisher) = (pool.connection(), pool.connection());
    let channels = pool.keys();
    pool.servers[1].kill();
    let mut pubsub = con.as_pubsub();
    assert_eq!(kind(pubsub.subscribe(&channels)), ShardErrorKind::Node);
    assert_eq!(publisher.publish::<_, _, i64>(&channels[0], "x").unwrap(), 1);
    assert_eq!(next(&mut pubsub), format!("{} x", channels[0]));
    pool.servers[1].restart();
    pubsub.set_read_timeout(Some(SOON)).unwrap();
    eventually("it listens", || {
        let _ = pubsub.get_message();
        subscribers(&pool, &channels[1])[1] == 1
    });
}

#[test]
fn the_read_timeout_bounds_the_wait_for_a_message() {
    let Some(pool) = Pool::start(2) else { return };
    let (mut con, mut publisher) = (pool.connection(), pool.connection());
    let mut pubsub = con.as_pubsub();
    // Even of nothing: redis-rs waits for a server that would not say anything either.
    for channels in [vec![], pool.keys()] {
        if !channels.is_empty() {
            pubsub.subscribe(&channels).unwrap();
        }
        pubsub.set_read_timeout(Some(Duration::from_millis(120))).unwrap();
        let start = Instant::now();
        let error = pubsub.get_message().unwrap_err();
        assert!(start.elapsed() >= Duration::from_millis(120), "{:?}", start.elapsed());
        assert!(error.is_timeout() && error.is_io_error(), "{error}");
    }
    assert!(pubsub.set_read_timeout(Some(Duration::ZERO)).is_err());
    // It can be called again, and is about messages only.
    let channel = pool.key_on(0, 0);
    let () = publisher.publish(&channel, "x").unwrap();
    assert_eq!(next(&mut pubsub), format!("{channel} x"));
}

#[test]
fn a_dropped_subscription_leaves_nothing_behind() {
    let Some(pool) = Pool::start(3) else { return };
    let mut con = pool.connection();
    for server in 0..3 {
        assert_eq!(say(&mut con, &format!("SET {} 1", pool.key_on(server, 0))), "OK");
    }
    let before: Vec<_> = (0..3).map(|server| clients(&mut pool.direct(server))).collect();
    for _ in 0..5 {
        let mut pubsub = con.as_pubsub();
        pubsub.psubscribe("*").unwrap();
        pubsub.subscribe(&["a", "b", "c"]).unwrap();
        // Messages that nobody fetched.
        let () = pool.connection().publish("a", "unread").unwrap();
        drop(pubsub);
        assert_eq!(con.mget::<_, Vec<i64>>(&pool.keys()).unwrap(), [1, 1, 1]);
    }
    eventually("its connections are closed", || {
        let now = (0..3).map(|server| clients(&mut pool.direct(server)));
        patterns(&pool) == ["0", "0", "0"] && now.eq(before.iter().copied())
    });
    // Nor does it wait for a node that hangs.
    pool.servers[1].process().stop();
    let mut pubsub = con.as_pubsub();
    assert!(is_silent(&mut pubsub));
    drop(pubsub);
    pool.servers[1].process().resume();
    assert_eq!(con.mget::<_, Vec<i64>>(&pool.keys()).unwrap(), [1, 1, 1]);
}

#[test]
fn a_subscription_to_a_node_that_hangs_ends_at_the_timeout() {
    let timeout = Duration::from_millis(500);
    let Some(pool) = Pool::start_with(2, |builder| builder.timeout(timeout)) else { return };
    let (mut con, mut publisher) = (pool.connection(), pool.connection());
    let channels = pool.keys();
    let () = publisher.publish(&channels[0], "warm").unwrap();
    pool.servers[1].process().stop();
    let mut pubsub = con.as_pubsub();
    let start = Instant::now();
    let error = shard_error(&pubsub.subscribe(&channels).unwrap_err());
    assert!(start.elapsed() >= timeout);
    assert_eq!((error.kind(), error.node()), (ShardErrorKind::Deadline, Some("n1")));
    assert_eq!(publisher.publish::<_, _, i64>(&channels[0], "x").unwrap(), 1);
    pubsub.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(next(&mut pubsub), format!("{} x", channels[0]));
    drop(pubsub);
    pool.servers[1].process().resume();
}

#[test]
fn a_ping_is_answered_in_between() {
    let Some(pool) = Pool::start(2) else { return };
    let (mut con, mut publisher) = (pool.connection(), pool.connection());
    let mut pubsub = con.as_pubsub();
    assert_eq!(pubsub.ping::<String>().unwrap(), "PONG");
    let channel = pool.key_on(1, 0);
    pubsub.subscribe(&channel).unwrap();
    let () = publisher.publish(&channel, "before").unwrap();
    let pong: Value = pubsub.ping_message("hello").unwrap();
    assert!(format!("{pong:?}").contains("hello"), "{pong:?}");
    assert_eq!(next(&mut pubsub), format!("{channel} before"));
}

#[test]
fn channels_of_shards_are_published_where_they_hash_to() {
    let Some(pool) = Pool::start(3) else { return };
    let mut con = pool.connection();
    for (server, channel) in pool.keys().iter().enumerate() {
        assert_eq!(say(&mut con, &format!("SPUBLISH {channel} x")), "0");
        assert_eq!(pool.calls(server, "spublish"), 1);
    }
    // To listen to them has no method in redis-rs either; by hand it would take over a link.
    for word in ["SSUBSCRIBE", "SUBSCRIBE", "PSUBSCRIBE", "SUNSUBSCRIBE"] {
        let error = ask(&mut con, &format!("{word} channel")).unwrap_err();
        assert!(error.to_string().contains("as_pubsub"), "{error}");
    }
    assert_eq!(say(&mut con, "PUBSUB SHARDCHANNELS"), "[]");
}

#[test]
fn a_subscription_follows_the_topology() {
    let Some(pool) = Pool::start(3) else { return };
    let (mut con, mut publisher) = (pool.connection(), pool.connection());
    let nodes = pool.client.to_builder().configured_nodes().to_vec();
    let channel = pool.key_on(2, 0);
    pool.client.set_nodes(nodes[..2].to_vec()).unwrap();
    let mut pubsub = con.as_pubsub();
    pubsub.subscribe(&channel).unwrap();
    pubsub.psubscribe("p*").unwrap();
    assert_eq!(subscribers(&pool, &channel).iter().sum::<i64>(), 1);
    assert_eq!(patterns(&pool), ["1", "1", "0"]);
    pool.client.set_nodes(nodes).unwrap();
    pubsub.set_read_timeout(Some(SOON)).unwrap();
    eventually("it moved to the new node", || {
        let _ = pubsub.get_message().map(|message| panic!("{message:?}"));
        subscribers(&pool, &channel) == [0, 0, 1] && patterns(&pool) == ["1", "1", "1"]
    });
    assert_eq!(publisher.publish::<_, _, i64>(&channel, "moved").unwrap(), 1);
    assert_eq!(next(&mut pubsub), format!("{channel} moved"));
    // A node that went is not listened to any more.
    let gone: Vec<NodeConfig> = pool.client.to_builder().configured_nodes()[1..].to_vec();
    pool.client.set_nodes(gone).unwrap();
    eventually("its connection is closed", || {
        let _ = pubsub.get_message();
        patterns(&pool) == ["0", "1", "1"]
    });
}

#[test]
fn a_message_is_bytes() {
    let Some(pool) = Pool::start(2) else { return };
    let (mut con, mut publisher) = (pool.connection(), pool.connection());
    let mut pubsub = con.as_pubsub();
    let channel = b"\xff\r\n\0*".to_vec();
    pubsub.subscribe(&channel).unwrap();
    let payload: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let () = publisher.publish(&channel, &payload).unwrap();
    let message = pubsub.get_message().unwrap();
    assert_eq!(message.get_channel::<Vec<u8>>().unwrap(), channel);
    assert!(message.get_payload_bytes() == payload);
    let heard: RedisResult<BTreeSet<Vec<u8>>> =
        redis::cmd("PUBSUB").arg("CHANNELS").query(&mut publisher);
    assert_eq!(heard.unwrap(), BTreeSet::from([channel]));
}

#[test]
fn the_read_timeout_of_a_connection_is_that_of_its_messages() {
    let Some(pool) = Pool::start_with(2, |builder| builder.timeout(Duration::from_secs(20))) else {
        return;
    };
    let mut con = pool.connection();
    con.set_read_timeout(Some(SOON)).unwrap();
    let mut pubsub = con.as_pubsub();
    // Without a channel: a subscription could be late.
    assert!(pubsub.get_message().unwrap_err().is_timeout());
}
