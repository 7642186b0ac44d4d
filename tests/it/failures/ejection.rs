//! What counts as a failure, and when a node is ejected.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use redis::Commands;
use redis::RedisResult;
use redis::Value;
use shardwright::EjectPolicy;
use shardwright::Event;
use shardwright::NodeState;
use shardwright::ShardError;
use shardwright::ShardErrorKind;
use shardwright::ShardedClient;
use shardwright::ShardedConnection;

use super::DEADLINE;
use super::DeadPort;
use super::builder;
use super::failure_kind;
use super::key_of;
use super::keys_of;
use crate::support::eventually;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::Step;
use crate::support::fake_node::reply;
use crate::support::redis_server::RedisServer;
use crate::support::stopwatch::in_time;

fn states(client: &ShardedClient) -> Vec<NodeState> {
    client.node_states().into_iter().map(|(_, state)| state).collect()
}

fn ejected(client: &ShardedClient) -> usize {
    states(client).iter().filter(|state| **state != NodeState::Live).count()
}

#[test]
fn a_connection_does_not_make_up_for_requests_that_fail() {
    // It shakes hands and answers nothing. Each request has a connection of its own, as in an application
    // that opens one when it needs one.
    let node = FakeNode::start(|_| vec![Step::Hang]);
    let timeout = Duration::from_millis(30);
    let policy = EjectPolicy::fail_fast().failure_limit(3);
    let client = builder([node.url()]).timeout(timeout).eject(policy).build().unwrap();
    for _ in 0..3 {
        assert_eq!(states(&client), [NodeState::Live]);
        let mut connection = client.get_connection().unwrap();
        assert_eq!(failure_kind(connection.get::<_, ()>("key")), ShardErrorKind::Deadline);
    }
    assert_eq!(states(&client), [NodeState::Ejected]);
}

type Ask = fn(&[String], &mut ShardedConnection) -> RedisResult<Value>;

/// Requests with many keys, some of which are on another node, or many commands.
const LARGE: [Ask; 5] = [
    |keys, connection| connection.mget(keys),
    |keys, connection| {
        let pairs: Vec<_> = keys.iter().map(|key| (key, "x")).collect();
        connection.mset(&pairs)
    },
    |keys, connection| {
        let mut pipeline = redis::pipe();
        for key in keys {
            pipeline.set(key, "x");
        }
        pipeline.query(connection)
    },
    |keys, connection| {
        let mut pipeline = redis::pipe();
        for _ in 0..50 {
            pipeline.atomic().incr(&keys[0], 1);
        }
        pipeline.query(connection)
    },
    |_, connection| redis::cmd("DBSIZE").query(connection),
];

#[test]
fn a_request_counts_once_however_many_keys_it_has() {
    const LIMIT: u32 = 4;
    let Some(mut servers) = RedisServer::start_many(2) else { return };
    let urls: Vec<_> = servers.iter().map(RedisServer::url).collect();
    let policy = EjectPolicy::fail_fast().failure_limit(LIMIT);
    let builder = builder(urls).eject(policy);
    servers[0].kill();
    for ask in LARGE {
        let client = builder.clone().build().unwrap();
        let keys: Vec<_> =
            keys_of(&client, "n0").take(50).chain(keys_of(&client, "n1").take(50)).collect();
        let mut connection = client.get_connection().unwrap();
        // Looking for a node that answers may have found this one dead.
        let opened = client.metrics()[0].failures;
        for count in opened..LIMIT.into() {
            assert_eq!(states(&client)[0], NodeState::Live, "{count}");
            let kind = failure_kind(ask(&keys, &mut connection));
            assert_eq!(kind, ShardErrorKind::Node);
            assert_eq!(client.metrics()[0].failures, count + 1);
        }
        assert_eq!(states(&client), [NodeState::Ejected, NodeState::Live]);
    }
}

