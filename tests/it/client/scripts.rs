//! Scripts and functions over several nodes.

use redis::ErrorKind;
use redis::RedisResult;
use redis::Script;
use redis::ServerErrorKind;
use redis::Value;
use shardwright::ShardErrorKind;
use shardwright::ShardedConnection;

use super::pool::Pool;
use super::pool::ask;
use super::pool::kind;
use super::pool::say;

fn add() -> Script {
    Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])")
}

#[test]
fn a_script_is_loaded_on_all_nodes() {
    let Some(pool) = Pool::start(3) else { return };
    let mut con = pool.connection();
    let script = add();
    // redis-rs asserts that it is the hash it computed.
    assert_eq!(script.prepare_invoke().load(&mut con).unwrap(), script.get_hash());
    let exists = format!("SCRIPT EXISTS {}", script.get_hash());
    for server in 0..3 {
        assert_eq!(say(&mut pool.direct(server), &exists), "[1]");
    }
    // So that its first use on each node is one request.
    for key in pool.keys() {
        assert_eq!(script.key(key).arg(2).invoke::<i64>(&mut con).unwrap(), 2);
    }
    assert_eq!(pool.calls_everywhere("evalsha"), 3);
    assert_eq!(pool.calls_everywhere("script|load"), 3);
    // Missing on one node is missing.
    say(&mut pool.direct(1), "SCRIPT FLUSH");
    assert_eq!(say(&mut con, &exists), "[0]");
}

#[test]
fn a_node_that_forgot_a_script_is_given_it_again() {
    let Some(mut pool) = Pool::start(3) else { return };
    let mut con = pool.connection();
    let script = add();
    let keys = pool.keys();
    let run = |con: &mut ShardedConnection, key: &String| {
        script.key(key).arg(1).invoke::<i64>(con).unwrap()
    };
    for key in &keys {
        assert_eq!(run(&mut con, key), 1);
    }
    say(&mut pool.direct(1), "SCRIPT FLUSH");
    assert_eq!(run(&mut con, &keys[1]), 2);
    pool.servers[2].restart();
    super::pool::rest();
    assert_eq!(run(&mut con, &keys[2]), 1, "the server came back empty");
    assert_eq!(say(&mut con, "SCRIPT FLUSH"), "OK");
    for (key, sum) in keys.iter().zip([2, 3, 2]) {
        assert_eq!(run(&mut con, key), sum);
    }
}

#[test]
fn the_keys_of_a_script_are_on_one_node() {
    let Some(pool) = Pool::start(2) else { return };
    let mut con = pool.connection();
    let keys = pool.keys();
    let both = Script::new("return redis.call('MGET', KEYS[1], KEYS[2])");
    let crossing = both.key(&keys[0]).key(&keys[1]).invoke::<Value>(&mut con);
    assert_eq!(kind(crossing), ShardErrorKind::CrossShard);
    for name in ["EVAL", "EVAL_RO", "FCALL", "FCALL_RO"] {
        let line = format!("{name} code 2 {} {}", keys[0], keys[1]);
        assert_eq!(kind(ask(&mut con, &line)), ShardErrorKind::CrossShard, "{name}");
    }
    for command in ["evalsha", "eval", "eval_ro", "fcall", "fcall_ro", "script|load"] {
        assert_eq!(pool.calls_everywhere(command), 0, "{command}");
    }
    for key in &keys {
        let (one, other) = (format!("{{{key}}}1"), format!("{{{key}}}2"));
        say(&mut con, &format!("MSET {one} a {other} b"));
        let values: Vec<String> = both.key(&one).key(&other).invoke(&mut con).unwrap();
        assert_eq!(values, ["a", "b"]);
        // An argument that looks like a key of another node is none.
        let name = Script::new("return ARGV[1]").key(&one).arg(&keys[0]).invoke(&mut con);
        assert_eq!(name, Ok(keys[0].clone()));
    }
}

#[test]
fn a_script_without_keys_runs_on_the_designated_node() {
    let Some(pool) = Pool::start(3) else { return };
    let mut con = pool.connection();
    for number in 0..6 {
        assert_eq!(Script::new("return ARGV[1] + 1").arg(number).invoke(&mut con), Ok(number + 1));
    }
    // Six, and the one that was answered NOSCRIPT.
    assert_eq!(pool.calls(pool.owner("placeholder"), "evalsha"), 7);
    assert_eq!(pool.calls_everywhere("evalsha"), 7);
}

