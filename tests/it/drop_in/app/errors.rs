//! What goes wrong.

use super::Log;
use super::describe;
use super::redis;
use super::say;
use redis::Commands;
use redis::RedisResult;
use redis::Value;

pub(super) fn run(
    _: &redis::Client,
    con: &mut redis::Connection,
    log: &mut Log,
) -> RedisResult<()> {
    let () = con.set("text", "words")?;
    let () = con.rpush("list", 1)?;
    for line in [
        "GET list",
        "LPUSH text 1",
        "INCR text",
        "INCRBY text 1.5",
        "GET",
        "GET a b",
        "SET a",
        "MGET",
        "MSET",
        "MSET a",
        "MSET a 1 b",
        "DEL",
        "EXISTS",
        "RENAME {a}x {a}y",
        "RENAME x",
        "NOSUCHCOMMAND",
        "NOSUCHCOMMAND with arguments",
        "OBJECT",
        "OBJECT NOSUCH key",
        "CONFIG SET",
        "CLIENT SETNAME",
        "CLIENT ID x",
        "SELECT 99999",
        "SELECT words",
        "EXPIRE text soon",
        "SCAN",
        "SCAN words",
        "SCAN 0 COUNT 0",
        "SCAN 0 NOSUCH option",
        "EVAL",
        "EVAL code 5 a",
        "EVAL code -1",
        "EVALSHA ffffffffffffffffffffffffffffffffffffffff 0",
        "ZUNIONSTORE d many a",
        "ZADD z words member",
        "XADD stream 0-0 f v",
        "XREAD STREAMS a",
        "XREADGROUP GROUP g c STREAMS {a}s >",
        "BITOP NOT {b}d {b}a {b}b",
        "BLPOP list words",
        "ECHO",
        "PING a b",
        "PUBLISH channel",
        "SETRANGE text -1 x",
        "HSET h field",
        "SORT text BY",
        "GEOADD g 200 200 m",
        "RESTORE r 0 rubbish",
        "DEBUG DIGEST-VALUE",
        "AUTH wrong",
        "FCALL nosuch 0",
        "SPOP s -1",
        "SINTERCARD 0 s",
        "LMPOP 0 l LEFT",
        "MEMORY USAGE absent",
        "DBSIZE x",
        "FLUSHALL LATER",
        "KEYS",
        "SCRIPT EXISTS",
        "SCRIPT LOAD",
        "SCRIPT LOAD not-a-script",
        "WAIT 0",
        "TIME x",
    ] {
        let words: Vec<_> = line.split(' ').collect();
        let reply = redis::cmd(words[0]).arg(&words[1..]).query::<Value>(con);
        log.line(line, reply.map_err(|error| describe(&error)));
    }
    say!(log, con.get::<_, i64>("text").map_err(|error| describe(&error)));
    say!(log, con.get::<_, i64>("absent").map_err(|error| describe(&error)));
    say!(log, con.get::<_, String>("absent").map_err(|error| describe(&error)));
    say!(log, con.mget::<_, Vec<i64>>(&["text", "absent"]).map_err(|error| describe(&error)));
    say!(log, con.mget::<_, Vec<Option<String>>>(&["text", "list", "absent"]));
    say!(log, redis::Cmd::new().query::<Value>(con).map_err(|error| describe(&error)));
    // Nothing of this has broken the connection.
    say!(log, con.get::<_, String>("text"));
    Ok(())
}
