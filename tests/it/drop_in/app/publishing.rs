//! Channels.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Log;
use super::redis;
use super::say;
use redis::Commands;
use redis::ControlFlow;
use redis::Msg;
use redis::PubSubCommands;
use redis::RedisResult;

pub(super) fn run(
    client: &redis::Client,
    con: &mut redis::Connection,
    log: &mut Log,
) -> RedisResult<()> {
    let mut publisher = client.get_connection()?;
    by_hand(con, &mut publisher, log)?;
    // The connection is good for requests again.
    say!(log, con.set::<_, _, ()>("after", "pubsub"));
    say!(log, con.get::<_, String>("after"));
    with_closures(client, con, log)
}

fn tell(message: &Msg) -> String {
    format!(
        "{} {:?} {:?} {} {:?}",
        message.get_channel_name(),
        message.get_payload::<String>(),
        message.get_pattern::<Option<String>>(),
        message.from_pattern(),
        message.get_payload_bytes(),
    )
}

fn by_hand(
    con: &mut redis::Connection,
    publisher: &mut redis::Connection,
    log: &mut Log,
) -> RedisResult<()> {
    say!(log, publisher.publish::<_, _, usize>("nobody", "x"));
    let mut pubsub: redis::PubSub<'_> = con.as_pubsub();
    pubsub.subscribe("alone")?;
    pubsub.subscribe(&["one", "two", "three", "four"])?;
    pubsub.set_read_timeout(Some(Duration::from_secs(20)))?;
    for channel in ["one", "two", "three", "four", "alone"] {
        say!(log, publisher.publish::<_, _, usize>(channel, format!("to {channel}")));
        say!(log, tell(&pubsub.get_message()?));
    }
    let channels: BTreeSet<String> = redis::cmd("PUBSUB").arg("CHANNELS").query(publisher)?;
    say!(log, channels);
    let mut names = redis::cmd("PUBSUB");
    names.arg("NUMSUB").arg(&["one", "nobody"]);
    say!(log, names.query::<Vec<(String, i64)>>(publisher));
    pubsub.unsubscribe(&["one", "two"])?;
    say!(log, publisher.publish::<_, _, usize>("one", "x"));
    say!(log, publisher.publish::<_, _, usize>("three", "y"));
    say!(log, tell(&pubsub.get_message()?));
    pubsub.psubscribe("pat*")?;
    say!(log, publisher.publish::<_, _, usize>("pattern", "by pattern"));
    say!(log, tell(&pubsub.get_message()?));
    pubsub.punsubscribe("pat*")?;
    say!(log, publisher.publish::<_, _, usize>("pattern", "nobody hears"));
    pubsub.set_read_timeout(Some(Duration::from_millis(20)))?;
    say!(
        log,
        pubsub.get_message().map(|message| tell(&message)).map_err(|error| error.is_timeout())
    );
    let () = publisher.publish("four", b"\xff\x00".as_slice())?;
    pubsub.set_read_timeout(Some(Duration::from_secs(20)))?;
    let message = pubsub.get_message()?;
    say!(log, message.get_payload::<Vec<u8>>());
    say!(log, message.get_channel::<String>());
    pubsub.set_read_timeout(None)?;
    Ok(())
}

fn with_closures(
    client: &redis::Client,
    con: &mut redis::Connection,
    log: &mut Log,
) -> RedisResult<()> {
    let mut publisher = client.get_connection()?;
    let publishing = std::thread::spawn(move || {
        let mut publish = |channel: &str, times: usize| {
            let mut heard = 0;
            while heard < times {
                heard += publisher.publish::<_, _, usize>(channel, heard).unwrap();
                std::thread::yield_now();
            }
        };
        publish("numbers", 3);
        publish("letters.a", 1);
    });
    let mut heard = Vec::new();
    let answer = PubSubCommands::subscribe(con, &["numbers", "others"], |message| {
        heard.push(message.get_payload::<usize>().unwrap());
        if heard.len() == 3 { ControlFlow::Break("enough") } else { ControlFlow::Continue }
    });
    say!(log, (answer, heard));
    let answer = con.psubscribe("letters.*", |message| {
        ControlFlow::Break(message.get_channel_name().to_owned())
    });
    say!(log, answer);
    publishing.join().unwrap();
    Ok(())
}
