//! Subscriptions that a node does not keep, or keeps too well.

use std::time::Duration;

use redis::Commands;
use redis::RedisError;
use redis::RedisResult;
use shardwright::ConnectMode;
use shardwright::EjectPolicy;
use shardwright::NodeState;
use shardwright::ShardErrorKind;
use shardwright::ShardedClient;
use shardwright::ShardedPubSub;

use super::DEADLINE;
use super::builder;
use super::failure_kind;
use super::key_of;
use super::keys_of;
use crate::support::eventually;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::Step;
use crate::support::redis_server::RedisServer;
use crate::support::stopwatch::in_time;

const LONG: Duration = Duration::from_secs(20);

fn direct(server: &RedisServer) -> redis::Connection {
    redis::Client::open(server.url()).unwrap().get_connection().unwrap()
}

/// How many listen to `channel` on `server`.
fn subscribers(server: &RedisServer, channel: &str) -> i64 {
    let command = redis::cmd("PUBSUB").arg(&["NUMSUB", channel]).to_owned();
    command.query::<(String, i64)>(&mut direct(server)).unwrap().1
}

fn patterns(server: &RedisServer) -> i64 {
    redis::cmd("PUBSUB").arg("NUMPAT").query(&mut direct(server)).unwrap()
}

fn next(pubsub: &mut ShardedPubSub<'_>) -> String {
    pubsub.set_read_timeout(Some(LONG)).unwrap();
    pubsub.get_message().unwrap().get_channel_name().to_owned()
}

fn code(result: RedisResult<()>) -> Option<String> {
    result.err().and_then(|error: RedisError| error.code().map(str::to_owned))
}

fn all_are_live(client: &ShardedClient) -> bool {
    client.node_states().iter().all(|(_, state)| *state == NodeState::Live)
}

#[test]
fn a_channel_that_a_node_refuses_concerns_nothing_else() {
    let user = |channels| format!("--user app on >pw ~* resetchannels {channels} +@all");
    let start = |channels| {
        let arguments = user(channels);
        RedisServer::start_with(&arguments.split(' ').collect::<Vec<_>>())
    };
    let (Some(strict), Some(lenient)) = (start("&key:*"), start("&*")) else { return };
    let urls = [&strict, &lenient].map(|server| server.url().replace("//", "//app:pw@"));
    let policy = EjectPolicy::fail_fast().failure_limit(1);
    let client = builder(urls).timeout(LONG).eject(policy).build().unwrap();
    let router = client.router();
    let secret = (0..).map(|number| format!("secret:{number}"));
    let secret = secret
        .filter(|name| router.node_for_key(name.as_bytes()) == router.id_of("n0"))
        .take(2)
        .collect::<Vec<_>>();
    let allowed: Vec<_> = keys_of(&client, "n0").take(2).collect();
    let mut connection = client.get_connection().unwrap();
    let mut pubsub = connection.as_pubsub();
    pubsub.subscribe(&allowed[0]).unwrap();
    let together = [&secret[0], &allowed[1], &secret[1]];
    assert_eq!(code(pubsub.subscribe(&together)).as_deref(), Some("NOPERM"));
    for channel in &allowed {
        assert_eq!(direct(&strict).publish::<_, _, i64>(channel, "x").unwrap(), 1);
        assert_eq!(next(&mut pubsub), *channel);
    }
    // On the other node nobody is left who listens.
    assert_eq!(code(pubsub.psubscribe("secret:*")).as_deref(), Some("NOPERM"));
    pubsub.psubscribe("key:*").unwrap();
    assert_eq!((patterns(&strict), patterns(&lenient)), (1, 1));
    pubsub.set_read_timeout(Some(DEADLINE)).unwrap();
    assert!(pubsub.get_message().unwrap_err().is_timeout(), "it is said once");
    assert_eq!(subscribers(&strict, &secret[0]), 0);
    assert_eq!(pubsub.ping_message::<Vec<String>>("x").unwrap(), ["pong", "x"]);
    assert!(all_are_live(&client));
}

#[test]
fn messages_that_pour_in_hold_nobody_up() {
    let confirmation = b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n".to_vec();
    let message = b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n".repeat(1000);
    let node = FakeNode::start(move |_| {
        vec![Step::Send(confirmation.clone()), Step::Flood(message.clone())]
    });
    let client = builder([node.url()]).build().unwrap();
    let mut connection = client.get_connection().unwrap();
    let mut pubsub = connection.as_pubsub();
    in_time(DEADLINE, || pubsub.subscribe("c")).unwrap();
    pubsub.set_read_timeout(Some(DEADLINE)).unwrap();
    for _ in 0..5000 {
        let message = in_time(DEADLINE, || pubsub.get_message()).unwrap();
        assert_eq!(message.get_channel_name(), "c");
    }
}

#[test]
fn nobody_is_told_that_he_listens_to_an_ejected_node() {
    let Some(mut servers) = RedisServer::start_many(2) else { return };
    let urls = servers.iter().map(RedisServer::url);
    let policy = EjectPolicy::fail_fast()
        .failure_limit(1)
        .retry_timeout(Duration::from_millis(10))
        .max_retry_timeout(Duration::from_millis(20));
    let builder = builder(urls).timeout(LONG).eject(policy).connect_mode(ConnectMode::Lazy);
    let client = builder.build().unwrap();
    let channels = [key_of(&client, "n0"), key_of(&client, "n1")];
    let eject = |channel: &String| failure_kind(client.clone().get::<_, ()>(channel));
    servers[1].kill();
    eject(&channels[1]);
    let mut connection = client.get_connection().unwrap();
    let mut pubsub = connection.as_pubsub();
    assert_eq!(failure_kind(pubsub.subscribe(&channels)), ShardErrorKind::Ejected);
    pubsub.psubscribe("none*").unwrap();
    assert_eq!(direct(&servers[0]).publish::<_, _, i64>(&channels[0], "x").unwrap(), 1);
    assert_eq!(next(&mut pubsub), channels[0]);
    // The other node's channels are no reason to refuse these.
    pubsub.unsubscribe(&channels[0]).unwrap();
    pubsub.subscribe(&channels[0]).unwrap();
    // What could not be listened to is, when the node is back.
    servers[1].restart();
    pubsub.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    eventually("it listens", || {
        let _ = pubsub.get_message();
        subscribers(&servers[1], &channels[1]) == 1 && patterns(&servers[1]) == 1
    });
    // With all of them out there is nobody to listen to.
    for (server, channel) in servers.iter_mut().zip(&channels) {
        server.kill();
        eject(channel);
    }
    let mut connection = client.get_connection().unwrap();
    let mut pubsub = connection.as_pubsub();
    assert_eq!(failure_kind(pubsub.psubscribe("p*")), ShardErrorKind::NoLiveNode);
    assert_ne!(failure_kind(pubsub.subscribe("__keyevent@0__:set")), ShardErrorKind::Node);
}
