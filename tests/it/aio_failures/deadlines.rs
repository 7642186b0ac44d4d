//! One deadline bounds the whole request, whatever the node does with the time.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use redis::AsyncCommands;
use redis::RedisResult;
use redis::Value;
use shardwright::AsyncConnectionConfig;
use shardwright::ConnectMode;
use shardwright::EjectPolicy;
use shardwright::NodeState;
use shardwright::PartialFailure;
use shardwright::ShardErrorKind;
use shardwright::ShardedClient;
use shardwright::ShardedMultiplexedConnection;

use super::connect;
use super::failures;
use super::in_flight;
use super::timing::in_time;
use super::timing::run;
use crate::failures::DEADLINE;
use crate::failures::builder;
use crate::failures::connecting::Blackhole;
use crate::failures::failure;
use crate::failures::failure_kind;
use crate::failures::key_of;
use crate::failures::keys_of;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::Step;
use crate::support::fake_node::bulk;
use crate::support::fake_node::reply;
use crate::support::redis_server::RedisServer;

type Reply<'c> = Pin<Box<dyn Future<Output = RedisResult<Value>> + 'c>>;

/// A way to ask for keys of `n0` and `n1`.
type Ask = for<'c> fn(&'c mut ShardedMultiplexedConnection, &'c [String; 2]) -> Reply<'c>;

/// One for each way through the connection.
const ASKS: [Ask; 8] = [
    |connection, keys| connection.get(&keys[0]),
    |connection, keys| connection.mget(keys),
    |connection, keys| Box::pin(async move { pipeline(keys).query_async(connection).await }),
    |connection, keys| {
        Box::pin(
            async move { redis::pipe().get(&keys[0]).get(&keys[0]).query_async(connection).await },
        )
    },
    |connection, keys| {
        Box::pin(async move { redis::pipe().atomic().get(&keys[0]).query_async(connection).await })
    },
    // Its commands are carried out one after the other.
    |connection, keys| {
        Box::pin(async move { pipeline(keys).cmd("SELECT").arg(0).query_async(connection).await })
    },
    |connection, _| Box::pin(async move { redis::cmd("DBSIZE").query_async(connection).await }),
    |connection, keys| {
        Box::pin(async move { redis::cmd("WATCH").arg(&keys[0]).query_async(connection).await })
    },
];

fn pipeline(keys: &[String; 2]) -> redis::Pipeline {
    redis::pipe().get(&keys[1]).get(&keys[0]).get(&keys[1]).to_owned()
}

fn keys(client: &ShardedClient) -> [String; 2] {
    ["n0", "n1"].map(|node| key_of(client, node))
}

/// Makes each kind of request, with connections that are `open` already or not.
async fn each_ends_at_its_deadline(urls: [String; 2], modes: &[ConnectMode]) {
    for mode in modes {
        let client = builder(urls.clone()).connect_mode(*mode).build().unwrap();
        let keys = keys(&client);
        for (number, ask) in ASKS.into_iter().enumerate() {
            let mut connection = connect(&client).await;
            let error = failure(in_time(DEADLINE, ask(&mut connection, &keys)).await);
            let seen = (error.kind(), error.node());
            assert_eq!(seen, (ShardErrorKind::Deadline, Some("n0")), "way {number}: {error}");
        }
        assert_eq!(in_flight(&client), 0);
    }
}

#[test]
fn a_node_that_says_nothing_costs_the_deadline() {
    let node = FakeNode::start(|_| vec![Step::Hang]);
    let other = FakeNode::start(|_| reply("*1\r\n$1\r\nx\r\n"));
    run(each_ends_at_its_deadline(
        [node.url(), other.url()],
        &[ConnectMode::All, ConnectMode::Lazy],
    ));
}

#[test]
fn a_node_that_is_stopped_costs_the_deadline() {
    let Some(servers) = RedisServer::start_many(2) else { return };
    servers[0].process().stop();
    run(each_ends_at_its_deadline([servers[0].url(), servers[1].url()], &[ConnectMode::Lazy]));
    servers[0].process().resume();
}

