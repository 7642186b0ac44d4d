//! The contract of `ConnectionLike`, which everything in redis-rs is built on.

use redis::Cmd;
use redis::Commands;
use redis::ConnectionLike;
use redis::ErrorKind;
use redis::Value;
use shardwright::ShardErrorKind;

use super::pool::Pool;
use super::pool::ask;
use super::pool::command;
use super::pool::kind;
use super::pool::say;

fn packed(line: &str) -> Vec<u8> {
    command(line).get_packed_command()
}

fn is_error(value: &Value, code: &str) -> bool {
    matches!(value, Value::ServerError(error) if error.code() == code)
}

#[test]
fn what_a_server_refuses_is_a_reply() {
    let Some(pool) = Pool::start(2) else { return };
    let mut con = pool.connection();
    for key in pool.keys() {
        let () = con.set(&key, "text").unwrap();
        let push = format!("LPUSH {key} 1");
        assert!(is_error(&con.req_command(&command(&push)).unwrap(), "WRONGTYPE"));
        assert!(is_error(&con.req_packed_command(&packed(&push)).unwrap(), "WRONGTYPE"));
        let replies = con.req_packed_commands(&packed(&push), 0, 1).unwrap();
        assert!(is_error(&replies[0], "WRONGTYPE"));
    }
    for line in ["KEYS", "DBSIZE x", "CONFIG SET nosuch 1", "SCRIPT LOAD ((("] {
        assert!(is_error(&con.req_command(&command(line)).unwrap(), "ERR"), "{line}");
    }
}

#[test]
fn an_empty_command_is_an_error_of_the_client() {
    let Some(pool) = Pool::start(2) else { return };
    let mut con = pool.connection();
    let errors = [
        con.req_command(&Cmd::new()).unwrap_err(),
        con.req_packed_command(b"").unwrap_err(),
        con.req_packed_commands(b"", 0, 0).unwrap_err(),
        redis::pipe().query::<()>(&mut con).unwrap_err(),
        con.on_node("n0", |node| node.req_packed_command(b"")).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Client);
        assert_eq!(error.to_string(), "empty command - Client");
    }
    assert_eq!(say(&mut con, "SET a 1"), "OK");
}

#[test]
fn bytes_that_are_no_command_are_refused_and_break_nothing() {
    let Some(pool) = Pool::start(2) else { return };
    let mut con = pool.connection();
    let set = packed("SET key 1");
    let cases: [&[u8]; 9] = [
        b"rubbish",
        b"GET key\r\n",
        b"*1\r\n",
        b"*2\r\n$3\r\nGET\r\n$3\r\nab",
        b"*99999999999999999999\r\n",
        b"*-1\r\n",
        b"*0\r\n",
        b"*1\r\n$-1\r\n",
        &set[..set.len() - 1],
    ];
    for bytes in cases {
        for result in [
            con.req_packed_command(bytes),
            con.req_packed_commands(bytes, 0, 1).map(Value::Array),
            con.req_packed_commands(&[&set, bytes].concat(), 0, 2).map(Value::Array),
            con.req_packed_commands(bytes, 2, 1).map(Value::Array),
            con.send_packed_command(bytes).map(|()| Value::Okay),
        ] {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Client, "{}: {error}", bytes.escape_ascii());
        }
    }
    assert_eq!(pool.calls_everywhere("set"), 0);
    assert_eq!(con.req_packed_command(&set).unwrap(), Value::Okay);
}

#[test]
fn one_request_is_one_command() {
    let Some(pool) = Pool::start(2) else { return };
    let mut con = pool.connection();
    let two = [packed("SET a 1"), packed("SET b 2")].concat();
    assert_eq!(kind(con.req_packed_command(&two)), ShardErrorKind::Unroutable);
    assert_eq!(pool.calls_everywhere("set"), 0);
}

