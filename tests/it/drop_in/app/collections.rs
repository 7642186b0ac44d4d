//! Lists, hashes, sets and sorted sets.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::Log;
use super::redis;
use super::say;
use redis::Commands;
use redis::Direction;
use redis::RedisResult;
use redis::Value;

type Words = BTreeSet<String>;

pub(super) fn run(
    _: &redis::Client,
    con: &mut redis::Connection,
    log: &mut Log,
) -> RedisResult<()> {
    lists(con, log)?;
    hashes(con, log)?;
    sets(con, log)?;
    sorted_sets(con, log)?;
    many_of_each(con, log)
}

fn lists(con: &mut redis::Connection, log: &mut Log) -> RedisResult<()> {
    say!(log, con.rpush::<_, _, usize>("{l}a", &["b", "c", "d"]));
    say!(log, con.lpush::<_, _, usize>("{l}a", "a"));
    say!(log, con.lpush_exists::<_, _, usize>("{l}absent", "a"));
    say!(log, con.lrange::<_, Vec<String>>("{l}a", 0, -1));
    say!(log, con.lindex::<_, String>("{l}a", -1));
    say!(log, con.linsert_before::<_, _, _, isize>("{l}a", "b", "between"));
    say!(log, con.lset::<_, _, Value>("{l}a", 0, "first"));
    say!(log, con.lpos::<_, _, Option<usize>>("{l}a", "c", redis::LposOptions::default()));
    say!(log, con.lrem::<_, _, usize>("{l}a", 0, "between"));
    say!(log, con.llen::<_, usize>("{l}a"));
    say!(log, con.lpop::<_, Option<String>>("{l}a", None));
    say!(log, con.rpop::<_, Vec<String>>("{l}a", std::num::NonZeroUsize::new(2)));
    say!(log, con.rpoplpush::<_, _, String>("{l}a", "{l}b"));
    say!(log, con.lpop::<_, Option<String>>("{l}a", None));
    say!(log, con.lmove::<_, _, String>("{l}b", "{l}c", Direction::Left, Direction::Right));
    say!(log, con.rpush::<_, _, usize>("{l}c", &["x", "y"]));
    say!(log, con.lmpop::<_, Value>(2, &["{l}b", "{l}c"], Direction::Left, 2));
    say!(log, con.blpop::<_, (String, String)>(&["{l}b", "{l}c"], 1.0));
    say!(log, con.brpop::<_, Option<(String, String)>>("{l}c", 0.01));
    say!(
        log,
        con.blmove::<_, _, Option<String>>("{l}b", "{l}c", Direction::Left, Direction::Left, 0.01)
    );
    say!(log, con.ltrim::<_, Value>("{l}c", 0, 0));
    Ok(())
}

fn hashes(con: &mut redis::Connection, log: &mut Log) -> RedisResult<()> {
    say!(log, con.hset::<_, _, _, usize>("h", "a", 1));
    say!(log, con.hset_multiple::<_, _, _, Value>("h", &[("b", 2), ("c", 3)]));
    say!(log, con.hset_nx::<_, _, _, bool>("h", "a", 9));
    say!(log, con.hget::<_, _, Option<i64>>("h", "b"));
    say!(log, con.hget::<_, _, Option<i64>>("h", "absent"));
    say!(log, con.hmget::<_, _, Vec<Option<i64>>>("h", &["a", "absent", "c"]));
    say!(log, con.hgetall::<_, BTreeMap<String, i64>>("h"));
    say!(log, con.hgetall::<_, BTreeMap<String, i64>>("absent"));
    say!(log, con.hincr::<_, _, _, i64>("h", "a", 10));
    say!(log, con.hincr::<_, _, _, f64>("h", "a", 0.5));
    say!(log, con.hexists::<_, _, bool>("h", "a"));
    say!(log, con.hkeys::<_, Words>("h"));
    say!(log, con.hvals::<_, Words>("h"));
    say!(log, con.hlen::<_, usize>("h"));
    say!(log, con.hdel::<_, _, usize>("h", &["a", "absent"]));
    say!(log, redis::cmd("HRANDFIELD").arg("absent").query::<Option<String>>(con));
    Ok(())
}

