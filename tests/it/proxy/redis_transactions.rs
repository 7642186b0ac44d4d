//! `MULTI`, `EXEC`, `WATCH` and `DISCARD`: one node holds a transaction.

use std::time::Duration;

use super::support::Redis;
use super::support::Sides;
use super::support::assert_fits;
use crate::support::eventually;
use crate::support::proxy_client::bulk;
use crate::support::proxy_client::requests;

const OK: &str = "+OK\r\n";
const PONG: &str = "+PONG\r\n";
const QUEUED: &str = "+QUEUED\r\n";

#[test]
fn a_transaction_runs_on_the_node_of_its_keys() {
    let Some(redis) = Redis::start(3) else { return };
    Sides::start(&redis, &[]).differ(requests(&["MULTI", "PING"]), "", &format!("{OK}{QUEUED}"));
    Sides::ours(&redis, &["hash_tag: '{}'"]).each(|proxy| {
        for node in 0..3 {
            let tag = redis.key(node, "tag");
            let lines = [
                "MULTI".to_owned(),
                format!("SET {{{tag}}}a 1"),
                format!("INCR {{{tag}}}a"),
                format!("MGET {{{tag}}}a {{{tag}}}b"),
                format!("DEL {{{tag}}}a {{{tag}}}b"),
                "EXEC".to_owned(),
            ];
            let lines: Vec<_> = lines.iter().map(String::as_str).collect();
            let replies = "*4\r\n+OK\r\n:2\r\n*2\r\n$1\r\n2\r\n$-1\r\n:1\r\n";
            let expected = format!("{OK}{}{replies}", QUEUED.repeat(4));
            // At once, and one by one.
            assert_eq!(proxy.transcript(&requests(&lines)), expected);
            let mut client = proxy.client();
            let one_by_one: String = lines.iter().map(|line| client.ask(line)).collect();
            assert_eq!(one_by_one, expected);
        }
    });
}

#[test]
fn a_transaction_of_two_nodes_is_refused_whole() {
    let Some(redis) = Redis::start(2) else { return };
    let [a, b] = [0, 1].map(|node| redis.key(node, "key"));
    Sides::ours(&redis, &[]).each(|proxy| {
        let mut client = proxy.client();
        assert_eq!(client.ask("MULTI"), OK);
        assert_eq!(client.ask(&format!("SET {a} 1")), QUEUED);
        let refused = client.ask(&format!("SET {b} 2"));
        assert!(refused.starts_with("-ERR ") && refused.contains(&b), "{refused}");
        assert_fits(&client.ask("EXEC"), "-EXECABORT …\r\n");
        assert_eq!(client.ask(&format!("MGET {a} {b}")), "*2\r\n$-1\r\n$-1\r\n");
        assert_eq!(client.ask("MULTI"), OK);
        assert!(client.ask(&format!("MSET {a} 1 {b} 2")).starts_with("-ERR "));
        assert_eq!(client.ask("DISCARD"), OK);
        assert_eq!(client.ask("PING"), PONG);
    });
}