#[test]
fn replies_are_counted_as_the_caller_says() {
    let Some(pool) = Pool::start(2) else { return };
    let mut con = pool.connection();
    let bytes: Vec<u8> = (0..6).flat_map(|number| packed(&format!("ECHO {number}"))).collect();
    let text = |number: usize| Value::BulkString(number.to_string().into_bytes());
    assert_eq!(
        con.req_packed_commands(&bytes, 0, 6).unwrap(),
        (0..6).map(text).collect::<Vec<_>>()
    );
    assert_eq!(con.req_packed_commands(&bytes, 0, 2).unwrap(), [text(0), text(1)]);
    assert!(con.req_packed_commands(&bytes, 0, 0).unwrap().is_empty());
    // Replies that are skipped need not be those of a transaction.
    assert_eq!(con.req_packed_commands(&bytes, 4, 2).unwrap(), [text(4), text(5)]);
    let bytes: Vec<u8> =
        pool.keys().iter().flat_map(|key| packed(&format!("INCR {key}"))).collect();
    assert_eq!(con.req_packed_commands(&bytes, 1, 1).unwrap(), [Value::Int(1)]);
    assert_eq!(con.req_packed_commands(&bytes, 1, 1).unwrap(), [Value::Int(2)]);
    for key in pool.keys() {
        assert_eq!(say(&mut con, &format!("DEL {key}")), "1");
    }
    let lines = ["MULTI", "SET {a}1 1", "SET {a}2 2", "EXEC"];
    let bytes: Vec<u8> = lines.into_iter().flat_map(packed).collect();
    let both = Value::Array(vec![Value::Okay, Value::Okay]);
    assert_eq!(con.req_packed_commands(&bytes, 3, 1).unwrap(), [both]);
    assert_eq!(say(&mut con, "DBSIZE"), "2");
}

#[test]
fn a_command_without_a_reply_is_nil_and_its_reply_answers_nothing_else() {
    let Some(pool) = Pool::start(3) else { return };
    let mut con = pool.connection();
    let keys = pool.keys();
    let all = keys.join(" ");
    for line in [
        format!("SET {} 1", keys[0]),
        format!("MGET {all}"),
        "DBSIZE".into(),
        "PING".into(),
        "RANDOMKEY".into(),
        "CLIENT SETNAME me".into(),
        "SCAN 0".into(),
    ] {
        let mut command = command(&line);
        command.set_no_response(true);
        assert_eq!(con.req_command(&command).unwrap(), Value::Nil, "{line}");
        for key in &keys {
            assert!(con.set::<_, _, Value>(key, 2).unwrap() == Value::Okay, "{line}");
        }
        assert_eq!(con.mget::<_, Vec<i64>>(&keys).unwrap(), [2, 2, 2], "{line}");
    }
}

#[test]
fn a_client_is_a_connection_to_the_nodes_it_needs() {
    let Some(pool) = Pool::start(3) else { return };
    let mut client = pool.client.clone();
    let key = pool.key_on(1, 0);
    assert_eq!(say(&mut client, &format!("SET {key} 1")), "OK");
    assert_eq!(client.get::<_, i64>(&key).unwrap(), 1);
    let mut pipe = redis::pipe();
    pipe.incr(&key, 1).get(&key);
    assert_eq!(pipe.query::<Vec<i64>>(&mut client).unwrap(), [2, 2]);
    pipe.clear();
    pipe.atomic().incr(&key, 1);
    assert_eq!(pipe.query::<Vec<i64>>(&mut client).unwrap(), [3]);
    assert_eq!(
        client.req_packed_command(&packed(&format!("GET {key}"))).unwrap(),
        Value::BulkString(b"3".into())
    );
    let pairs: Vec<_> = pool.keys().into_iter().map(|key| (key, 1)).collect();
    let requests: Vec<_> = pool.client.metrics().iter().map(|node| node.requests).collect();
    assert!(requests[0] == 0 && requests[2] == 0 && requests[1] > 0, "{requests:?}");
    assert_eq!(client.mset::<_, _, Value>(&pairs).unwrap(), Value::Okay);
    assert_eq!(say(&mut client, "DBSIZE"), "3");
    assert!(client.is_open() && client.check_connection() && client.get_db() == 0);
    // Nothing is left of it: a setting of one request is none of the next.
    assert_eq!(say(&mut client, "SELECT 1"), "OK");
    assert_eq!(say(&mut client, "DBSIZE"), "3");
    assert_eq!(pool.client.metrics().iter().map(|node| node.connections).sum::<u64>(), 0);
}