#[test]
fn an_error_reply_is_no_failure_but_a_sign_of_life() {
    let memory = ["--maxmemory", "100000", "--maxmemory-policy", "noeviction"];
    let replica = ["--replicaof", "127.0.0.1 1", "--replica-serve-stale-data", "no"];
    let command = |line: &str| {
        let mut words = line.split(' ');
        let mut command = redis::cmd(words.next().unwrap());
        command.arg(words.collect::<Vec<_>>());
        command
    };
    for (arguments, lines) in [
        (&[][..], &["LPUSH string x", "EVALSHA 00 1 string", "SET string", "NONESUCH string"][..]),
        (&memory[..], &["SET string x", "LPUSH other x"][..]),
        (&replica[..], &["GET string", "EXISTS string"][..]),
    ] {
        let Some(server) = RedisServer::start_with(arguments) else { return };
        let policy = EjectPolicy::fail_fast().failure_limit(1);
        let client = builder([server.url()]).eject(policy).build().unwrap();
        let mut connection = client.get_connection().unwrap();
        let _ = connection.set::<_, _, ()>("string", "x");
        for line in lines {
            for _ in 0..3 {
                let error = command(line).exec(&mut connection).unwrap_err();
                assert!(error.code().is_some(), "{line}: not the server's: {error:?}");
            }
            let pipeline = redis::pipe().add_command(command(line)).to_owned();
            let error = pipeline.exec(&mut connection).unwrap_err();
            assert!(ShardError::of(&error).is_none(), "{error:?}");
        }
        assert_eq!(states(&client), [NodeState::Live]);
        assert_eq!(client.metrics()[0].failures, 0);
    }
}

#[test]
fn only_failures_in_a_row_count_and_an_error_reply_is_between_them() {
    for between in ["-LOADING Redis is loading the dataset in memory\r\n", "-ERR no\r\n", "$-1\r\n"]
    {
        // Every other request is hung up on.
        let node = FakeNode::start(move |request| match request.args[1].as_slice() {
            b"fails" => vec![Step::Close],
            _ => reply(between),
        });
        let policy = EjectPolicy::fail_fast().failure_limit(2);
        let client = builder([node.url()]).eject(policy).build().unwrap();
        let mut connection = client.get_connection().unwrap();
        for _ in 0..5 {
            assert_eq!(failure_kind(connection.get::<_, ()>("fails")), ShardErrorKind::Node);
            let _ = connection.get::<_, Option<String>>("replies");
        }
        assert_eq!((states(&client)[0], client.metrics()[0].failures), (NodeState::Live, 5));
        for _ in 0..2 {
            assert_eq!(failure_kind(connection.get::<_, ()>("fails")), ShardErrorKind::Node);
        }
        assert_eq!(states(&client), [NodeState::Ejected]);
    }
}

#[test]
fn the_waiting_of_a_blocking_command_never_counts() {
    let Some(server) = RedisServer::start() else { return };
    let policy = EjectPolicy::fail_fast().failure_limit(1);
    let client = builder([server.url()]).eject(policy).build().unwrap();
    let mut connection = client.get_connection().unwrap();
    // Longer than our own deadline, and than its own time.
    for seconds in [0.05, 0.3] {
        let value: Option<(String, String)> = connection.blpop("list", seconds).unwrap();
        assert_eq!(value, None);
    }
    assert_eq!((states(&client)[0], client.metrics()[0].failures), (NodeState::Live, 0));
    // Whether it hangs or waits is not to be told apart, with one key or in a pipeline.
    server.process().stop();
    let own = Duration::from_millis(100);
    let result = in_time(DEADLINE + own, || connection.blpop::<_, ()>("list", 0.1));
    assert_eq!(failure_kind(result), ShardErrorKind::Deadline);
    assert_eq!(states(&client), [NodeState::Live]);
    // What does not wait does count.
    assert_eq!(failure_kind(connection.get::<_, ()>("key")), ShardErrorKind::Deadline);
    assert_eq!(states(&client), [NodeState::Ejected]);
    server.process().resume();
}

/// Asks for many keys until nothing changes any more.
fn ask_around(client: &ShardedClient) {
    let mut connection = client.get_connection();
    // Keys that differ in their last digits only are close to one another on the ring.
    for number in 0..1000 {
        let key = format!("key:{number}");
        match &mut connection {
            Ok(connection) => drop(connection.get::<_, ()>(key)),
            Err(_) => drop(client.clone().get::<_, ()>(key)),
        }
    }
}