#[test]
fn what_others_change_is_watched() {
    let Some(redis) = Redis::start(2) else { return };
    let [a, b] = [0, 1].map(|node| redis.key(node, "key"));
    Sides::ours(&redis, &[]).each(|proxy| {
        let (mut client, mut other) = (proxy.client(), proxy.client());
        for (change, expected) in [(true, "*-1\r\n"), (false, "*1\r\n+OK\r\n")] {
            assert_eq!(client.ask(&format!("SET {a} 0")), OK);
            assert_eq!(client.ask(&format!("WATCH {a}")), OK);
            assert_eq!(client.ask(&format!("GET {a}")), bulk("0"));
            // Elsewhere it may read what it likes.
            assert_eq!(client.ask(&format!("GET {b}")), "$-1\r\n");
            if change {
                assert_eq!(other.ask(&format!("SET {a} 1")), OK);
            }
            assert_eq!(client.ask("MULTI"), OK);
            assert_eq!(client.ask(&format!("SET {a} 2")), QUEUED);
            assert_eq!(client.ask("EXEC"), expected);
        }
        // What was watched is forgotten.
        assert_eq!(client.ask(&format!("WATCH {a}")), OK);
        assert_eq!(other.ask(&format!("SET {a} 1")), OK);
        assert_eq!(client.ask("UNWATCH"), OK);
        assert_eq!(client.ask("MULTI"), OK);
        assert_eq!(client.ask(&format!("SET {a} 2")), QUEUED);
        assert_eq!(client.ask("EXEC"), "*1\r\n+OK\r\n");
        // Keys of two nodes cannot be watched.
        let both = client.ask(&format!("WATCH {a} {b}"));
        assert!(both.starts_with("-ERR "), "{both}");
        assert_eq!(client.ask("UNWATCH"), OK);
    });
}

#[test]
fn a_transaction_is_told_where_it_is_wrong() {
    let Some(redis) = Redis::start(2) else { return };
    let key = redis.key(0, "key");
    Sides::ours(&redis, &[]).each(|proxy| {
        let mut client = proxy.client();
        assert_eq!(client.ask("EXEC"), "-ERR EXEC without MULTI\r\n");
        assert_eq!(client.ask("DISCARD"), "-ERR DISCARD without MULTI\r\n");
        assert_eq!(client.ask("MULTI"), OK);
        assert_eq!(client.ask("MULTI"), "-ERR MULTI calls can not be nested\r\n");
        assert_fits(
            &client.ask(&format!("WATCH {key}")),
            "-ERR WATCH inside MULTI is not allowed\r\n",
        );
        assert_eq!(client.ask("DISCARD"), OK);
        assert_eq!(client.ask("MULTI"), OK);
        assert_eq!(client.ask("EXEC"), "*0\r\n");
        assert_eq!(client.ask("MULTI"), OK);
        assert_fits(&client.ask("GET"), "-ERR wrong number of arguments …\r\n");
        assert_fits(&client.ask("EXEC"), "-EXECABORT …\r\n");
        assert_eq!(client.ask("MULTI"), OK);
        assert_fits(&client.ask("FOO"), "-ERR unknown command …\r\n");
        assert_fits(&client.ask("EXEC"), "-EXECABORT …\r\n");
        // An error at run time is a reply among others.
        assert_eq!(client.ask("MULTI"), OK);
        assert_eq!(client.ask(&format!("SET {key} text")), QUEUED);
        assert_eq!(client.ask(&format!("INCR {key}")), QUEUED);
        assert_eq!(client.ask("PING"), QUEUED);
        assert_fits(&client.ask("EXEC"), "*3\r\n+OK\r\n-ERR …\r\n+PONG\r\n");
    });
}

#[test]
fn transactions_of_several_clients_do_not_mix() {
    let Some(redis) = Redis::start(2) else { return };
    let key = redis.key(0, "key");
    Sides::ours(&redis, &[]).each(|proxy| {
        let mut clients: Vec<_> = (0..5).map(|_| proxy.client()).collect();
        let mut outside = proxy.client();
        for client in &mut clients {
            assert_eq!(client.ask("MULTI"), OK);
        }
        for number in 0..4 {
            for (client, name) in clients.iter_mut().zip("abcde".chars()) {
                assert_eq!(client.ask(&format!("RPUSH {key} {name}{number}")), QUEUED);
            }
            assert_eq!(outside.ask(&format!("LLEN {key}")), ":0\r\n");
        }
        let gone = clients.pop().unwrap();
        drop(gone);
        for client in &mut clients {
            assert!(client.ask("EXEC").starts_with("*4\r\n"));
        }
        let list = outside.ask(&format!("LRANGE {key} 0 -1"));
        let expected: Vec<_> =
            "abcd".chars().flat_map(|name| (0..4).map(move |n| format!("{name}{n}"))).collect();
        assert_eq!(crate::support::proxy_client::strings(&list), expected);
    });
}