fn sets(con: &mut redis::Connection, log: &mut Log) -> RedisResult<()> {
    say!(log, con.sadd::<_, _, usize>("{s}a", &[1, 2, 3]));
    say!(log, con.sadd::<_, _, usize>("{s}b", &[3, 4]));
    say!(log, con.smembers::<_, BTreeSet<i64>>("{s}a"));
    say!(log, con.sismember::<_, _, bool>("{s}a", 2));
    say!(log, con.smismember::<_, _, Vec<bool>>("{s}a", &[1, 9]));
    say!(log, con.sinter::<_, BTreeSet<i64>>(&["{s}a", "{s}b"]));
    say!(log, con.sunion::<_, BTreeSet<i64>>(&["{s}a", "{s}b"]));
    say!(log, con.sdiff::<_, BTreeSet<i64>>(&["{s}a", "{s}b"]));
    say!(log, con.sinterstore::<_, _, usize>("{s}c", &["{s}a", "{s}b"]));
    say!(log, con.sunionstore::<_, _, usize>("{s}d", &["{s}a", "{s}b"]));
    say!(log, con.sdiffstore::<_, _, usize>("{s}e", &["{s}a", "{s}b"]));
    say!(log, redis::cmd("SINTERCARD").arg(2).arg(&["{s}a", "{s}b"]).query::<i64>(con));
    say!(log, con.smove::<_, _, _, bool>("{s}a", "{s}b", 1));
    say!(log, con.scard::<_, usize>("{s}b"));
    say!(log, con.srem::<_, _, usize>("{s}b", &[1, 99]));
    say!(log, con.spop::<_, Option<i64>>("{s}c"));
    say!(log, con.srandmember::<_, Option<i64>>("{s}c"));
    Ok(())
}

fn sorted_sets(con: &mut redis::Connection, log: &mut Log) -> RedisResult<()> {
    say!(log, con.zadd::<_, _, _, usize>("{z}a", "one", 1));
    say!(log, con.zadd_multiple::<_, _, _, usize>("{z}a", &[(2, "two"), (3, "three")]));
    say!(log, con.zadd_multiple::<_, _, _, usize>("{z}b", &[(20, "two"), (30, "tres")]));
    say!(log, con.zscore::<_, _, Option<f64>>("{z}a", "two"));
    say!(log, con.zscore::<_, _, Option<f64>>("{z}a", "absent"));
    say!(log, con.zincr::<_, _, _, f64>("{z}a", "one", 0.5));
    say!(log, con.zrange::<_, Vec<String>>("{z}a", 0, -1));
    say!(log, con.zrange_withscores::<_, Vec<(String, f64)>>("{z}a", 0, -1));
    say!(log, con.zrevrange::<_, Vec<String>>("{z}a", 0, 1));
    say!(log, con.zrangebyscore::<_, _, _, Vec<String>>("{z}a", "(1.5", "+inf"));
    say!(log, con.zrangebylex::<_, _, _, Vec<String>>("{z}a", "-", "+"));
    say!(log, con.zrank::<_, _, Option<usize>>("{z}a", "three"));
    say!(log, con.zcount::<_, _, _, usize>("{z}a", 2, 3));
    say!(log, con.zcard::<_, usize>("{z}a"));
    say!(log, con.zunionstore::<_, _, usize>("{z}c", &["{z}a", "{z}b"]));
    say!(log, con.zinterstore_max::<_, _, usize>("{z}d", &["{z}a", "{z}b"]));
    say!(log, con.zunionstore_weights::<_, _, _, usize>("{z}e", &[("{z}a", 2), ("{z}b", 3)]));
    say!(log, con.zrange_withscores::<_, Vec<(String, f64)>>("{z}e", 0, -1));
    say!(log, redis::cmd("ZDIFF").arg(2).arg(&["{z}a", "{z}b"]).query::<Vec<String>>(con));
    say!(log, redis::cmd("ZRANGESTORE").arg("{z}f").arg("{z}a").arg(0).arg(1).query::<i64>(con));
    say!(log, con.zpopmin::<_, Vec<(String, f64)>>("{z}e", 1));
    say!(log, con.zmpop_max::<_, Value>(&["{z}none", "{z}e"], 1));
    say!(log, con.bzpopmin::<_, Option<(String, String, f64)>>("{z}none", 0.01));
    say!(log, con.bzpopmax::<_, Option<(String, String, f64)>>(&["{z}none", "{z}b"], 1.0));
    say!(log, con.zrem::<_, _, usize>("{z}a", &["one", "absent"]));
    say!(log, con.zremrangebyrank::<_, usize>("{z}a", 0, 0));
    Ok(())
}

/// The same on keys that lie on all nodes.
fn many_of_each(con: &mut redis::Connection, log: &mut Log) -> RedisResult<()> {
    for number in 0..12 {
        let () = con.rpush(format!("{number}:l"), &[number, 1])?;
        let () = con.hset(format!("{number}:h"), "field", number)?;
        let () = con.sadd(format!("{number}:s"), number)?;
        let () = con.zadd(format!("{number}:z"), "member", number)?;
    }
    for number in 0..12 {
        say!(log, con.lrange::<_, Vec<i64>>(format!("{number}:l"), 0, -1));
        say!(log, con.hget::<_, _, i64>(format!("{number}:h"), "field"));
        say!(log, con.smembers::<_, Vec<i64>>(format!("{number}:s")));
        say!(log, con.zscore::<_, _, f64>(format!("{number}:z"), "member"));
    }
    Ok(())
}