#[test]
fn the_last_node_stays_where_keys_move() {
    for policy in [EjectPolicy::successor(), EjectPolicy::rebuild()] {
        let Some(mut servers) = RedisServer::start_many(3) else { return };
        let events = Arc::new(Mutex::new(Vec::new()));
        let listening = Arc::clone(&events);
        let client = builder(servers.iter().map(RedisServer::url))
            .eject(policy)
            .listener(move |event| listening.lock().unwrap().push(event.clone()))
            .build()
            .unwrap();
        servers.iter_mut().for_each(RedisServer::kill);
        ask_around(&client);
        assert_eq!(ejected(&client), 2, "{:?}", states(&client));
        let last = states(&client).iter().position(|state| *state == NodeState::Live).unwrap();
        let kept = |event: &&Event| matches!(event, Event::FailedOpen { .. });
        let kept: Vec<_> = events.lock().unwrap().iter().filter(kept).cloned().collect();
        assert!(!kept.is_empty());
        let name = format!("n{last}");
        assert!(kept.iter().all(|event| event.node() == Some(&name)), "{kept:?}");
        // It is tried each time, so that it serves again at once.
        assert_eq!(failure_kind(client.clone().get::<_, ()>("key")), ShardErrorKind::Node);
        servers[last].restart();
        assert_eq!(client.clone().get::<_, Option<String>>("key"), Ok(None));
    }
}

#[test]
fn every_node_may_go_where_no_key_moves() {
    let policy = EjectPolicy::fail_fast().max_ejected_share(0.0);
    let ports = [DeadPort::reserve(), DeadPort::reserve()];
    let client = builder(ports.iter().map(DeadPort::url)).eject(policy).build().unwrap();
    ask_around(&client);
    assert_eq!(ejected(&client), 2);
    let mut own = client.clone();
    assert_eq!(failure_kind(own.get::<_, ()>("key")), ShardErrorKind::Ejected);
    let keyless = redis::cmd("RANDOMKEY").exec(&mut own);
    assert_eq!(failure_kind(keyless), ShardErrorKind::NoLiveNode);
    assert_eq!(failure_kind(client.get_connection().map(drop)), ShardErrorKind::NoLiveNode);
}

#[test]
fn no_more_nodes_go_than_the_share_allows() {
    let ports = [(); 4].map(|()| DeadPort::reserve());
    for (share, most) in [(0.0, 0), (0.24, 0), (0.25, 1), (0.5, 2), (0.74, 2), (1.0, 3)] {
        for policy in [EjectPolicy::successor(), EjectPolicy::rebuild()] {
            let policy = policy.max_ejected_share(share);
            let client = builder(ports.iter().map(DeadPort::url)).eject(policy).build().unwrap();
            ask_around(&client);
            assert_eq!(ejected(&client), most, "a share of {share}");
        }
    }
}

#[test]
fn the_keys_of_the_others_stay_where_they_are() {
    let policy = EjectPolicy::successor().failure_limit(1);
    let ports = [(); 4].map(|()| DeadPort::reserve());
    let client = builder(ports.iter().map(DeadPort::url)).eject(policy).build().unwrap();
    let before = client.router();
    client.clone().get::<_, ()>(key_of(&client, "n2")).unwrap_err();
    assert_eq!(ejected(&client), 1);
    let after = client.router();
    let out = before.id_of("n2");
    for number in 0..2000 {
        let key = format!("key:{number}");
        let owner = before.node_for_key(key.as_bytes());
        let stays = after.node_for_key(key.as_bytes()) == owner;
        assert_eq!(stays, owner != out, "{key}");
    }
}

#[test]
fn what_is_set_on_the_connection_does_not_wait_for_an_ejected_node() {
    let Some(servers) = RedisServer::start_many(2) else { return };
    let urls = servers.iter().map(RedisServer::url);
    let policy = EjectPolicy::fail_fast().failure_limit(1).retry_timeout(Duration::from_millis(50));
    let policy = policy.max_retry_timeout(Duration::from_millis(50));
    let limit = DEADLINE * 4;
    let client = builder(urls).timeout(limit).eject(policy).build().unwrap();
    let keys = [key_of(&client, "n0"), key_of(&client, "n1")];
    let mut connections = [(); 2].map(|()| client.get_connection().unwrap());
    for connection in &mut connections {
        let () = connection.mset(&[(&keys[0], "0"), (&keys[1], "0")]).unwrap();
    }
    servers[1].process().stop();
    failure_kind(connections[0].get::<_, ()>(&keys[1]));
    assert_eq!(ejected(&client), 1);
    redis::cmd("SELECT").arg(5).exec(&mut connections[1]).unwrap();
    servers[1].process().resume();
    eventually("it is back", || ejected(&client) == 0);
    let values: Vec<Option<String>> = connections[1].mget(&keys).unwrap();
    assert_eq!(values, [None, None], "of the other database");
}