#[test]
fn a_script_that_names_no_key_finds_it_by_on_key() {
    let Some(pool) = Pool::start(3) else { return };
    let mut con = pool.connection();
    let hidden = Script::new("return redis.call('GET', ARGV[1])");
    for key in pool.keys() {
        say(&mut con, &format!("SET {key} there"));
        let value = con.on_key(&key, |node| hidden.arg(&key).invoke::<String>(node));
        assert_eq!(value, Ok("there".into()));
    }
    // Without it, it is the designated node that looks: the guide warns of it.
    let elsewhere = (0..3).find(|server| *server != pool.owner("placeholder")).unwrap();
    let key = pool.key_on(elsewhere, 0);
    assert_eq!(hidden.arg(&key).invoke::<Option<String>>(&mut con), Ok(None));
}

#[test]
fn wrong_numbers_of_keys_are_refused_in_the_words_of_the_server() {
    let Some(pool) = Pool::start(2) else { return };
    let mut con = pool.connection();
    for line in ["EVAL code 3 a", "EVAL code -1 a", "EVAL code many a", "EVAL code", "EVALSHA"] {
        let theirs = say(&mut pool.direct(0), line);
        assert_eq!(say(&mut con, line), theirs, "{line}");
        assert!(theirs.starts_with("ERR "), "{theirs}");
    }
}

#[test]
fn a_pipeline_runs_scripts_on_all_nodes_in_order() {
    let Some(pool) = Pool::start(3) else { return };
    let mut con = pool.connection();
    let script = add();
    let keys: Vec<_> = (0..12).map(|number| pool.key_on(number % 3, number / 3)).collect();
    let mut pipe = redis::pipe();
    for (number, key) in keys.iter().enumerate() {
        pipe.invoke_script(script.key(key).arg(number));
    }
    // On one server nobody loads it for a pipeline either.
    let error = pipe.query::<Value>(&mut con).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server(ServerErrorKind::NoScript));
    let mut loading = redis::pipe();
    loading.load_script(&script).ignore();
    for (number, key) in keys.iter().enumerate() {
        loading.invoke_script(script.key(key).arg(number));
    }
    assert_eq!(loading.query(&mut con), Ok((0..12).collect::<Vec<i64>>()));
    assert_eq!(pipe.query(&mut con), Ok((0..12).map(|sum| 2 * sum).collect::<Vec<i64>>()));
    let mut atomic = redis::pipe();
    atomic.atomic().invoke_script(script.key(&keys[1]).arg(1)).set(&keys[1], 0).ignore();
    assert_eq!(atomic.query(&mut con), Ok((3,)));
}

#[test]
fn a_function_is_loaded_on_every_node_or_none() {
    let Some(mut pool) = Pool::start(3) else { return };
    let mut con = pool.connection();
    let code = "#!lua name=lib\n\
                redis.register_function{function_name='mine', flags={'no-writes'}, \
                callback=function(keys) return redis.call('GET', keys[1]) end}";
    let load = |con: &mut ShardedConnection| -> RedisResult<String> {
        redis::cmd("FUNCTION").arg("LOAD").arg("REPLACE").arg(code).query(con)
    };
    assert_eq!(load(&mut con), Ok("lib".into()));
    for key in pool.keys() {
        say(&mut con, &format!("SET {key} value"));
        for name in ["FCALL", "FCALL_RO"] {
            assert_eq!(say(&mut con, &format!("{name} mine 1 {key}")), "value");
        }
    }
    pool.servers[1].kill();
    super::pool::rest();
    let error = super::pool::shard_error(&load(&mut con).unwrap_err());
    assert_eq!((error.kind(), error.node()), (ShardErrorKind::Node, Some("n1")));
    assert_eq!(error.completed_nodes().collect::<Vec<_>>(), ["n0", "n2"]);
    // A script is only cached: those that are there have it, and the error says who has not.
    assert!(add().prepare_invoke().load(&mut con).is_err());
    let key = pool.key_on(2, 0);
    assert_eq!(add().key(format!("{{{key}}}n")).arg(4).invoke(&mut con), Ok(4));
}
