//! What is done with keys of any type.

use super::Log;
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
    for number in 0..30 {
        let () = con.set(format!("{number}:key"), number)?;
    }
    expiry(con, log)?;
    moving(con, log)?;
    the_whole(con, log)
}

fn expiry(con: &mut redis::Connection, log: &mut Log) -> RedisResult<()> {
    say!(log, con.expire::<_, bool>("1:key", 1000));
    say!(log, con.expire::<_, bool>("absent", 1000));
    say!(log, con.ttl::<_, i64>("1:key")? > 900);
    say!(log, con.pttl::<_, i64>("1:key")? > 900_000);
    say!(log, con.ttl::<_, redis::IntegerReplyOrNoOp>("2:key"));
    say!(log, con.ttl::<_, redis::IntegerReplyOrNoOp>("absent"));
    say!(log, con.persist::<_, bool>("1:key"));
    say!(log, con.ttl::<_, i64>("1:key"));
    say!(log, con.expire_at::<_, bool>("3:key", 4_000_000_000));
    say!(log, con.expire_time::<_, i64>("3:key"));
    say!(log, con.pexpire::<_, bool>("4:key", -1));
    say!(log, con.get::<_, Option<i64>>("4:key"));
    Ok(())
}

fn moving(con: &mut redis::Connection, log: &mut Log) -> RedisResult<()> {
    let () = con.set("{move}a", "content")?;
    say!(log, con.rename::<_, _, Value>("{move}a", "{move}b"));
    say!(log, con.get::<_, Option<String>>("{move}a"));
    say!(log, con.get::<_, Option<String>>("{move}b"));
    say!(log, con.rename_nx::<_, _, bool>("{move}b", "{move}c"));
    say!(
        log,
        con.rename::<_, _, Value>("{move}x", "{move}y").map_err(|error| super::describe(&error))
    );
    say!(log, con.copy::<_, _, _, bool>("{move}c", "{move}d", redis::CopyOptions::default()));
    say!(log, con.copy::<_, _, _, bool>("{move}c", "{move}d", redis::CopyOptions::default()));
    say!(log, con.mget::<_, Vec<Option<String>>>(&["{move}b", "{move}c", "{move}d"]));
    say!(log, con.key_type::<_, redis::ValueType>("{move}c"));
    say!(log, con.key_type::<_, String>("absent"));
    say!(log, con.object_encoding::<_, String>("5:key"));
    say!(log, con.object_encoding::<_, Option<String>>("absent"));
    say!(log, con.object_idletime::<_, usize>("5:key")? < 100);
    say!(log, redis::cmd("MEMORY").arg("USAGE").arg("5:key").query::<i64>(con)? > 10);
    let dump: Vec<u8> = redis::cmd("DUMP").arg("{move}c").query(con)?;
    say!(log, redis::cmd("RESTORE").arg("restored").arg(0).arg(dump).query::<Value>(con));
    say!(log, con.get::<_, String>("restored"));
    let () = con.rpush("{sort}list", &[3, 1, 2])?;
    for number in 1..=3 {
        let () = con.set(format!("{{sort}}weight_{number}"), 10 - number)?;
    }
    say!(log, redis::cmd("SORT").arg("{sort}list").query::<Vec<i64>>(con));
    say!(log, redis::cmd("SORT").arg("{sort}list").arg("DESC").query::<Vec<i64>>(con));
    let by = ["BY", "{sort}weight_*", "GET", "{sort}weight_*", "GET", "#"];
    say!(log, redis::cmd("SORT").arg("{sort}list").arg(&by).query::<Vec<i64>>(con));
    let store = ["STORE", "{sort}sorted"];
    say!(log, redis::cmd("SORT").arg("{sort}list").arg(&store).query::<i64>(con));
    say!(log, con.lrange::<_, Vec<i64>>("{sort}sorted", 0, -1));
    say!(log, redis::cmd("MOVE").arg("5:key").arg(1).query::<i64>(con));
    say!(log, redis::cmd("MOVE").arg("absent").arg(1).query::<i64>(con));
    Ok(())
}

fn the_whole(con: &mut redis::Connection, log: &mut Log) -> RedisResult<()> {
    let mut keys: Vec<String> = con.keys("*:key")?;
    keys.sort();
    say!(log, keys);
    say!(log, con.keys::<_, Vec<String>>("no such *"));
    say!(log, redis::cmd("DBSIZE").query::<i64>(con));
    let random: Option<String> = redis::cmd("RANDOMKEY").query(con)?;
    say!(log, con.exists::<_, bool>(random));
    say!(log, redis::cmd("PING").query::<String>(con));
    say!(log, con.ping_message::<_, String>("hello"));
    say!(log, redis::cmd("ECHO").arg("hello").query::<String>(con));
    say!(log, redis::cmd("WAIT").arg(0).arg(10).query::<i64>(con));
    say!(log, redis::cmd("CONFIG").arg("SET").arg("maxmemory-samples").arg(7).query::<Value>(con));
    say!(log, redis::cmd("CONFIG").arg("GET").arg("maxmemory-samples").query::<Value>(con));
    say!(log, redis::cmd("SWAPDB").arg(3).arg(4).query::<Value>(con));
    say!(log, redis::cmd("DBSIZE").query::<i64>(con));
    say!(log, redis::cmd("SWAPDB").arg(4).arg(3).query::<Value>(con));
    say!(log, con.flushdb::<Value>());
    say!(log, redis::cmd("DBSIZE").query::<i64>(con));
    say!(log, redis::cmd("RANDOMKEY").query::<Option<String>>(con));
    say!(log, con.flushall::<Value>());
    Ok(())
}
