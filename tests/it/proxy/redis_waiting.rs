//! Commands that wait: blocking ones, and subscriptions.

use std::time::Duration;
use std::time::Instant;

use super::support::Redis;
use super::support::Sides;
use super::support::assert_fits;
use crate::support::eventually;
use crate::support::proxy_client::Client;
use crate::support::proxy_client::array;
use crate::support::proxy_client::bulk;
use crate::support::proxy_client::request;
use crate::support::proxy_client::request_of;
use crate::support::proxy_client::requests;

const OK: &str = "+OK\r\n";
const PONG: &str = "+PONG\r\n";

#[test]
fn who_waits_for_an_element_does_not_keep_others_waiting() {
    let Some(redis) = Redis::start(2) else { return };
    let [list, other_key] = [redis.key(0, "list"), redis.key(0, "other")];
    Sides::ours(&redis, &["timeout: 2000"]).each(|proxy| {
        let (mut waiting, mut other) = (proxy.client(), proxy.client());
        waiting.send(requests(&[&format!("BLPOP {list} 0"), "PING"]));
        let mut direct = redis.direct(0);
        eventually("it waits", || direct.ask("INFO clients").contains("blocked_clients:1"));
        let start = Instant::now();
        assert_eq!(other.ask(&format!("SET {other_key} v")), OK);
        assert_eq!(other.ask(&format!("GET {other_key}")), bulk("v"));
        assert!(start.elapsed() < Duration::from_secs(2));
        assert_eq!(other.ask(&format!("RPUSH {list} element")), ":1\r\n");
        assert_eq!(waiting.reply(), array(&[&list, "element"]));
        assert_eq!(waiting.reply(), PONG);
        assert_eq!(waiting.ask(&format!("GET {other_key}")), bulk("v"));
    });
}

#[test]
fn waiting_may_take_longer_than_the_pools_timeout() {
    let Some(redis) = Redis::start(2) else { return };
    let keys =
        ["BLPOP", "BRPOP", "BZPOPMIN", "BZPOPMAX"].map(|command| (command, redis.key(0, "k")));
    // What is left behind the command's own time is for a machine that is busy.
    Sides::ours(&redis, &["timeout: 600"]).each(|proxy| {
        for (command, key) in &keys {
            let start = Instant::now();
            assert_eq!(proxy.client().ask(&format!("{command} {key} 0.9")), "*-1\r\n", "{command}");
            assert!(start.elapsed() >= Duration::from_millis(890));
        }
        let key = &keys[0].1;
        assert_eq!(proxy.client().ask(&format!("BLMOVE {key} {key} LEFT LEFT 0.3")), "*-1\r\n");
        let read = proxy.client().ask(&format!("XREAD BLOCK 300 STREAMS {key} $"));
        assert_eq!(read, "*-1\r\n");
        let [a, b] = [0, 1].map(|node| redis.key(node, "l"));
        let refused = proxy.client().ask(&format!("blpop {a} {b} 1"));
        assert!(refused.starts_with("-ERR keys of 'blpop' are on different nodes: "), "{refused}");
    });
}

#[test]
fn an_element_for_a_client_that_has_left_is_not_lost() {
    let Some(redis) = Redis::start(1) else { return };
    Sides::ours(&redis, &[]).each(|proxy| {
        let mut direct = redis.direct(0);
        let mut waiting = proxy.client();
        waiting.send(request("BLPOP list 0"));
        eventually("it waits", || direct.ask("INFO clients").contains("blocked_clients:1"));
        drop(waiting);
        eventually("it waits no more", || direct.ask("INFO clients").contains("blocked_clients:0"));
        let mut other = proxy.client();
        assert_eq!(other.ask("RPUSH list element"), ":1\r\n");
        assert_eq!(other.ask("LPOP list"), bulk("element"));
    });
}

#[test]
fn many_may_wait_at_once() {
    let Some(redis) = Redis::start(2) else { return };
    Sides::ours(&redis, &[]).each(|proxy| {
        let mut waiting: Vec<_> = (0..30)
            .map(|number| {
                let list = redis.key(number % 2, &format!("list{number}-"));
                let mut client = proxy.client();
                client.send(request(&format!("BRPOP {list} 0")));
                (client, list)
            })
            .collect();
        let mut pushing = proxy.client();
        for (client, list) in &mut waiting {
            assert_eq!(pushing.ask(&format!("LPUSH {list} of-{list}")), ":1\r\n");
            assert_eq!(client.reply(), array(&[list, &format!("of-{list}")]));
        }
    });
}

