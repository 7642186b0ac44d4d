//! The topology changes under load: no wrong value, and links to nodes that went are closed.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use redis::AsyncCommands;
use shardwright::ConnectMode;
use shardwright::NodeConfig;
use tokio::task::JoinSet;

use super::clients_of;
use super::connect;
use super::direct;
use super::failures;
use super::in_flight;
use super::timing::eventually;
use super::timing::run;
use crate::failures::builder;
use crate::failures::key_of;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::Step;
use crate::support::fake_node::bulk;
use crate::support::redis_server::RedisServer;

const LIMIT: Duration = Duration::from_secs(5);

fn nodes(servers: &[RedisServer], which: &[usize]) -> Vec<NodeConfig> {
    let node = |number: &usize| {
        NodeConfig::new(servers[*number].url()).unwrap().name(format!("n{number}"))
    };
    which.iter().map(node).collect()
}

#[test]
fn nodes_come_and_go_under_load() {
    const TASKS: usize = 300;
    let Some(servers) = RedisServer::start_many(4) else { return };
    let client = builder(servers.iter().map(RedisServer::url)).timeout(LIMIT).build().unwrap();
    run(async {
        let connection = connect(&client).await;
        let is_over = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for task in 0..TASKS {
            let (mut connection, is_over) = (connection.clone(), Arc::clone(&is_over));
            tasks.spawn(async move {
                // What each value says is its key, and that of the writes is not forgotten by a node.
                let keys: Vec<_> = (0..6).map(|index| format!("key:{task}:{index}")).collect();
                let mut calls = 0;
                while !is_over.load(SeqCst) {
                    let pairs: Vec<_> = keys.iter().map(|key| (key, key)).collect();
                    let () = connection.mset(&pairs).await.unwrap();
                    let values: Vec<Option<String>> = connection.mget(&keys).await.unwrap();
                    for (key, value) in keys.iter().zip(values) {
                        assert!(value.is_none_or(|value| value == *key), "{key}");
                    }
                    let mut pipeline = redis::pipe();
                    for key in &keys {
                        pipeline.set(key, key).get(key);
                    }
                    let both: Vec<String> = pipeline
                        .query_async::<Vec<redis::Value>>(&mut connection)
                        .await
                        .unwrap()
                        .chunks(2)
                        .map(|chunk| redis::from_redis_value(chunk[1].clone()).unwrap())
                        .collect();
                    // A pipeline is planned once, and its commands to one node keep their order.
                    assert_eq!(both, keys);
                    calls += 3;
                    tokio::time::sleep(Duration::from_millis(20 + task as u64 % 17)).await;
                }
                calls
            });
        }
        for round in 0..20 {
            match round % 4 {
                0 => drop(client.set_nodes(nodes(&servers, &[0, 1, 2])).unwrap()),
                1 => drop(client.set_nodes(nodes(&servers, &[3, 1, 0])).unwrap()),
                2 => drop(client.set_nodes(nodes(&servers, &[0, 1, 2, 3])).unwrap()),
                _ => {}
            }
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        drop(client.set_nodes(nodes(&servers, &[0, 1])).unwrap());
        tokio::time::sleep(Duration::from_millis(100)).await;
        is_over.store(true, SeqCst);
        let calls: usize = tasks.join_all().await.into_iter().sum();
        println!("{calls} calls");
        assert!(calls > TASKS * 10, "{calls}");
        assert_eq!((in_flight(&client), failures(&client)), (0, 0));
        // Those who rest do not keep links to nodes that went.
        let mut own = connection.clone();
        let _: Option<String> = own.get("key").await.unwrap();
        for gone in [2, 3] {
            let mut watcher = direct(&servers[gone]);
            eventually("links to a node that went are closed", || clients_of(&mut watcher) == 0)
                .await;
        }
        drop(connection);
    });
}

#[test]
fn a_link_that_is_opened_while_its_node_goes_is_closed() {
    let wait = Duration::from_millis(60);
    let slow = FakeNode::start_rude(move |request| match request.is_greeting() {
        true => vec![Step::Wait(wait), Step::Send(b"+OK\r\n".to_vec())],
        false => vec![Step::Send(bulk(request.args.last().unwrap()))],
    });
    let Some(server) = RedisServer::start() else { return };
    let client = builder([slow.url(), server.url()]).timeout(LIMIT);
    let client = client.connect_mode(ConnectMode::Lazy).build().unwrap();
    let key = key_of(&client, "n0");
    run(async {
        // It does nothing more, and knows the old nodes.
        let idle = connect(&client).await;
        let (mut connection, mut other) = (idle.clone(), idle.clone());
        let late = key.clone();
        let asking = tokio::spawn(async move { connection.get::<_, String>(&late).await });
        eventually("it connects", || slow.connections() == 1).await;
        let stays = NodeConfig::new(server.url()).unwrap().name("n1");
        drop(client.set_nodes(vec![stays]).unwrap());
        let _: Option<String> = other.get(&key).await.unwrap();
        assert_eq!(asking.await.unwrap().unwrap(), key);
        eventually("it is closed", || slow.open() == 0).await;
        drop(idle);
    });
}

#[test]
fn a_node_that_goes_while_it_is_asked_answers_still() {
    let Some(servers) = RedisServer::start_many(2) else { return };
    let client = builder(servers.iter().map(RedisServer::url)).timeout(LIMIT).build().unwrap();
    let key = key_of(&client, "n0");
    run(async {
        let connection = connect(&client).await;
        let mut asking = connection.clone();
        let waiting = key.clone();
        let waiter =
            tokio::spawn(async move { asking.blpop::<_, (String, String)>(&waiting, 0.0).await });
        let mut watcher = direct(&servers[0]);
        eventually("it waits", || {
            let info: String = redis::cmd("INFO").arg("clients").query(&mut watcher).unwrap();
            info.contains("blocked_clients:1")
        })
        .await;
        drop(client.set_nodes(nodes(&servers, &[1])).unwrap());
        let mut other = connection.clone();
        let _: Option<String> = other.get(&key).await.unwrap();
        let () = redis::cmd("RPUSH").arg(&key).arg("x").query(&mut watcher).unwrap();
        assert_eq!(waiter.await.unwrap().unwrap(), (key.clone(), "x".into()));
        eventually("its link is closed", || clients_of(&mut watcher) == 0).await;
        drop(connection);
    });
}
