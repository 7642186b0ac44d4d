//! Publishers and subscribers, each with a thread.

use std::env;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use redis::Commands;
use redis::Msg;
use redis::PubSub;
use redis::PubSubCommands;
use redis::RedisResult;

fn next(pubsub: &mut PubSub<'_>) -> RedisResult<String> {
    let message: Msg = pubsub.get_message()?;
    let pattern: Option<String> = message.get_pattern()?;
    Ok(format!(
        "{}: {} ({pattern:?})",
        message.get_channel_name(),
        message.get_payload::<String>()?
    ))
}

/// Tells how many it reached, once it reached someone.
fn publish(con: &mut redis::Connection, channel: &str, text: &str) -> RedisResult<usize> {
    loop {
        let reached = con.publish(channel, text)?;
        if reached > 0 {
            return Ok(reached);
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn desk(client: &redis::Client) -> RedisResult<()> {
    let mut listening = client.get_connection()?;
    let mut publishing = client.get_connection()?;
    let mut pubsub = listening.as_pubsub();
    pubsub.set_read_timeout(Some(Duration::from_secs(20)))?;
    for topic in ["sports", "weather", "politics", "science"] {
        pubsub.subscribe(topic)?;
    }
    pubsub.psubscribe("local.*")?;
    for topic in ["science", "sports", "local.paris", "weather", "local.rome", "politics"] {
        println!("reached {}", publishing.publish::<_, _, i64>(topic, format!("news of {topic}"))?);
        println!("{}", next(&mut pubsub)?);
    }
    pubsub.unsubscribe(&["sports", "weather"])?;
    pubsub.punsubscribe("local.*")?;
    println!("reached {}", publishing.publish::<_, _, i64>("sports", "nobody listens")?);
    println!("reached {}", publishing.publish::<_, _, i64>("local.rome", "nobody listens")?);
    println!("reached {}", publishing.publish::<_, _, i64>("science", "last one")?);
    println!("{}", next(&mut pubsub)?);
    pubsub.set_read_timeout(Some(Duration::from_millis(10)))?;
    println!("silence: {}", pubsub.get_message().unwrap_err().is_timeout());
    drop(pubsub);
    println!("a connection again: {}", listening.incr::<_, _, i64>("edition", 1)?);
    Ok(())
}

fn reporters(client: &redis::Client) -> RedisResult<()> {
    let (send, receive) = mpsc::channel();
    let mut con = client.get_connection()?;
    let listener = thread::spawn(move || {
        con.subscribe(&["front page", "stop"], |message| {
            if message.get_channel_name() == "stop" {
                return redis::ControlFlow::Break("stopped");
            }
            send.send(message.get_payload::<String>().unwrap()).unwrap();
            redis::ControlFlow::Continue
        })
    });
    let mut con = client.get_connection()?;
    for number in 0..5 {
        publish(&mut con, "front page", &format!("headline {number}"))?;
        println!("{}", receive.recv().unwrap());
    }
    publish(&mut con, "stop", "")?;
    println!("{}", listener.join().unwrap()?);
    Ok(())
}

fn main() -> RedisResult<()> {
    let client = redis::Client::open(env::var("REDIS_URL").expect("REDIS_URL is set"))?;
    desk(&client)?;
    reporters(&client)
}