#[test]
fn messages_reach_their_subscribers() {
    let Some(redis) = Redis::start(3) else { return };
    let sides = Sides::start(&redis, &[]);
    sides.differ(requests(&["PUBLISH channel hello", "PING"]), "", &format!(":0\r\n{PONG}"));
    Sides::ours(&redis, &[]).each(|proxy| {
        let (mut one, mut two) = (proxy.client(), proxy.client());
        let mut publisher = proxy.client();
        let channels: Vec<_> = (0..6).map(|number| format!("channel{number}")).collect();
        for (number, channel) in channels.iter().enumerate() {
            let expected =
                |count| format!("*3\r\n$9\r\nsubscribe\r\n{}:{count}\r\n", bulk(channel));
            assert_eq!(one.ask(&format!("SUBSCRIBE {channel}")), expected(number + 1));
        }
        two.send(request(&format!("SUBSCRIBE {} {}", channels[0], channels[5])));
        for (channel, count) in [(&channels[0], 1), (&channels[5], 2)] {
            let expected = format!("*3\r\n$9\r\nsubscribe\r\n{}:{count}\r\n", bulk(channel));
            assert_eq!(two.reply(), expected);
        }
        for (number, channel) in channels.iter().enumerate() {
            let receivers = if [0, 5].contains(&number) { 2 } else { 1 };
            let reply = publisher.ask(&format!("PUBLISH {channel} text{number}"));
            assert_eq!(reply, format!(":{receivers}\r\n"));
            let message = array(&["message", channel, &format!("text{number}")]);
            assert_eq!(one.reply(), message);
            if receivers == 2 {
                assert_eq!(two.reply(), message);
            }
        }
        // A subscriber may only do a few things more.
        assert_eq!(one.ask("PING"), "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
        assert_fits(&one.ask("GET k"), "-ERR Can't execute 'get'…\r\n");
        one.send(request("UNSUBSCRIBE"));
        for count in (0..6).rev() {
            let reply = one.reply();
            assert!(reply.starts_with("*3\r\n$11\r\nunsubscribe\r\n"), "{reply}");
            assert!(reply.ends_with(&format!(":{count}\r\n")), "{reply}");
        }
        assert_eq!(one.ask("GET k"), "$-1\r\n");
        assert_eq!(one.ask("PING"), PONG);
        assert_eq!(publisher.ask(&format!("PUBLISH {} x", channels[1])), ":0\r\n");
    });
}

#[test]
fn messages_reach_those_who_subscribed_to_a_pattern_once() {
    let Some(redis) = Redis::start(3) else { return };
    Sides::ours(&redis, &[]).each(|proxy| {
        let (mut client, mut publisher) = (proxy.client(), proxy.client());
        let reply = client.ask("PSUBSCRIBE news.*");
        assert_eq!(reply, "*3\r\n$10\r\npsubscribe\r\n$6\r\nnews.*\r\n:1\r\n");
        for number in 0..20 {
            let channel = format!("news.{number}");
            let reply = publisher.ask(&format!("PUBLISH {channel} text{number}"));
            assert_eq!(reply, ":1\r\n");
            let message = array(&["pmessage", "news.*", &channel, &format!("text{number}")]);
            assert_eq!(client.reply(), message);
        }
        assert_eq!(publisher.ask("PUBLISH other text"), ":0\r\n");
        let reply = client.ask("PUNSUBSCRIBE news.*");
        assert_eq!(reply, "*3\r\n$12\r\npunsubscribe\r\n$6\r\nnews.*\r\n:0\r\n");
        assert_eq!(client.ask("PING"), PONG);
    });
}

#[test]
fn a_client_of_resp_3_may_ask_while_it_listens() {
    let Some(redis) = Redis::start(2) else { return };
    Sides::ours(&redis, &[]).each(|proxy| {
        let (mut client, mut publisher) = (proxy.client(), proxy.client());
        assert!(client.ask("HELLO 3").starts_with('%'));
        let reply = client.ask("SUBSCRIBE channel");
        assert_eq!(reply, ">3\r\n$9\r\nsubscribe\r\n$7\r\nchannel\r\n:1\r\n");
        assert_eq!(client.ask("SET k v"), OK);
        assert_eq!(client.ask("GET k"), bulk("v"));
        assert_eq!(publisher.ask("PUBLISH channel text"), ":1\r\n");
        assert_eq!(client.reply(), ">3\r\n$7\r\nmessage\r\n$7\r\nchannel\r\n$4\r\ntext\r\n");
        assert_eq!(client.ask("PING"), PONG);
    });
}

#[test]
fn a_client_of_resp_3_may_go_back_while_it_listens() {
    let Some(redis) = Redis::start(3) else { return };
    // As one of the nodes alone does it.
    let heard = |mut client: Client, mut publisher: Client| {
        let greeting = client.ask("HELLO 3");
        assert!(greeting.starts_with('%'), "{greeting}");
        let mut heard = vec![client.ask("SUBSCRIBE a"), client.ask("PSUBSCRIBE p*")];
        assert_eq!(client.ask("SET k v"), OK);
        // What is under way is answered as it was asked for.
        client.send(requests(&["GET none", "HELLO 2"]));
        assert_eq!(client.reply(), "_\r\n");
        let greeting = client.reply();
        assert!(greeting.starts_with("*14\r\n") && greeting.contains(":2\r\n"), "{greeting}");
        for line in ["PING", "GET k", "HELLO 3", "SUBSCRIBE b", "PSUBSCRIBE q*"] {
            heard.push(client.ask(line));
        }
        for channel in ["a", "b", "p1", "q1"] {
            assert_eq!(publisher.ask(&format!("PUBLISH {channel} text")), ":1\r\n");
            heard.push(client.reply());
        }
        client.send(requests(&["UNSUBSCRIBE b", "UNSUBSCRIBE a", "PUNSUBSCRIBE p*"]));
        client.send(requests(&["PUNSUBSCRIBE q*", "GET k", "GET none", "QUIT"]));
        heard.push(client.rest());
        heard
    };
    let expected = heard(redis.direct(0), redis.direct(0));
    Sides::ours(&redis, &[]).each(|proxy| {
        assert_eq!(heard(proxy.client(), proxy.client()), expected);
    });
}

#[test]
fn a_subscriber_is_refused_in_the_words_of_redis() {
    let Some(redis) = Redis::start(2) else { return };
    let long = "x".repeat(200);
    let words: [&[&[u8]]; 9] = [
        &[b"SUBSCRIBE", b"a"],
        &[b"nosuch"],
        &[b"NoSuch", b"a\0b", b"", b"c\r\nd", b"\xff"],
        &[long.as_bytes(), long.as_bytes(), b"left out"],
        &[b"nosuch", &long.as_bytes()[..124], b"left out"],
        &[b"nosuch", &long.as_bytes()[..120], b"cut"],
        &[b"PING", b"a", b"b"],
        &[b"GET", b"k"],
        &[b"QUIT"],
    ];
    let answers = |mut client: Client| {
        client.send(words.map(request_of).concat());
        client.rest()
    };
    let expected = answers(redis.direct(0));
    Sides::ours(&redis, &[]).each(|proxy| {
        assert_eq!(answers(proxy.client()), expected);
    });
}

#[test]
fn a_subscriber_is_told_when_its_node_is_gone_or_is_subscribed_again() {
    let Some(redis) = Redis::start(1) else { return };
    Sides::ours(&redis, &[]).each(|proxy| {
        let mut client = proxy.client();
        assert!(client.ask("SUBSCRIBE channel").starts_with("*3\r\n"));
        redis.kill(0);
        redis.restart(0);
        let mut publisher = proxy.client();
        // Either its connection is closed, so that it subscribes anew, or messages come again. A
        // subscriber that waits for ever is the one thing that must not be.
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            assert!(Instant::now() < end, "it hears nothing");
            let reached = publisher.ask("PUBLISH channel text") == ":1\r\n";
            if !client.is_silent_for(Duration::from_millis(50)) {
                if let Ok(message) = client.try_reply() {
                    assert!(message.starts_with('-') || reached, "{message}");
                }
                break;
            }
        }
    });
}

