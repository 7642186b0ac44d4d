//! The same on smol.

use std::future::Future;
use std::time::Duration;

use futures_util::StreamExt;
use redis::Commands;

use super::LONG;
use super::patterns;
use super::subscribers;
use super::subscribers_of;
use crate::client::pool::Pool;
use crate::client::pool::clients;
use crate::support::eventually;

/// What comes of `future`, which must come.
async fn done<T>(future: impl Future<Output = T>) -> T {
    let late = async {
        smol::Timer::after(LONG).await;
        panic!("it takes for ever");
    };
    smol::future::or(future, late).await
}

#[test]
fn they_meet_and_meet_again() {
    let Some(mut pool) = Pool::start(3) else { return };
    let channels = pool.keys();
    smol::block_on(async {
        let mut publisher = pool.connection();
        let mut pubsub = pool.client.get_async_pubsub().await.unwrap();
        done(pubsub.subscribe(&channels)).await.unwrap();
        done(pubsub.psubscribe("p*")).await.unwrap();
        for (server, channel) in channels.iter().enumerate() {
            assert_eq!(subscribers_of(&pool, server, channel), 1);
            let () = publisher.publish(channel, "x").unwrap();
            let message = done(pubsub.on_message().next()).await.unwrap();
            assert_eq!(message.get_channel_name(), channel);
        }
        pool.servers[1].kill();
        let error = done(pubsub.subscribe(pool.key_on(1, 3))).await.unwrap_err();
        assert!(error.is_io_error(), "{error}");
        pool.servers[1].restart();
        eventually("it listens again", || subscribers(&pool, &channels[1]) == [0, 1, 0]);
        eventually("to everything", || patterns(&pool) == [1, 1, 1]);
        let () = publisher.publish(&channels[1], "back").unwrap();
        let message = done(pubsub.on_message().next()).await.unwrap();
        assert_eq!(message.get_payload::<String>().unwrap(), "back");
    });
    eventually("nothing is left", || (0..3).all(|server| clients(&mut pool.direct(server)) == 1));
}

#[test]
fn all_nodes_are_monitored() {
    let Some(pool) = Pool::start(2) else { return };
    smol::block_on(async {
        let monitor = done(pool.client.get_async_monitor()).await.unwrap();
        let mut lines = Box::pin(monitor.into_on_node_message::<String>());
        for (server, key) in pool.keys().iter().enumerate() {
            let () = pool.direct(server).set(key, 1).unwrap();
            while let Some((node, line)) = done(lines.next()).await {
                assert_eq!(&*node, format!("n{server}"));
                if line.contains("\"SET\"") {
                    break;
                }
            }
        }
    });
}

#[test]
fn a_node_that_hangs_is_given_up() {
    let limit = Duration::from_millis(100);
    let Some(pool) = Pool::start_with(2, |builder| builder.timeout(limit)) else { return };
    pool.servers[1].process().stop();
    smol::block_on(async {
        let mut pubsub = pool.client.get_async_pubsub().await.unwrap();
        assert!(done(pubsub.psubscribe("*")).await.unwrap_err().is_timeout());
        pool.servers[1].process().resume();
        eventually("it listens", || patterns(&pool) == [1, 1]);
    });
}
