//! What was set on the connection holds on every link, whatever became of the ones before.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use futures_util::future::join_all;
use redis::AsyncCommands;
use redis::RedisResult;
use shardwright::AsyncConnectionConfig;
use shardwright::ConnectMode;
use shardwright::EjectPolicy;
use shardwright::NodeState;
use shardwright::ShardErrorKind;
use shardwright::ShardedMultiplexedConnection;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::connect;
use super::direct;
use super::timing::eventually;
use super::timing::run;
use crate::failures::DEADLINE;
use crate::failures::builder;
use crate::failures::failure_kind;
use crate::failures::key_of;
use crate::failures::keys_of;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::Step;
use crate::support::fake_node::reply;
use crate::support::redis_server::RedisServer;

const LIMIT: Duration = Duration::from_secs(5);

async fn select(connection: &mut ShardedMultiplexedConnection, database: usize) -> RedisResult<()> {
    redis::cmd("SELECT").arg(database).exec_async(connection).await
}

/// Asks until a node that was restarted answers: the connection before was lost with it.
async fn reach(connection: &mut ShardedMultiplexedConnection, key: &str) {
    let mut tries = 0;
    while connection.get::<_, Option<String>>(key).await.is_err() {
        tries += 1;
        assert!(tries < 5, "it does not come back");
    }
}

#[test]
fn what_was_set_is_said_again_after_a_restart() {
    for protocol in ["", "?protocol=resp3"] {
        let Some(mut servers) = RedisServer::start_many(2) else { return };
        let urls = servers.iter().map(|server| server.url() + protocol);
        let client = builder(urls).timeout(LIMIT).build().unwrap();
        let keys = ["n0", "n1"].map(|node| key_of(&client, node));
        run(async {
            let mut connection = connect(&client).await;
            let () = redis::cmd("CLIENT")
                .arg("SETNAME")
                .arg("worker")
                .query_async(&mut connection)
                .await
                .unwrap();
            select(&mut connection, 4).await.unwrap();
            for server in &mut servers {
                server.restart();
            }
            for key in &keys {
                reach(&mut connection, key).await;
                let () = connection.set(key, "x").await.unwrap();
            }
            for server in &servers {
                let mut direct = direct(server);
                let list: String = redis::cmd("CLIENT").arg("LIST").query(&mut direct).unwrap();
                assert!(
                    list.lines()
                        .any(|line| line.contains(" name=worker ") && line.contains(" db=4 "))
                );
                redis::cmd("SELECT").arg(4).exec(&mut direct).unwrap();
                assert_eq!(redis::cmd("DBSIZE").query(&mut direct), Ok(1));
            }
        });
    }
}

#[test]
fn a_password_that_was_changed_is_used_from_then_on() {
    let Some(mut server) = RedisServer::start_with(&["--requirepass", "old"]) else { return };
    let url = server.url().replace("redis://", "redis://:old@");
    let client = builder([url.clone()]).timeout(LIMIT).build().unwrap();
    run(async {
        let mut connection = connect(&client).await;
        let mut direct = redis::Client::open(url).unwrap().get_connection().unwrap();
        let () = redis::cmd("CONFIG")
            .arg("SET")
            .arg("requirepass")
            .arg("new")
            .query(&mut direct)
            .unwrap();
        let () = redis::cmd("AUTH").arg("new").query_async(&mut connection).await.unwrap();
        let () = redis::cmd("CLIENT")
            .arg("KILL")
            .arg("TYPE")
            .arg("normal")
            .query(&mut direct)
            .unwrap_or(());
        reach(&mut connection, "key").await;
        let () = connection.set("key", "x").await.unwrap();
    });
    server.kill();
}