#[test]
fn a_handshake_that_hangs_costs_the_deadline() {
    let slow = vec![Step::Trickle(vec![b'+'; 500], Duration::from_millis(5))];
    let other = FakeNode::start(|_| reply("*1\r\n$1\r\nx\r\n"));
    for steps in [vec![Step::Hang], slow] {
        let node = FakeNode::start_rude(move |_| steps.clone());
        run(each_ends_at_its_deadline([node.url(), other.url()], &[ConnectMode::Lazy]));
    }
}

#[test]
fn an_address_that_does_not_answer_costs_the_deadline() {
    let blackhole = Blackhole::open();
    let other = FakeNode::start(|_| reply("*1\r\n$1\r\nx\r\n"));
    run(each_ends_at_its_deadline([blackhole.url(), other.url()], &[ConnectMode::Lazy]));
}

#[test]
fn a_reply_that_trickles_or_never_ends_costs_the_deadline() {
    let flood = [&b"*999999999\r\n"[..], &bulk("x".repeat(1000)).repeat(100)].concat();
    let other = FakeNode::start(|_| reply("*1\r\n$1\r\nx\r\n"));
    for step in [
        Step::Trickle(bulk("x".repeat(500)), Duration::from_millis(5)),
        Step::Trickle(vec![b'+'; 500], Duration::from_millis(5)),
        Step::Trickle(flood, Duration::from_micros(50)),
    ] {
        let node = FakeNode::start(move |_| vec![step.clone()]);
        run(each_ends_at_its_deadline([node.url(), other.url()], &[ConnectMode::All]));
    }
}

#[test]
fn opening_a_connection_has_one_deadline() {
    let blackholes = [(); 3].map(|()| Blackhole::open());
    let mute = FakeNode::start_rude(|_| vec![Step::Hang]);
    let urls: Vec<_> = blackholes.iter().map(Blackhole::url).chain([mute.url()]).collect();
    run(async {
        for mode in [ConnectMode::Any, ConnectMode::All] {
            let client = builder(urls.clone()).connect_mode(mode).build().unwrap();
            let open = client.get_multiplexed_async_connection();
            assert_eq!(failure_kind(in_time(DEADLINE, open).await), ShardErrorKind::Deadline);
        }
        // A time for connecting bounds it as well.
        let client = ShardedClient::open(urls).unwrap();
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(DEADLINE));
        let open = client.get_multiplexed_async_connection_with_config(&config);
        assert_eq!(failure_kind(in_time(DEADLINE, open).await), ShardErrorKind::Deadline);
    });
}

#[test]
fn the_time_for_connecting_is_bounded_by_itself() {
    let node = FakeNode::start_rude(|_| vec![Step::Hang]);
    let limit = Duration::from_millis(50);
    let builder = ShardedClient::builder().nodes(node.url()).unwrap();
    let client = builder.timeout(DEADLINE * 20).connect_timeout(limit);
    let client = client.connect_mode(ConnectMode::Lazy).build().unwrap();
    run(async {
        let mut connection = connect(&client).await;
        let error = failure(in_time(limit, connection.get::<_, ()>("key")).await);
        assert_eq!(error.kind(), ShardErrorKind::Deadline);
        assert!(error.to_string().contains("no connection to"), "{error}");
    });
}

#[test]
fn the_deadline_counts_from_the_connection_on() {
    // Most of the time goes into the handshake, and none is left for the reply.
    let node = FakeNode::start_rude(|request| match request.is_greeting() {
        true => vec![Step::Wait(DEADLINE / 4), Step::Send(b"+OK\r\n".to_vec())],
        false => vec![Step::Hang],
    });
    let client = builder([node.url()]).connect_mode(ConnectMode::Lazy).build().unwrap();
    run(async {
        for ask in &ASKS[..5] {
            let mut connection = connect(&client).await;
            let keys = ["a", "b"].map(String::from);
            let result = in_time(DEADLINE, ask(&mut connection, &keys)).await;
            assert_eq!(failure_kind(result), ShardErrorKind::Deadline);
        }
    });
    assert_eq!(node.lines().len(), 5, "each was sent: {:?}", node.lines());
}