#[test]
fn what_is_behind_a_subscription_is_answered_behind_its_confirmation() {
    let Some(redis) = Redis::start(2) else { return };
    Sides::ours(&redis, &[]).each(|proxy| {
        // As one of the nodes alone does it.
        let lines = ["SUBSCRIBE a b c d", "PING", "UNSUBSCRIBE b", "PING x", "QUIT"];
        let answers = |mut client: Client| {
            client.send(requests(&lines));
            client.rest()
        };
        let expected = answers(redis.direct(0));
        for _ in 0..20 {
            assert_eq!(answers(proxy.client()), expected);
        }
    });
}

#[test]
fn a_pattern_that_one_node_refuses_is_in_force_on_none() {
    let Some(redis) = Redis::start(2) else { return };
    let channel = redis.key(0, "news.");
    let refusing = &mut redis.direct(1);
    assert_eq!(refusing.ask("ACL SETUSER default resetchannels &other"), "+OK\r\n");
    Sides::ours(&redis, &[]).each(|proxy| {
        let mut client = proxy.client();
        assert!(client.ask("PSUBSCRIBE news.*").starts_with("-NOPERM "));
        let publish = format!("PUBLISH {channel} x");
        eventually("it is over on the other node", || redis.direct(0).ask(&publish) == ":0\r\n");
        assert_eq!(client.ask("PING"), "+PONG\r\n");
    });
}