/// Tasks whose connections are lost all the time, while another one selects databases.
#[test]
fn after_a_select_that_races_with_reconnecting_every_link_is_in_the_new_database() {
    const TASKS: usize = 60;
    let Some(servers) = RedisServer::start_many(2) else { return };
    let client = builder(servers.iter().map(RedisServer::url)).timeout(LIMIT).build().unwrap();
    run(async {
        let config = AsyncConnectionConfig::new().set_connections_per_node(3);
        let connection =
            client.get_multiplexed_async_connection_with_config(&config).await.unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        let keys: Vec<Vec<_>> =
            ["n0", "n1"].iter().map(|node| keys_of(&client, node).take(TASKS).collect()).collect();
        for task in 0..TASKS {
            let (mut connection, is_over) = (connection.clone(), Arc::clone(&is_over));
            let key = keys[task % 2][task].clone();
            tasks.spawn(async move {
                while !is_over.load(SeqCst) {
                    // It fails where its connection was killed.
                    let _ = connection.get::<_, Option<String>>(&key).await;
                    if task.is_multiple_of(7) {
                        let _ = redis::cmd("WATCH").arg(&key).exec_async(&mut connection).await;
                        let _ = redis::cmd("UNWATCH").exec_async(&mut connection).await;
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
        }
        let mut direct: Vec<_> = servers.iter().map(direct).collect();
        let mut own = connection.clone();
        let mut selected = 0;
        for round in 0..120 {
            let kill = redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").to_owned();
            if round % 3 != 2 {
                kill.exec(&mut direct[round % 2]).unwrap();
            }
            let database = 1 + round % 9;
            if select(&mut own, database).await.is_err() {
                continue;
            }
            selected += 1;
            // From now on all is done there. One fails at most on each link that was killed.
            let asks = (0..12).map(|number| {
                let mut connection = connection.clone();
                let key = format!("probe:{round}:{number}");
                async move {
                    let mut tries = 0;
                    while connection.set::<_, _, ()>(&key, database).await.is_err() {
                        tries += 1;
                        assert!(tries < 20, "it does not come back");
                    }
                    key
                }
            });
            for key in join_all(asks).await {
                let found: Vec<i64> = direct
                    .iter_mut()
                    .map(|direct| {
                        redis::cmd("SELECT").arg(database).exec(direct).unwrap();
                        redis::cmd("EXISTS").arg(&key).query::<i64>(direct).unwrap()
                    })
                    .collect();
                assert_eq!(found.iter().sum::<i64>(), 1, "{key} is not in {database}");
            }
        }
        println!("{selected} of 120 were selected");
        assert!(selected > 40, "{selected}");
        is_over.store(true, SeqCst);
        tasks.join_all().await;
    });
}

/// The databases that the connections of two servers are in.
fn databases(direct: &mut [redis::Connection]) -> Vec<Vec<String>> {
    let of = |direct: &mut redis::Connection| {
        let list: String = redis::cmd("CLIENT").arg("LIST").query(direct).unwrap();
        let ours = list.lines().filter(|line| !line.contains("cmd=client|list"));
        let database = |line: &str| {
            line.split(' ').find_map(|word| word.strip_prefix("db=")).unwrap().to_owned()
        };
        ours.map(database).collect()
    };
    direct.iter_mut().map(of).collect()
}

#[test]
fn after_several_that_select_at_the_same_time_all_links_are_in_one_database() {
    let Some(servers) = RedisServer::start_many(3) else { return };
    let client = builder(servers.iter().map(RedisServer::url)).timeout(LIMIT);
    let client = client.connect_mode(ConnectMode::All).build().unwrap();
    let keys = ["n0", "n1", "n2"].map(|node| key_of(&client, node));
    run(async {
        let config = AsyncConnectionConfig::new().set_connections_per_node(2);
        let connection =
            client.get_multiplexed_async_connection_with_config(&config).await.unwrap();
        let mut direct: Vec<_> = servers.iter().map(direct).collect();
        for round in 0..40 {
            let selects = (0..8).map(|number| {
                let mut connection = connection.clone();
                tokio::spawn(async move { select(&mut connection, 1 + number).await })
            });
            for selected in join_all(selects).await {
                selected.unwrap().unwrap();
            }
            let mut clones = [connection.clone(), connection.clone()];
            for clone in &mut clones {
                let _: Vec<Option<String>> = clone.mget(&keys).await.unwrap();
            }
            let databases = databases(&mut direct);
            let all: Vec<_> = databases.iter().flatten().collect();
            assert!(all.iter().all(|database| *database == all[0]), "{round}: {databases:?}");
        }
    });
}

#[test]
fn a_select_that_is_dropped_half_way_holds_nowhere() {
    let Some(server) = RedisServer::start() else { return };
    let slow = Arc::new(AtomicBool::new(false));
    let node = FakeNode::start_rude({
        let slow = Arc::clone(&slow);
        move |request| {
            let is_slow = request.line().starts_with("SELECT") && slow.load(SeqCst);
            if is_slow { vec![Step::Hang] } else { reply("+OK\r\n") }
        }
    });
    let client = builder([node.url(), server.url()]).timeout(LIMIT);
    let client = client.connect_mode(ConnectMode::All).build().unwrap();
    let key = key_of(&client, "n1");
    run(async {
        let mut connection = connect(&client).await;
        let mut other = connection.clone();
        slow.store(true, SeqCst);
        assert!(timeout(DEADLINE, select(&mut connection, 5)).await.is_err());
        slow.store(false, SeqCst);
        let () = other.set(&key, "x").await.unwrap();
        let mut direct = direct(&server);
        let sizes = [0, 5].map(|database| {
            redis::cmd("SELECT").arg(database).exec(&mut direct).unwrap();
            redis::cmd("DBSIZE").query::<i64>(&mut direct).unwrap()
        });
        assert_eq!(sizes, [1, 0]);
        // Nor is anybody held up by it.
        timeout(LIMIT, select(&mut other, 6)).await.unwrap().unwrap();
    });
}

#[test]
fn a_select_that_fails_on_one_node_holds_nowhere_and_has_one_deadline() {
    let Some(servers) = RedisServer::start_many(2) else { return };
    let client = builder(servers.iter().map(RedisServer::url));
    let client = client.connect_mode(ConnectMode::All).build().unwrap();
    let key = key_of(&client, "n1");
    run(async {
        let connection = connect(&client).await;
        servers[0].process().stop();
        let selects =
            (0..5).map(|number| {
                let mut connection = connection.clone();
                async move {
                    super::timing::in_time(DEADLINE, select(&mut connection, 5 + number)).await
                }
            });
        let mut failed = 0;
        for result in join_all(selects).await.into_iter().filter(Result::is_err) {
            assert_eq!(failure_kind(result), ShardErrorKind::Deadline);
            failed += 1;
        }
        // Who came later may have a moment left when the link to the stopped node is gone, and need not ask it.
        assert!(failed > 0);
        servers[0].process().resume();
        let mut connection = connection.clone();
        let () = connection.set(&key, "x").await.unwrap();
        let expected = if failed == 5 { 1 } else { 0 };
        assert_eq!(redis::cmd("DBSIZE").query(&mut direct(&servers[1])), Ok(expected));
    });
}

#[test]
fn what_is_set_while_a_node_is_out_holds_when_it_is_back() {
    let Some(servers) = RedisServer::start_many(2) else { return };
    let policy = EjectPolicy::fail_fast().failure_limit(1).retry_timeout(Duration::from_millis(50));
    let policy = policy.max_retry_timeout(Duration::from_millis(50));
    let events = Arc::new(Mutex::new(Vec::new()));
    let listening = Arc::clone(&events);
    let client = builder(servers.iter().map(RedisServer::url))
        .timeout(DEADLINE * 4)
        .eject(policy)
        .listener(move |event| listening.lock().unwrap().push(event.clone()))
        .build()
        .unwrap();
    let keys = [key_of(&client, "n0"), key_of(&client, "n1")];
    run(async {
        let mut connection = connect(&client).await;
        let () = connection.mset(&[(&keys[0], "0"), (&keys[1], "0")]).await.unwrap();
        servers[1].process().stop();
        failure_kind(connection.get::<_, ()>(&keys[1]).await);
        assert_eq!(client.node_states()[1].1, NodeState::Ejected);
        select(&mut connection, 5).await.unwrap();
        servers[1].process().resume();
        eventually("it is back", || client.node_states()[1].1 == NodeState::Live).await;
        let values: Vec<Option<String>> = connection.mget(&keys).await.unwrap();
        assert_eq!(values, [None, None], "of the other database: {events:?}");
    });
}
