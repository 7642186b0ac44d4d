//! A `WATCH` whose connection is lost: what it guards is not written.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use redis::AsyncCommands;
use redis::RedisResult;
use redis::aio::transaction_async;
use shardwright::ShardError;
use shardwright::ShardErrorKind;
use shardwright::ShardedMultiplexedConnection;
use tokio::task::JoinSet;

use super::connect;
use super::direct;
use super::in_flight;
use super::timing::eventually;
use super::timing::run;
use crate::failures::DEADLINE;
use crate::failures::builder;
use crate::failures::key_of;
use crate::support::redis_server::RedisServer;

async fn watch(connection: &mut ShardedMultiplexedConnection, key: &str) {
    let () = redis::cmd("WATCH").arg(key).query_async(connection).await.unwrap();
}

#[test]
fn a_transaction_whose_watch_was_lost_is_not_carried_out() {
    for protocol in ["", "?protocol=resp3"] {
        let Some(mut servers) = RedisServer::start_many(2) else { return };
        let urls = servers.iter().map(|server| server.url() + protocol);
        let client = builder(urls).build().unwrap();
        let key = key_of(&client, "n1");
        run(async {
            let mut connection = connect(&client).await;
            let mut pipeline = redis::pipe();
            pipeline.atomic().set(&key, "written");
            for trouble in 0..4 {
                watch(&mut connection, &key).await;
                match trouble {
                    // Killed and back, with nothing of what was watched.
                    0 => servers[1].restart(),
                    // The connection alone.
                    1 => {
                        let mut direct = direct(&servers[1]);
                        let kill =
                            redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").to_owned();
                        kill.exec(&mut direct).unwrap();
                    }
                    // The database is another one.
                    2 => {
                        redis::cmd("SELECT").arg(1).exec_async(&mut connection).await.unwrap_or(())
                    }
                    _ => {
                        servers[1].kill();
                        let error = connection.get::<_, ()>(&key).await.unwrap_err();
                        assert_eq!(ShardError::of(&error).unwrap().node(), Some("n1"));
                        servers[1].restart();
                    }
                }
                let error = pipeline.exec_async(&mut connection).await.unwrap_err();
                let ours = ShardError::of(&error).unwrap();
                let is_lost = ours.kind() == ShardErrorKind::TransactionLost;
                assert!(is_lost || error.is_connection_dropped(), "{trouble}: {error}");
                let mut direct = direct(&servers[1]);
                let keys = [0, 1].map(|database| {
                    redis::cmd("SELECT").arg(database).exec(&mut direct).unwrap();
                    redis::cmd("DBSIZE").query::<i64>(&mut direct).unwrap()
                });
                assert_eq!(keys, [0, 0], "it was carried out: {trouble}");
                // Behind it nothing is watched.
                let _ = connection.get::<_, Option<String>>(&key).await;
                let () = pipeline.query_async(&mut connection).await.unwrap();
                let () = connection.del(&key).await.unwrap();
            }
        });
        assert_eq!(in_flight(&client), 0);
    }
}

#[test]
fn a_transaction_on_a_stopped_node_ends_in_time_and_is_not_carried_out_unguarded() {
    let Some(servers) = RedisServer::start_many(2) else { return };
    let client = builder(servers.iter().map(RedisServer::url)).build().unwrap();
    let key = key_of(&client, "n1");
    run(async {
        let mut connection = connect(&client).await;
        let mut pipeline = redis::pipe();
        pipeline.atomic().set(&key, "written");
        let mut before = direct(&servers[1]);
        watch(&mut connection, &key).await;
        let () = redis::cmd("SET").arg(&key).arg("other").query(&mut before).unwrap();
        servers[1].process().stop();
        let ended = super::timing::in_time(DEADLINE, pipeline.exec_async(&mut connection)).await;
        assert!(ended.is_err());
        // Tried again it is a transaction that watches nothing, which is what was asked for.
        servers[1].process().resume();
        let value: String = redis::cmd("GET").arg(&key).query(&mut before).unwrap();
        assert_eq!(value, "other");
    });
}

/// Adds one to a counter as redis-rs's own documentation does it.
async fn add_one(connection: ShardedMultiplexedConnection, key: &str) -> RedisResult<()> {
    transaction_async(connection, &[key], |mut connection, mut pipe| async move {
        let number: Option<i64> = connection.get(key).await?;
        pipe.set(key, number.unwrap_or(0) + 1).ignore();
        pipe.query_async::<Option<()>>(&mut connection).await
    })
    .await
}

#[test]
fn no_increment_is_lost_or_made_twice_while_connections_are_killed() {
    const TASKS: usize = 8;
    let Some(servers) = RedisServer::start_many(2) else { return };
    let client =
        builder(servers.iter().map(RedisServer::url)).timeout(DEADLINE * 20).build().unwrap();
    let key = key_of(&client, "n1");
    run(async {
        let connection = connect(&client).await;
        let is_over = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for _ in 0..TASKS {
            let (connection, key) = (connection.clone(), key.clone());
            let is_over = Arc::clone(&is_over);
            tasks.spawn(async move {
                let (mut done, mut doubtful) = (0, 0);
                while !is_over.load(SeqCst) {
                    match add_one(connection.clone(), &key).await {
                        Ok(()) => done += 1,
                        // Its EXEC may have been carried out.
                        Err(_) => doubtful += 1,
                    }
                }
                (done, doubtful)
            });
        }
        let mut direct = direct(&servers[1]);
        for _ in 0..30 {
            tokio::time::sleep(Duration::from_millis(30)).await;
            let kill = redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").to_owned();
            kill.exec(&mut direct).unwrap();
        }
        is_over.store(true, SeqCst);
        let (mut done, mut doubtful) = (0, 0);
        for (one, other) in tasks.join_all().await {
            done += one;
            doubtful += other;
        }
        let mut count = 0;
        eventually("it answers", || {
            count = redis::cmd("GET").arg(&key).query::<i64>(&mut direct).unwrap();
            true
        })
        .await;
        println!("{done} done, {doubtful} doubtful, {count} counted");
        assert!((done..=done + doubtful).contains(&count), "{done} {doubtful} {count}");
        assert!(done > 20 && doubtful > 0, "{done} {doubtful}");
    });
}
