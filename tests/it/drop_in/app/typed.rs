//! The trait whose methods know what they return.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::Log;
use super::redis;
use super::say;
use redis::RedisResult;
use redis::TypedCommands;

pub(super) fn run(
    client: &redis::Client,
    con: &mut redis::Connection,
    log: &mut Log,
) -> RedisResult<()> {
    on_any_connection(con, log)?;
    // A client is a connection too: a new one for each request.
    on_any_connection(&mut client.clone(), log)
}

fn on_any_connection(con: &mut impl TypedCommands, log: &mut Log) -> RedisResult<()> {
    con.flushall()?;
    say!(log, con.set("a", 1));
    say!(log, con.get("a"));
    say!(log, con.get("absent"));
    say!(log, con.mset(&[("b", "2"), ("c", "3"), ("d", "4")]));
    say!(log, con.mget(&["d", "absent", "a", "c"]));
    say!(log, con.exists("b"));
    say!(log, con.exists("absent"));
    say!(log, con.del(&["b", "c", "absent"]));
    say!(log, con.incr("a", 41));
    say!(log, con.expire("a", 100));
    say!(log, con.ttl("d"));
    say!(log, con.ttl("absent"));
    say!(log, con.hset("h", "f", "v"));
    say!(log, con.hgetall("h")?.into_iter().collect::<BTreeMap<_, _>>());
    say!(log, con.rpush("l", &["x", "y"]));
    say!(log, con.lrange("l", 0, -1));
    say!(log, con.sadd("s", &["x", "y"]));
    say!(log, con.smembers("s")?.into_iter().collect::<BTreeSet<_>>());
    say!(log, con.zadd("z", "member", 1.5));
    say!(log, con.zscore("z", "member"));
    say!(log, con.rename("{r}a", "{r}b").map_err(|error| super::describe(&error)));
    say!(log, con.keys("*")?.into_iter().collect::<BTreeSet<_>>());
    say!(log, con.key_type("z"));
    say!(log, con.ping());
    say!(log, con.publish("channel", "nobody listens"));
    say!(log, con.unlink(&["a", "d"]));
    Ok(())
}
