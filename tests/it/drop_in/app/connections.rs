//! The connection itself.

use std::time::Duration;

use super::Log;
use super::describe;
use super::redis;
use super::say;
use redis::Commands;
use redis::ConnectionLike;
use redis::RedisResult;
use redis::Value;

/// A part of an application that keeps a connection.
struct Cache {
    con: redis::Connection,
}

impl Cache {
    fn remember(&mut self, name: &str) -> RedisResult<i64> {
        self.con.incr(name, 1)
    }
}

pub(super) fn run(
    client: &redis::Client,
    con: &mut redis::Connection,
    log: &mut Log,
) -> RedisResult<()> {
    say!(log, con.is_open());
    say!(log, con.check_connection());
    say!(log, con.supports_pipelining());
    say!(log, con.get_db());
    say!(log, client.get_db());
    say!(log, client.is_open());
    say!(log, client.clone().check_connection());
    say!(log, client.get_connection_info().redis_settings().db());
    say!(log, client.get_connection_info().redis_settings().username());
    let mut cache = Cache { con: client.get_connection_with_timeout(Duration::from_secs(20))? };
    say!(log, cache.remember("here"));
    say!(log, cache.remember("there"));
    timeouts(con, log)?;
    packed(con, log)?;
    settings(con, log)?;
    without_replies(con, log)
}

fn timeouts(con: &mut redis::Connection, log: &mut Log) -> RedisResult<()> {
    say!(log, con.set_read_timeout(Some(Duration::from_secs(20))));
    say!(log, con.set_write_timeout(Some(Duration::from_secs(20))));
    say!(log, con.set_read_timeout(Some(Duration::ZERO)).map_err(|error| error.is_io_error()));
    say!(log, con.set_write_timeout(Some(Duration::ZERO)).is_err());
    say!(log, con.get::<_, i64>("here"));
    say!(log, con.set_read_timeout(None));
    say!(log, con.set_write_timeout(None));
    Ok(())
}

fn packed(con: &mut redis::Connection, log: &mut Log) -> RedisResult<()> {
    let packed = |line: &str| {
        let words: Vec<_> = line.split(' ').collect();
        redis::cmd(words[0]).arg(&words[1..]).get_packed_command()
    };
    for line in ["SET k1 1", "INCR k1", "SET k2 x", "INCR k2", "MGET k1 k2 k3", "DBSIZE"] {
        con.send_packed_command(&packed(line))?;
    }
    for _ in 0..6 {
        say!(log, con.recv_response());
    }
    say!(log, con.req_packed_command(&packed("GET k1")));
    say!(log, con.req_packed_command(&packed("GET k1 too many")));
    say!(log, con.req_packed_command(b"*2\r\n$3\r\nget\r\n$2\r\nk2\r\n"));
    say!(log, con.req_packed_command(b"").map_err(|error| describe(&error)));
    let both = [packed("GET k1"), packed("LPUSH k1 x"), packed("GET k2")].concat();
    say!(log, con.req_packed_commands(&both, 0, 3));
    let atomic =
        [packed("MULTI"), packed("SET {k}a 1"), packed("GET {k}a"), packed("EXEC")].concat();
    say!(log, con.req_packed_commands(&atomic, 3, 1));
    Ok(())
}

fn settings(con: &mut redis::Connection, log: &mut Log) -> RedisResult<()> {
    let () = con.set("in", "three")?;
    say!(log, redis::cmd("SELECT").arg(5).query::<Value>(con));
    say!(log, con.get::<_, Option<String>>("in"));
    let () = con.mset(&[("in", "five"), ("in too", "five"), ("in as well", "five")])?;
    say!(log, con.get_db());
    say!(log, redis::cmd("SELECT").arg(3).query::<Value>(con));
    say!(log, con.get::<_, Option<String>>("in"));
    say!(log, con.get::<_, Option<String>>("in too"));
    say!(log, con.client_setname::<_, Value>("me"));
    say!(log, con.client_getname::<Option<String>>());
    say!(log, con.client_setname::<_, Value>("two words").map_err(|error| describe(&error)));
    say!(log, con.client_getname::<Option<String>>());
    say!(log, con.acl_whoami::<String>());
    say!(log, redis::cmd("AUTH").arg("s3cret:/?#@").query::<Value>(con));
    say!(log, redis::cmd("CLIENT").arg("NO-EVICT").arg("ON").query::<Value>(con));
    Ok(())
}

fn without_replies(con: &mut redis::Connection, log: &mut Log) -> RedisResult<()> {
    say!(log, con.set::<_, _, ()>("last", "word"));
    say!(log, redis::cmd("QUIT").query::<Value>(con));
    Ok(())
}