#[test]
fn what_is_asked_step_by_step_has_one_deadline() {
    let slow = |bytes: &'static str| {
        FakeNode::start(move |_| vec![Step::Wait(DEADLINE * 2 / 5), Step::Send(bytes.into())])
    };
    run(async {
        // Node after node, until one has a key.
        let nodes = [(); 5].map(|()| slow("$-1\r\n"));
        let client = builder(nodes.iter().map(FakeNode::url)).build().unwrap();
        let mut connection = connect(&client).await;
        let random_key = redis::cmd("RANDOMKEY");
        let random_key = in_time(DEADLINE, random_key.exec_async(&mut connection));
        assert_eq!(failure_kind(random_key.await), ShardErrorKind::Deadline);
        // Commands that are not sent together, because one tells where the next one goes.
        let node = slow("*2\r\n$1\r\n0\r\n*0\r\n");
        let client = builder([node.url()]).build().unwrap();
        let mut connection = connect(&client).await;
        let mut pipeline = redis::pipe();
        for _ in 0..5 {
            pipeline.cmd("SCAN").arg(0);
        }
        let result = in_time(DEADLINE, pipeline.exec_async(&mut connection)).await;
        assert_eq!(failure_kind(result), ShardErrorKind::Deadline);
        // The next request has its own time.
        redis::cmd("SCAN").arg(0).exec_async(&mut connection).await.unwrap();
        let node = FakeNode::start_rude(|request| match request.line().starts_with("SELECT") {
            true => vec![Step::Wait(DEADLINE * 2 / 5), Step::Send(b"+OK\r\n".to_vec())],
            false => reply("+OK\r\n"),
        });
        let client = builder([node.url()]).build().unwrap();
        let mut connection = connect(&client).await;
        let mut pipeline = redis::pipe();
        for database in 0..5 {
            pipeline.cmd("SELECT").arg(database);
        }
        let result = in_time(DEADLINE, pipeline.exec_async(&mut connection)).await;
        assert_eq!(failure_kind(result), ShardErrorKind::Deadline);
    });
}

#[test]
fn a_scan_has_a_deadline_for_each_step() {
    let Some(servers) = RedisServer::start_many(3) else { return };
    let client = builder(servers.iter().map(RedisServer::url)).build().unwrap();
    run(async {
        let mut connection = connect(&client).await;
        for node in ["n0", "n1", "n2"] {
            for key in keys_of(&client, node).take(5) {
                let () = connection.set(key, "x").await.unwrap();
            }
        }
        servers[1].process().stop();
        let mut keys = connection.scan::<String>().await.unwrap();
        let mut seen = 0;
        let error = loop {
            match in_time(DEADLINE, keys.next()).await.expect("the scan is not over") {
                Ok(_) => seen += 1,
                Err(error) => break error,
            }
        };
        drop(keys);
        assert_eq!((seen, failure_kind(Err::<(), _>(error))), (5, ShardErrorKind::Deadline));
        servers[1].process().resume();
        let keys = connection.scan::<String>().await.unwrap();
        assert_eq!(keys.map(Result::unwrap).count().await, 15);
    });
}

#[test]
fn several_slow_nodes_cost_the_slowest_and_not_the_sum() {
    let slow = || {
        FakeNode::start(|request| {
            let keys = request.args.len() - 1;
            let values = bulk("x").repeat(keys);
            let reply = [format!("*{keys}\r\n").as_bytes(), &values].concat();
            vec![Step::Wait(DEADLINE / 2), Step::Send(reply)]
        })
    };
    let nodes: Vec<_> = (0..4).map(|_| slow()).collect();
    let client = builder(nodes.iter().map(FakeNode::url)).build().unwrap();
    let keys: Vec<_> = (0..4).map(|node| key_of(&client, &format!("n{node}"))).collect();
    run(async {
        let mut connection = connect(&client).await;
        assert_eq!(connection.mget::<_, Vec<String>>(&keys).await.unwrap(), ["x"; 4]);
    });
}

