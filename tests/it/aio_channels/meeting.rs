//! Publishers and subscribers meet.

use std::time::Duration;

use futures_util::StreamExt;
use redis::Commands;
use redis::RedisResult;
use redis::Value;
use shardwright::ShardedPubSubSink;

use super::done;
use super::is_silent;
use super::next;
use super::next_of;
use super::patterns;
use super::subscribers;
use crate::client::pool::Pool;
use crate::client::pool::say;
use crate::support::eventually;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishers_and_subscribers_of_a_channel_meet_on_its_node() {
    let Some(pool) = Pool::start(4) else { return };
    let mut publisher = pool.connection();
    let mut pubsub = pool.client.get_async_pubsub().await.unwrap();
    let channels = pool.keys();
    done(pubsub.subscribe(&channels)).await.unwrap();
    for (server, channel) in channels.iter().enumerate() {
        let mut expected = [0; 4];
        expected[server] = 1;
        assert_eq!(subscribers(&pool, channel), expected);
        assert_eq!(publisher.publish::<_, _, i64>(channel, "hello").unwrap(), 1);
        assert_eq!(next_of(&mut pubsub).await, format!("{channel} hello"));
    }
    // Twice is once.
    done(pubsub.subscribe(&channels)).await.unwrap();
    assert_eq!(publisher.publish::<_, _, i64>(&channels[1], "again").unwrap(), 1);
    assert_eq!(next_of(&mut pubsub).await, format!("{} again", channels[1]));
    assert!(is_silent(&mut pubsub).await);
    // Many from one publisher come in order.
    let mut pipe = redis::pipe();
    for number in 0..500 {
        pipe.publish(&channels[2], number);
    }
    assert_eq!(pipe.query::<Vec<i64>>(&mut publisher).unwrap(), [1; 500]);
    for number in 0..500 {
        assert_eq!(next_of(&mut pubsub).await, format!("{} {number}", channels[2]));
    }
    done(pubsub.unsubscribe(&channels[0])).await.unwrap();
    assert_eq!(publisher.publish::<_, _, i64>(&channels[0], "nobody").unwrap(), 0);
    assert_eq!(publisher.publish::<_, _, i64>(&channels[3], "somebody").unwrap(), 1);
    assert_eq!(next_of(&mut pubsub).await, format!("{} somebody", channels[3]));
    // None named is all.
    done(pubsub.unsubscribe(&[] as &[&str])).await.unwrap();
    for channel in &channels {
        assert_eq!(publisher.publish::<_, _, i64>(channel, "nobody").unwrap(), 0);
    }
    assert!(is_silent(&mut pubsub).await);
    done(pubsub.subscribe(&channels[0])).await.unwrap();
    assert_eq!(publisher.publish::<_, _, i64>(&channels[0], "again").unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pattern_is_listened_to_on_all_nodes_and_each_message_comes_once() {
    let Some(pool) = Pool::start(3) else { return };
    let mut publisher = pool.connection();
    let mut pubsub = pool.client.get_async_pubsub().await.unwrap();
    done(pubsub.psubscribe("*key")).await.unwrap();
    done(pubsub.psubscribe(&["*key", "none*"])).await.unwrap();
    assert_eq!(patterns(&pool), [2, 2, 2]);
    for channel in pool.keys() {
        assert_eq!(publisher.publish::<_, _, i64>(&channel, "x").unwrap(), 1);
        let message = done(pubsub.on_message().next()).await.unwrap();
        assert_eq!(message.get_channel_name(), channel);
        assert_eq!(message.get_pattern::<String>().unwrap(), "*key");
    }
    assert!(is_silent(&mut pubsub).await);
    // Both ways at once is two messages, as on one server.
    let channel = pool.key_on(1, 0);
    done(pubsub.subscribe(&channel)).await.unwrap();
    assert_eq!(publisher.publish::<_, _, i64>(&channel, "y").unwrap(), 2);
    let mut from_patterns = 0;
    for _ in 0..2 {
        let message = done(pubsub.on_message().next()).await.unwrap();
        from_patterns += usize::from(message.from_pattern());
    }
    assert_eq!(from_patterns, 1);
    done(pubsub.punsubscribe("*key")).await.unwrap();
    assert_eq!(patterns(&pool), [1, 1, 1]);
    assert_eq!(publisher.publish::<_, _, i64>(&channel, "z").unwrap(), 1);
    assert_eq!(next_of(&mut pubsub).await, format!("{channel} z"));
    done(pubsub.punsubscribe(&[] as &[&str])).await.unwrap();
    assert_eq!(patterns(&pool), [0, 0, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_node_announces_its_own_keys() {
    let Some(pool) = Pool::start(3) else { return };
    let mut writer = pool.connection();
    assert_eq!(say(&mut writer, "CONFIG SET notify-keyspace-events KEA"), "OK");
    let mut pubsub = pool.client.get_async_pubsub().await.unwrap();
    done(pubsub.subscribe("__keyevent@0__:set")).await.unwrap();
    for key in pool.keys() {
        let () = writer.set(&key, 1).unwrap();
        assert_eq!(next_of(&mut pubsub).await, format!("__keyevent@0__:set {key}"));
    }
    done(pubsub.unsubscribe("__keyevent@0__:set")).await.unwrap();
    done(pubsub.psubscribe("__keyspace@*:*key")).await.unwrap();
    for key in pool.keys() {
        let () = writer.del(&key).unwrap();
        assert_eq!(next_of(&mut pubsub).await, format!("__keyspace@0__:{key} del"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_halves_outlive_each_other_as_in_redis_rs() {
    let Some(pool) = Pool::start(3) else { return };
    let mut publisher = pool.connection();
    let channels = pool.keys();
    let (mut sink, mut stream) = pool.client.get_async_pubsub().await.unwrap().split();
    // Somebody waits already.
    let waiting = tokio::spawn(async move { (next(&mut stream).await, stream) });
    done(sink.subscribe(&channels[0])).await.unwrap();
    let mut twin = sink.clone();
    done(twin.subscribe(&channels[1])).await.unwrap();
    let () = publisher.publish(&channels[1], "x").unwrap();
    let (first, mut stream) = done(waiting).await.unwrap();
    assert_eq!(first, format!("{} x", channels[1]));
    drop(sink);
    done(twin.unsubscribe(&channels[1])).await.unwrap();
    assert_eq!(publisher.publish::<_, _, i64>(&channels[1], "x").unwrap(), 0);
    let sent: ShardedPubSubSink = twin.clone();
    drop(twin);
    drop(sent);
    // The stream does without.
    let () = publisher.publish(&channels[0], "y").unwrap();
    assert_eq!(next(&mut stream).await, format!("{} y", channels[0]));

    let (mut sink, stream) = pool.client.get_async_pubsub().await.unwrap().split();
    done(sink.subscribe(&channels)).await.unwrap();
    drop(stream);
    eventually("the subscriptions are gone", || {
        channels[1..].iter().all(|channel| subscribers(&pool, channel) == [0, 0, 0])
    });
    let error = done(sink.subscribe("more")).await.unwrap_err();
    assert!(error.is_io_error() && error.is_connection_dropped(), "{error}");
    assert!(done(sink.ping::<String>()).await.is_err());
    assert!(done(sink.unsubscribe("more")).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_given_up_half_way_is_carried_out() {
    let Some(pool) = Pool::start(2) else { return };
    let channel = pool.key_on(1, 0);
    pool.servers[1].process().stop();
    let mut pubsub = pool.client.get_async_pubsub().await.unwrap();
    let given_up =
        tokio::time::timeout(Duration::from_millis(20), pubsub.subscribe(&channel)).await;
    assert!(given_up.is_err());
    pool.servers[1].process().resume();
    eventually("it is listened to", || subscribers(&pool, &channel)[1] == 1);
    let () = pool.connection().publish(&channel, "x").unwrap();
    assert_eq!(next_of(&mut pubsub).await, format!("{channel} x"));
    // And what comes after is not confused with it.
    done(pubsub.unsubscribe(&channel)).await.unwrap();
    assert_eq!(subscribers(&pool, &channel), [0, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ping_is_answered_in_between() {
    for options in ["", "?protocol=resp3"] {
        let Some(pool) = Pool::start_at(2, options) else { return };
        let mut publisher = pool.connection();
        let mut pubsub = pool.client.get_async_pubsub().await.unwrap();
        assert_eq!(done(pubsub.ping::<String>()).await.unwrap(), "PONG");
        assert_eq!(done(pubsub.ping_message::<String>("x")).await.unwrap(), "x");
        let channel = pool.key_on(1, 0);
        done(pubsub.subscribe(&channel)).await.unwrap();
        let () = publisher.publish(&channel, "before").unwrap();
        let pong: Value = done(pubsub.ping_message("hello")).await.unwrap();
        assert!(format!("{pong:?}").contains("hello"), "{pong:?}");
        let pong: Value = done(pubsub.ping()).await.unwrap();
        assert!(format!("{pong:?}").to_lowercase().contains("pong"), "{pong:?}");
        assert_eq!(next_of(&mut pubsub).await, format!("{channel} before"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_meet_in_resp3_too() {
    let Some(pool) = Pool::start_at(3, "?protocol=resp3") else { return };
    let mut publisher = pool.connection();
    let mut pubsub = pool.client.get_async_pubsub().await.unwrap();
    let channels = pool.keys();
    done(pubsub.subscribe(&channels)).await.unwrap();
    done(pubsub.psubscribe("p*")).await.unwrap();
    assert_eq!(patterns(&pool), [1, 1, 1]);
    for channel in &channels {
        assert_eq!(publisher.publish::<_, _, i64>(channel, "x").unwrap(), 1);
        assert_eq!(next_of(&mut pubsub).await, format!("{channel} x"));
    }
    let () = publisher.publish("pp", "y").unwrap();
    assert_eq!(next_of(&mut pubsub).await, "pp y");
    done(pubsub.unsubscribe(&channels)).await.unwrap();
    assert_eq!(publisher.publish::<_, _, i64>(&channels[0], "nobody").unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_bytes() {
    let Some(pool) = Pool::start(2) else { return };
    let mut publisher = pool.connection();
    let mut pubsub = pool.client.get_async_pubsub().await.unwrap();
    let channel = b"\xff\r\n\0*".to_vec();
    done(pubsub.subscribe(&channel)).await.unwrap();
    let payload: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let () = publisher.publish(&channel, &payload).unwrap();
    let message = done(pubsub.into_on_message().next()).await.unwrap();
    assert_eq!(message.get_channel::<Vec<u8>>().unwrap(), channel);
    assert!(message.get_payload_bytes() == payload);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_said_for_nothing() {
    let Some(pool) = Pool::start(2) else { return };
    let mut pubsub = pool.client.get_async_pubsub().await.unwrap();
    let none: &[&str] = &[];
    // A server would refuse these.
    assert!(done(pubsub.subscribe(none)).await.is_err());
    assert!(done(pubsub.psubscribe(none)).await.is_err());
    let outcomes: [RedisResult<()>; 2] =
        [done(pubsub.unsubscribe("never subscribed")).await, done(pubsub.punsubscribe(none)).await];
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    for server in 0..2 {
        assert_eq!(pool.calls(server, "subscribe") + pool.calls(server, "unsubscribe"), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_change_the_same_subscriptions_at_the_same_time() {
    let Some(pool) = Pool::start(3) else { return };
    let (sink, mut stream) = pool.client.get_async_pubsub().await.unwrap().split();
    let tasks: Vec<_> = (0..50)
        .map(|number| {
            let mut sink = sink.clone();
            tokio::spawn(async move {
                let (ours, shared) = (format!("c{number}"), format!("s{}", number % 5));
                sink.subscribe(&[&ours, &shared]).await?;
                sink.psubscribe(format!("p{number}")).await?;
                if number % 2 == 0 {
                    sink.unsubscribe(&ours).await?;
                    sink.punsubscribe(format!("p{number}")).await?;
                }
                RedisResult::Ok(())
            })
        })
        .collect();
    for task in tasks {
        done(task).await.unwrap().unwrap();
    }
    assert_eq!(patterns(&pool), [25, 25, 25]);
    let mut publisher = pool.connection();
    for number in 0..50 {
        let expected = i64::from(number % 2 == 1);
        let channel = format!("c{number}");
        assert_eq!(publisher.publish::<_, _, i64>(&channel, "x").unwrap(), expected, "{channel}");
        if expected == 1 {
            assert_eq!(next(&mut stream).await, format!("{channel} x"));
        }
    }
}
