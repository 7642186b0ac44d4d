//! What subscriptions do to the health of nodes, and ejections to them.

use std::time::Duration;

use redis::Commands;
use redis::RedisError;
use redis::RedisResult;
use shardwright::EjectPolicy;
use shardwright::NodeConfig;
use shardwright::NodeState;
use shardwright::ShardErrorKind;
use shardwright::ShardedClient;
use shardwright::ShardedClientBuilder;

use super::LONG;
use super::done;
use super::is_silent;
use super::next_of;
use super::patterns;
use super::subscribers;
use super::subscribers_of;
use crate::client::pool::Pool;
use crate::client::pool::direct;
use crate::client::pool::kind;
use crate::client::pool::shard_error;
use crate::support::eventually;
use crate::support::redis_server::RedisServer;

fn quickly(policy: EjectPolicy) -> EjectPolicy {
    policy.retry_timeout(Duration::from_millis(20)).max_retry_timeout(Duration::from_millis(40))
}

fn state(client: &ShardedClient, node: usize) -> NodeState {
    client.node_states()[node].1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_of_an_ejected_node_move_and_come_back() {
    for policy in [EjectPolicy::rebuild(), EjectPolicy::successor()] {
        let policy = quickly(policy.failure_limit(2));
        let Some(mut pool) = Pool::start_with(3, |builder| builder.eject(policy)) else { return };
        let channels = pool.keys();
        let mut pubsub = pool.client.get_async_pubsub().await.unwrap();
        done(pubsub.subscribe(&channels)).await.unwrap();
        done(pubsub.psubscribe("p*")).await.unwrap();
        pool.servers[1].kill();
        // Nobody but the subscription sees it.
        eventually("it is ejected", || state(&pool.client, 1) != NodeState::Live);
        eventually("its channel is listened to elsewhere", || {
            let [one, other] = [0, 2].map(|server| subscribers_of(&pool, server, &channels[1]));
            one + other == 1
        });
        assert_eq!(pool.connection().publish::<_, _, i64>(&channels[1], "there").unwrap(), 1);
        assert_eq!(next_of(&mut pubsub).await, format!("{} there", channels[1]));
        pool.servers[1].restart();
        eventually("it is back", || subscribers(&pool, &channels[1]) == [0, 1, 0]);
        eventually("so are patterns", || patterns(&pool) == [1, 1, 1]);
        assert_eq!(state(&pool.client, 1), NodeState::Live);
        assert_eq!(pool.connection().publish::<_, _, i64>(&channels[1], "here").unwrap(), 1);
        assert_eq!(next_of(&mut pubsub).await, format!("{} here", channels[1]));
        assert!(is_silent(&mut pubsub).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_told_that_he_listens_to_an_ejected_node() {
    let policy = quickly(EjectPolicy::fail_fast().failure_limit(1));
    let Some(mut pool) = Pool::start_with(2, |builder| builder.eject(policy)) else { return };
    let channels = pool.keys();
    let eject = |client: &ShardedClient, channel: &String| {
        client.clone().get::<_, ()>(channel).unwrap_err();
    };
    pool.servers[1].kill();
    eject(&pool.client, &channels[1]);
    let mut pubsub = pool.client.get_async_pubsub().await.unwrap();
    assert_eq!(kind(done(pubsub.subscribe(&channels)).await), ShardErrorKind::Ejected);
    done(pubsub.psubscribe("none*")).await.unwrap();
    assert_eq!(pool.direct(0).publish::<_, _, i64>(&channels[0], "x").unwrap(), 1);
    assert_eq!(next_of(&mut pubsub).await, format!("{} x", channels[0]));
    // The other node's channels are no reason to refuse these.
    done(pubsub.unsubscribe(&channels[0])).await.unwrap();
    done(pubsub.subscribe(&channels[0])).await.unwrap();
    pool.servers[1].restart();
    eventually("it listens", || {
        subscribers_of(&pool, 1, &channels[1]) == 1 && patterns(&pool) == [1, 1]
    });
    // With all of them out there is nobody to listen to.
    for (server, channel) in channels.iter().enumerate() {
        pool.servers[server].kill();
        eventually("it is ejected", || {
            let _ = pool.client.clone().get::<_, ()>(channel);
            state(&pool.client, server) != NodeState::Live
        });
    }
    assert_eq!(kind(done(pubsub.psubscribe("q*")).await), ShardErrorKind::NoLiveNode);
    assert_eq!(
        kind(done(pubsub.subscribe("__keyevent@0__:set")).await),
        ShardErrorKind::NoLiveNode
    );
    for server in 0..2 {
        pool.servers[server].restart();
    }
    eventually("all is as it was", || {
        patterns(&pool) == [2, 2] && subscribers(&pool, "__keyevent@0__:set") == [1, 1]
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_confirms_nothing_in_time_has_failed_once() {
    let timeout = Duration::from_millis(200);
    let policy = quickly(EjectPolicy::fail_fast().failure_limit(2));
    let change = |builder: ShardedClientBuilder| builder.eject(policy).timeout(timeout);
    let Some(pool) = Pool::start_with(2, change) else { return };
    let mut pubsub = pool.client.get_async_pubsub().await.unwrap();
    done(pubsub.subscribe(pool.key_on(1, 0))).await.unwrap();
    pool.servers[1].process().stop();
    let mut late = async |number| kind(done(pubsub.subscribe(&number)).await);
    assert_eq!(late(pool.key_on(1, 1)).await, ShardErrorKind::Deadline);
    assert_eq!(state(&pool.client, 1), NodeState::Live);
    // Given up by the caller is neither success nor failure.
    let (mut sink, _stream) = pool.client.get_async_pubsub().await.unwrap().split();
    let given_up = sink.subscribe(pool.key_on(0, 1));
    drop(given_up);
    assert_eq!(state(&pool.client, 1), NodeState::Live);
    let second = pool.key_on(1, 2);
    assert_eq!(late(second).await, ShardErrorKind::Deadline);
    assert_ne!(state(&pool.client, 1), NodeState::Live);
    pool.servers[1].process().resume();
    eventually("all is listened to", || {
        state(&pool.client, 1) == NodeState::Live
            && (0..3).all(|number| subscribers_of(&pool, 1, &pool.key_on(1, number)) == 1)
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_a_node_refuses_concerns_nothing_else() {
    let start = |channels| {
        let user = format!("--user app on >pw ~* resetchannels {channels} +@all");
        RedisServer::start_with(&user.split(' ').collect::<Vec<_>>())
    };
    let (Some(strict), Some(lenient)) = (start("&key:*"), start("&*")) else { return };
    let node = |server: &RedisServer, name| {
        NodeConfig::new(server.url().replace("//", "//app:pw@")).unwrap().name(name)
    };
    let client = ShardedClient::builder()
        .node(node(&strict, "n0"))
        .node(node(&lenient, "n1"))
        .timeout(LONG)
        .eject(quickly(EjectPolicy::fail_fast().failure_limit(1)))
        .build()
        .unwrap();
    let of_strict = |prefix| {
        let names = (0..).map(move |number| format!("{prefix}:{number}"));
        let is_strict = |name: &String| client.node_for_key(name).unwrap().name() == "n0";
        names.filter(is_strict).take(2).collect::<Vec<_>>()
    };
    let (secret, allowed) = (of_strict("secret"), of_strict("key"));
    let code = |outcome: RedisResult<()>| {
        outcome.err().and_then(|error: RedisError| error.code().map(str::to_owned))
    };
    let count = |server: &RedisServer, arguments: &[&str]| {
        let command = redis::cmd("PUBSUB").arg(arguments).to_owned();
        command.query::<redis::Value>(&mut direct(server)).unwrap()
    };
    let patterns = |server| count(server, &["NUMPAT"]);
    let mut pubsub = client.get_async_pubsub().await.unwrap();
    done(pubsub.subscribe(&allowed[0])).await.unwrap();
    let together = [&secret[0], &allowed[1], &secret[1]];
    assert_eq!(code(done(pubsub.subscribe(&together)).await).as_deref(), Some("NOPERM"));
    for channel in &allowed {
        assert_eq!(direct(&strict).publish::<_, _, i64>(channel, "x").unwrap(), 1);
        assert_eq!(next_of(&mut pubsub).await, format!("{channel} x"));
    }
    // Each time it is asked for, it is said.
    assert_eq!(code(done(pubsub.subscribe(&secret[0])).await).as_deref(), Some("NOPERM"));
    // On the other node nobody is left who listens.
    assert_eq!(code(done(pubsub.psubscribe("secret:*")).await).as_deref(), Some("NOPERM"));
    done(pubsub.psubscribe("key:*")).await.unwrap();
    let one = redis::Value::Int(1);
    eventually("one pattern is left", || patterns(&strict) == one && patterns(&lenient) == one);
    // Refusals are replies.
    assert_eq!(client.node_states()[0].1, NodeState::Live);
    // Nor is it tried again with a new connection.
    let (listener, refused) = (listeners(&strict), refusals(&strict));
    assert!(refused[0] >= 3 && refused[1] >= 1, "{refused:?}");
    let kill = ["KILL", "TYPE", "pubsub"];
    redis::cmd("CLIENT").arg(&kill).exec(&mut direct(&strict)).unwrap();
    eventually("it is listened to again", || {
        listeners(&strict) != listener
            && patterns(&strict) == one
            && direct(&strict).publish::<_, _, i64>(&allowed[1], "x").unwrap() == 2
    });
    assert_eq!(refusals(&strict), refused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_busy_is_asked_again() {
    let policy = quickly(EjectPolicy::fail_fast().failure_limit(1));
    let Some(pool) = Pool::start_with(2, |builder| builder.eject(policy)) else { return };
    let channels = pool.keys();
    let (mut busy, mut killer) = (pool.direct(1), pool.direct(1));
    let threshold = ["SET", "busy-reply-threshold", "1"];
    redis::cmd("CONFIG").arg(&threshold).exec(&mut busy).unwrap();
    let script = std::thread::spawn(move || {
        redis::cmd("EVAL").arg("while true do end").arg(0).exec(&mut busy).unwrap_err();
    });
    eventually("it is busy", || pool.direct(1).get::<_, ()>("key").is_err());
    let mut pubsub = pool.client.get_async_pubsub().await.unwrap();
    let error = done(pubsub.subscribe(&channels)).await.unwrap_err();
    assert_eq!(error.code(), Some("BUSY"));
    redis::cmd("SCRIPT").arg("KILL").exec(&mut killer).unwrap();
    script.join().unwrap();
    eventually("it listens", || subscribers_of(&pool, 1, &channels[1]) == 1);
    assert_eq!(pool.direct(1).publish::<_, _, i64>(&channels[1], "x").unwrap(), 1);
    assert_eq!(next_of(&mut pubsub).await, format!("{} x", channels[1]));
    assert_eq!(state(&pool.client, 1), NodeState::Live);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_said_with_the_node() {
    let Some(server) = RedisServer::start_with(&["--requirepass", "right"]) else { return };
    let node = NodeConfig::new(server.url().replace("//", "//:wrong@")).unwrap().name("n0");
    let client = ShardedClient::builder().node(node).build().unwrap();
    let mut pubsub = client.get_async_pubsub().await.unwrap();
    for error in [
        done(pubsub.subscribe("channel")).await.unwrap_err(),
        done(client.get_async_monitor()).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), redis::ErrorKind::AuthenticationFailed);
        let error = shard_error(&error);
        assert_eq!((error.kind(), error.node()), (ShardErrorKind::Handshake, Some("n0")));
        assert!(!error.to_string().contains("wrong"), "{error}");
    }
}

/// The ids of the connections that subscribe.
fn listeners(server: &RedisServer) -> Vec<String> {
    let list =
        redis::cmd("CLIENT").arg(&["LIST", "TYPE", "pubsub"]).query::<String>(&mut direct(server));
    list.unwrap().lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// How often the server has refused to let somebody subscribe, to channels and to patterns.
fn refusals(server: &RedisServer) -> [u64; 2] {
    let text = redis::cmd("INFO").arg("commandstats").query::<String>(&mut direct(server)).unwrap();
    ["cmdstat_subscribe:", "cmdstat_psubscribe:"].map(|name| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        let field = line.split(',').find_map(|field| field.strip_prefix("rejected_calls="));
        field.unwrap().parse().unwrap()
    })
}