#[test]
fn what_arrived_in_time_counts_though_another_node_took_it_all() {
    let nodes = [FakeNode::start(|_| vec![Step::Hang]), FakeNode::start(|_| reply("*1\r\n:7\r\n"))];
    let client = builder(nodes.iter().map(FakeNode::url));
    let client = client.partial_failure(PartialFailure::NilForReads).build().unwrap();
    let keys = keys(&client);
    run(async {
        let mut connection = connect(&client).await;
        let values: Value = in_time(DEADLINE, connection.mget(&keys)).await.unwrap();
        assert_eq!(values, Value::Array(vec![Value::Nil, Value::Int(7)]));
    });
}

#[test]
fn a_node_that_was_left_no_time_is_not_to_blame() {
    let nodes = [FakeNode::start(|_| vec![Step::Hang]), FakeNode::start(|_| reply("$1\r\nx\r\n"))];
    for mode in [ConnectMode::All, ConnectMode::Lazy] {
        let policy = EjectPolicy::fail_fast().failure_limit(1);
        let builder = builder(nodes.iter().map(FakeNode::url)).connect_mode(mode).eject(policy);
        let client = builder.build().unwrap();
        run(async {
            let mut connection = connect(&client).await;
            // The scan begins at the first node, and the other one is asked behind it.
            let mut pipeline = redis::pipe();
            pipeline.cmd("SCAN").arg(0).get(key_of(&client, "n1"));
            let error = failure(in_time(DEADLINE, pipeline.exec_async(&mut connection)).await);
            assert_eq!((error.kind(), error.node()), (ShardErrorKind::Deadline, Some("n0")));
        });
        let states = client.node_states().into_iter().map(|(_, state)| state);
        assert_eq!(states.collect::<Vec<_>>(), [NodeState::Ejected, NodeState::Live]);
    }
}

#[test]
fn the_time_that_a_command_waits_is_its_own() {
    let Some(server) = RedisServer::start() else { return };
    let policy = EjectPolicy::fail_fast().failure_limit(1);
    let client = builder([server.url()]).eject(policy).build().unwrap();
    let own = DEADLINE * 2;
    run(async {
        let mut connection = connect(&client).await;
        let mut pipeline = redis::pipe();
        pipeline.blpop("list", own.as_secs_f64() / 2.0).blpop("list", own.as_secs_f64() / 2.0);
        let blpop = connection.blpop::<_, Value>("list", own.as_secs_f64());
        assert_eq!(in_time(DEADLINE + own, blpop).await, Ok(Value::Nil));
        let replies = pipeline.query_async::<Vec<Value>>(&mut connection);
        assert_eq!(in_time(DEADLINE + own, replies).await, Ok(vec![Value::Nil; 2]));
        assert_eq!(failures(&client), 0);
        // Whether it hangs or waits is not to be told apart.
        server.process().stop();
        let blpop = connection.blpop::<_, ()>("list", own.as_secs_f64());
        let kind = failure_kind(in_time(DEADLINE + own, blpop).await);
        assert_eq!(kind, ShardErrorKind::Deadline);
        let replies = pipeline.query_async::<Vec<Value>>(&mut connection);
        // It has to connect, which does not wait.
        let kind = failure_kind(in_time(DEADLINE + own, replies).await);
        assert_eq!(kind, ShardErrorKind::Deadline);
        server.process().resume();
    });
}

#[test]
fn an_impatient_clone_does_not_fail_a_patient_one() {
    // The handshake takes longer than one of them wants to wait.
    let node = FakeNode::start_rude(|request| match request.is_greeting() {
        true => vec![Step::Wait(DEADLINE / 4), Step::Send(b"+OK\r\n".to_vec())],
        false => reply(bulk("x")),
    });
    let client = builder([node.url()]).timeout(DEADLINE * 10).connect_mode(ConnectMode::Lazy);
    let client = client.build().unwrap();
    run(async {
        let mut patient = connect(&client).await;
        let mut impatient = patient.clone();
        impatient.set_response_timeout(DEADLINE / 10);
        let (late, well) =
            tokio::join!(impatient.get::<_, ()>("key"), patient.get::<_, String>("key"));
        assert_eq!(failure_kind(late), ShardErrorKind::Deadline);
        assert_eq!(well.unwrap(), "x");
    });
}