#[test]
fn replies_that_were_sent_for_are_fetched_in_order() {
    let Some(pool) = Pool::start(3) else { return };
    let mut con = pool.connection();
    let keys = pool.keys();
    let all = keys.join(" ");
    for (number, key) in keys.iter().enumerate() {
        con.send_packed_command(&packed(&format!("SET {key} {number}"))).unwrap();
    }
    con.send_packed_command(&packed(&format!("MGET {all}"))).unwrap();
    con.send_packed_command(&[packed("DBSIZE"), packed(&format!("LPUSH {} x", keys[0]))].concat())
        .unwrap();
    for _ in &keys {
        assert_eq!(con.recv_response().unwrap(), Value::Okay);
    }
    assert_eq!(super::pool::show(&con.recv_response().unwrap()), "[0 1 2]");
    assert_eq!(con.recv_response().unwrap(), Value::Int(3));
    assert!(is_error(&con.recv_response().unwrap(), "WRONGTYPE"));
    assert_eq!(con.recv_response().unwrap_err().kind(), ErrorKind::Client);
}

#[test]
fn other_requests_may_come_between_sending_and_fetching() {
    let Some(pool) = Pool::start(2) else { return };
    let mut con = pool.connection();
    let keys = pool.keys();
    for key in &keys {
        con.send_packed_command(&packed(&format!("INCR {key}"))).unwrap();
        con.send_packed_command(&packed(&format!("INCR {key}"))).unwrap();
    }
    assert_eq!(con.mget::<_, Vec<i64>>(&keys).unwrap(), [2, 2]);
    con.send_packed_command(&packed(&format!("INCR {}", keys[1]))).unwrap();
    for expected in [1, 2, 1, 2, 3] {
        assert_eq!(con.recv_response().unwrap(), Value::Int(expected));
    }
}

#[test]
fn what_has_no_one_reply_is_not_sent_for() {
    let Some(pool) = Pool::start(2) else { return };
    let mut con = pool.connection();
    for line in [
        "SCAN 0",
        "MULTI",
        "SELECT 1",
        "PING",
        "RANDOMKEY",
        "SUBSCRIBE c",
        "SINTER 1:key 2:key 3:key 4:key",
    ] {
        assert!(con.send_packed_command(&packed(line)).is_err(), "{line}");
    }
    assert!(con.recv_response().is_err());
    assert_eq!(ask(&mut con, "SELECT 0").unwrap(), Value::Okay);
}

#[test]
fn of_several_commands_that_are_sent_for_all_are_sent_or_none() {
    let Some(pool) = Pool::start(2) else { return };
    let mut con = pool.connection();
    let () = con.mset(&[("a", "value of a"), ("b", "value of b")]).unwrap();
    let both = [packed("GET a"), packed("SUBSCRIBE x")].concat();
    assert_eq!(kind(con.send_packed_command(&both)), ShardErrorKind::Unroutable);
    con.send_packed_command(&packed("GET b")).unwrap();
    assert_eq!(con.recv_response(), Ok(Value::BulkString(b"value of b".to_vec())));
    assert!(con.recv_response().is_err());
}

#[test]
fn what_is_watched_is_no_hindrance_to_other_requests() {
    let Some(pool) = Pool::start(2) else { return };
    let mut con = pool.connection();
    let keys = pool.keys();
    let failed = redis::transaction(&mut con, &keys[..1], |_, _| {
        Err::<Option<()>, _>(redis::RedisError::from((ErrorKind::Client, "the application's")))
    });
    assert!(failed.is_err());
    con.send_packed_command(&packed(&format!("EXISTS {}", keys[1]))).unwrap();
    assert_eq!(con.recv_response(), Ok(Value::Int(0)));
    say(&mut con, "UNWATCH");
    let () = redis::transaction(&mut con, &keys[1..], |con, pipe| pipe.set(&keys[1], 1).query(con))
        .unwrap();
    // Inside a transaction it would be queued.
    say(&mut con, "MULTI");
    assert!(con.send_packed_command(&packed("GET a")).is_err());
}
