//! Many commands at once.

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
    plain(con, log)?;
    with_errors(con, log)?;
    atomic(con, log)?;
    atomic_with_errors(con, log)?;
    generic(con, log)
}

fn plain(con: &mut redis::Connection, log: &mut Log) -> RedisResult<()> {
    let mut pipe = redis::pipe();
    for number in 0..10 {
        pipe.set(format!("{number}:p"), number).ignore();
    }
    for number in (0..10).rev() {
        pipe.get(format!("{number}:p"));
    }
    say!(log, pipe.query::<Vec<i64>>(con));
    say!(log, pipe.len());
    pipe.clear();
    say!(log, pipe.query::<()>(con).map_err(|error| describe(&error)));
    let keys: Vec<_> = (0..10).map(|number| format!("{number}:p")).collect();
    pipe.mget(&keys).incr("0:p", 5).mget(&keys[..3]).exists(&keys).cmd("PING").del(&keys[..5]);
    pipe.cmd("ECHO").arg("text").cmd("DBSIZE").mset(&[("m1", 1), ("m2", 2)]).unlink(&keys);
    say!(log, pipe.query::<Vec<Value>>(con));
    let (one, two): (i64, Option<i64>) =
        redis::pipe().incr("counter", 1).get("absent").query(con)?;
    say!(log, (one, two));
    say!(log, redis::pipe().cmd("SET").arg("x").arg("y").exec(con));
    say!(log, redis::pipe().set("x", 1).ignore().query::<Value>(con));
    say!(log, redis::pipe().get("x").query::<(i64,)>(con));
    say!(
        log,
        redis::pipe().hset("hash", "a", 1).hgetall("hash").query::<(i64, Vec<(String, i64)>)>(con)
    );
    Ok(())
}

fn with_errors(con: &mut redis::Connection, log: &mut Log) -> RedisResult<()> {
    let () = con.set("text", "no number")?;
    let mut pipe = redis::pipe();
    pipe.set("e1", 1).incr("text", 1).set("e2", 2).lpush("text", 1).get("e1").get("e2");
    let error = pipe.query::<Value>(con).unwrap_err();
    say!(log, describe(&error));
    say!(log, error.into_server_errors());
    pipe.ignore_errors();
    say!(log, pipe.query::<Vec<Value>>(con));
    say!(log, pipe.query::<Vec<RedisResult<Value>>>(con));
    let mut pipe = redis::pipe();
    pipe.cmd("NOSUCHCOMMAND").arg("x").ping();
    say!(log, pipe.query::<Value>(con).map_err(|error| describe(&error)));
    let mut pipe = redis::pipe();
    pipe.cmd("GET").get("e1");
    say!(log, pipe.query::<Value>(con).map_err(|error| describe(&error)));
    Ok(())
}

fn atomic(con: &mut redis::Connection, log: &mut Log) -> RedisResult<()> {
    let mut pipe = redis::pipe();
    pipe.atomic().set("{t}a", 1).ignore().incr("{t}a", 5).mget(&["{t}a", "{t}b"]);
    say!(log, pipe.query::<(i64, (i64, Option<i64>))>(con));
    say!(log, redis::pipe().atomic().ping().query::<Vec<String>>(con));
    say!(log, redis::pipe().atomic().query::<Value>(con).map_err(|error| describe(&error)));
    say!(log, redis::pipe().atomic().set("{t}x", 1).ignore().query::<Value>(con));
    say!(log, redis::pipe().atomic().set("{t}x", 1).exec(con));
    say!(
        log,
        redis::pipe().atomic().get("{t}x").ping().get("{t}x").query::<(i64, String, i64)>(con)
    );
    Ok(())
}

fn atomic_with_errors(con: &mut redis::Connection, log: &mut Log) -> RedisResult<()> {
    let () = con.set("{t}text", "no number")?;
    let mut pipe = redis::pipe();
    pipe.atomic().set("{t}y", 1).incr("{t}text", 1).set("{t}z", 1);
    say!(log, pipe.query::<Value>(con).map_err(|error| describe(&error)));
    pipe.ignore_errors();
    say!(log, pipe.query::<Vec<Value>>(con));
    // What failed did not keep the others from it.
    say!(log, con.mget::<_, Vec<Option<i64>>>(&["{t}y", "{t}z"]));
    let mut pipe = redis::pipe();
    pipe.atomic().set("{t}never", 1).cmd("NOSUCHCOMMAND").arg("{t}x").cmd("GET");
    let error = pipe.query::<Value>(con).unwrap_err();
    say!(log, (error.kind(), error.code(), error.category(), error.is_io_error()));
    let text = error.to_string();
    say!(log, text.contains("Transaction aborted") && text.contains("unknown command"));
    say!(
        log,
        text.contains("(Index 1, ") && text.contains("(Index 2, ") && !text.contains("(Index 0, ")
    );
    say!(log, con.exists::<_, bool>("{t}never"));
    Ok(())
}

/// A function for whatever is like a connection.
fn count(con: &mut dyn redis::ConnectionLike) -> RedisResult<i64> {
    redis::cmd("INCR").arg("generic").query(con)
}

fn generic(con: &mut redis::Connection, log: &mut Log) -> RedisResult<()> {
    say!(log, count(con));
    say!(log, count(&mut &mut *con));
    let mut boxed: Box<&mut redis::Connection> = Box::new(con);
    say!(log, count(&mut boxed));
    Ok(())
}