#[test]
fn a_node_that_dies_in_a_transaction_ends_it() {
    let Some(redis) = Redis::start(2) else { return };
    let key = redis.key(0, "key");
    Sides::ours(&redis, &[]).each(|proxy| {
        let mut client = proxy.client();
        assert_eq!(client.ask(&format!("WATCH {key}")), OK);
        assert_eq!(client.ask("MULTI"), OK);
        assert_eq!(client.ask(&format!("SET {key} v")), QUEUED);
        redis.kill(0);
        let exec = client.ask("EXEC");
        assert!(exec.starts_with("-ERR ") || exec.starts_with("-EXECABORT "), "{exec}");
        redis.restart(0);
        eventually("it is back", || client.ask(&format!("GET {key}")) == "$-1\r\n");
        // What was watched on a lost connection must not count as unchanged.
        assert_eq!(client.ask(&format!("WATCH {key}")), OK);
        redis.kill(0);
        redis.restart(0);
        let mut other = proxy.client();
        eventually("it is back", || other.ask(&format!("SET {key} new")) == OK);
        let replies = ["MULTI", &format!("SET {key} old"), "EXEC"].map(|line| client.ask(line));
        assert!(replies[2].starts_with("*-1") || replies[2].starts_with('-'), "{replies:?}");
        assert_eq!(other.ask(&format!("GET {key}")), bulk("new"));
    });
}

#[test]
fn a_node_that_dies_before_it_answers_a_multi_ends_the_transaction_and_no_more() {
    let Some(redis) = Redis::start(1) else { return };
    Sides::ours(&redis, &[]).each(|proxy| {
        let mut client = proxy.client();
        assert_eq!(client.ask("WATCH k"), OK);
        redis.stop(0);
        client.send(requests(&["MULTI", "SET k v", "SET k w", "EXEC", "PING"]));
        assert!(client.is_silent_for(Duration::from_millis(100)));
        redis.kill(0);
        redis.restart(0);
        assert_eq!(client.reply(), OK);
        for _ in 0..2 {
            assert_fits(&client.reply(), "-ERR the connection of this transaction is lost…\r\n");
        }
        assert_fits(&client.reply(), "-EXECABORT …\r\n");
        assert_eq!(client.reply(), PONG);
        // It is in no transaction any more, and nothing was carried out.
        eventually("the node is back", || client.ask("GET k") == "$-1\r\n");
        assert_eq!(client.ask("SET k v"), OK);
        assert_eq!(redis.direct(0).ask("GET k"), bulk("v"));
    });
}

#[test]
fn what_follows_a_multi_that_is_refused_is_not_carried_out() {
    let Some(redis) = Redis::start(2) else { return };
    let key = redis.key(0, "key");
    for node in 0..2 {
        assert_eq!(redis.direct(node).ask("ACL SETUSER default -multi"), OK);
    }
    Sides::ours(&redis, &[]).each(|proxy| {
        let lines = ["MULTI", "PING", &format!("SET {key} 1"), "EXEC", &format!("EXISTS {key}")];
        let answer = proxy.transcript(&requests(&lines));
        assert_fits(
            &answer,
            &format!("{OK}{QUEUED}-NOPERM …\r\n-EXECABORT Transaction discarded because of previous errors.\r\n:0\r\n"),
        );
        // Behind a WATCH it is the client's own to be refused.
        let mut client = proxy.client();
        assert_eq!(client.ask(&format!("WATCH {key}")), OK);
        client.send(requests(&["MULTI", &format!("GET {key}"), "EXEC", "UNWATCH"]));
        assert!(client.reply().starts_with("-NOPERM "));
        assert_eq!(client.reply(), "$-1\r\n");
        assert_eq!(client.reply(), "-ERR EXEC without MULTI\r\n");
        assert_eq!(client.reply(), OK);
    });
}
