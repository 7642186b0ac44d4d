//! Transactions.

use super::Log;
use super::describe;
use super::redis;
use super::say;
use redis::Commands;
use redis::RedisResult;
use redis::Value;

pub(super) fn run(
    client: &redis::Client,
    con: &mut redis::Connection,
    log: &mut Log,
) -> RedisResult<()> {
    let mut other = client.get_connection()?;
    guarded(con, &mut other, log)?;
    by_hand(con, &mut other, log)?;
    mistakes(con, log)
}

fn guarded(
    con: &mut redis::Connection,
    other: &mut redis::Connection,
    log: &mut Log,
) -> RedisResult<()> {
    let () = con.set("{u}balance", 10)?;
    let (balance,): (i64,) = redis::transaction(con, &["{u}balance"], |con, pipe| {
        let balance: i64 = con.get("{u}balance")?;
        pipe.set("{u}balance", balance + 1).ignore().get("{u}balance").query(con)
    })?;
    say!(log, balance);
    let mut attempts = 0;
    let (balance,): (i64,) = redis::transaction(con, &["{u}balance", "{u}limit"], |con, pipe| {
        attempts += 1;
        let balance: i64 = con.get("{u}balance")?;
        if attempts == 1 {
            let () = other.set("{u}balance", 100)?;
        }
        pipe.set("{u}balance", balance + 1).ignore().get("{u}balance").query(con)
    })?;
    say!(log, (balance, attempts));
    let given_up: RedisResult<i64> = redis::transaction(con, &["{u}balance"], |_, _| {
        Err((redis::ErrorKind::Client, "given up").into())
    });
    say!(log, given_up.map_err(|error| describe(&error)));
    // A transaction on other keys is none the worse for it.
    say!(log, redis::cmd("UNWATCH").query::<Value>(con));
    let () = con.set("{v}number", 1)?;
    let result: Vec<i64> =
        redis::transaction(con, &["{v}number"], |con, pipe| pipe.incr("{v}number", 1).query(con))?;
    say!(log, result);
    Ok(())
}

fn by_hand(
    con: &mut redis::Connection,
    other: &mut redis::Connection,
    log: &mut Log,
) -> RedisResult<()> {
    let mut run = |line: &str| {
        let words: Vec<_> = line.split(' ').collect();
        let reply = redis::cmd(words[0]).arg(&words[1..]).query::<Value>(con);
        log.line(line, reply.map_err(|error| describe(&error)));
    };
    for line in ["MULTI", "SET {w}a 1", "INCR {w}a", "PING", "GET {w}a", "EXEC"] {
        run(line);
    }
    for line in ["MULTI", "SET {w}a 9", "DISCARD", "GET {w}a"] {
        run(line);
    }
    for line in ["WATCH {w}a {w}b", "MULTI", "INCR {w}a", "EXEC"] {
        run(line);
    }
    run("WATCH {w}a");
    let () = other.set("{w}a", "changed")?;
    for line in ["MULTI", "SET {w}a 1", "EXEC", "GET {w}a"] {
        run(line);
    }
    run("WATCH {w}a");
    let () = other.set("{w}a", "changed again")?;
    for line in ["UNWATCH", "MULTI", "SET {w}a 1", "EXEC", "GET {w}a"] {
        run(line);
    }
    for line in ["MULTI", "EXEC", "MULTI", "PING hello", "EXEC", "MULTI", "UNWATCH", "EXEC"] {
        run(line);
    }
    Ok(())
}

fn mistakes(con: &mut redis::Connection, log: &mut Log) -> RedisResult<()> {
    let mut run = |line: &str| {
        let words: Vec<_> = line.split(' ').collect();
        let reply = redis::cmd(words[0]).arg(&words[1..]).query::<Value>(con);
        log.line(line, reply.map_err(|error| describe(&error)));
    };
    for line in
        ["EXEC", "DISCARD", "WATCH", "EXEC x", "MULTI x", "DISCARD x", "UNWATCH x", "UNWATCH"]
    {
        run(line);
    }
    for line in ["MULTI", "MULTI", "WATCH {w}a", "SET {w}c 1", "EXEC"] {
        run(line);
    }
    for line in ["MULTI", "SET {w}d", "SET {w}d 1", "EXEC", "EXISTS {w}d"] {
        run(line);
    }
    for wrong in ["UNWATCH x", "DISCARD x", "MULTI x", "WATCH", "EXEC x", "PING a b", "ECHO"] {
        for line in ["MULTI", "SET {w}f 1", wrong, "SET {w}f 2", "EXEC", "EXISTS {w}f", "DISCARD"] {
            run(line);
        }
    }
    for line in ["MULTI", "NOSUCHCOMMAND {w}a", "EXEC", "MULTI", "GET {w}a", "EXEC"] {
        run(line);
    }
    for line in ["MULTI", "SET {w}e 1", "LPUSH {w}e 1", "GET {w}e", "EXEC"] {
        run(line);
    }
    Ok(())
}
