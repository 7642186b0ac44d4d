//! Strings, one by one and many at once.

use super::Log;
use super::redis;
use super::say;
use redis::Commands;
use redis::RedisResult;
use redis::SetExpiry;
use redis::SetOptions;
use redis::Value;

pub(super) fn run(
    _: &redis::Client,
    con: &mut redis::Connection,
    log: &mut Log,
) -> RedisResult<()> {
    one_by_one(con, log)?;
    many_at_once(con, log)?;
    bits(con, log)
}

fn one_by_one(con: &mut redis::Connection, log: &mut Log) -> RedisResult<()> {
    let () = con.set("name", "value")?;
    say!(log, con.get::<_, String>("name"));
    say!(log, con.get::<_, Option<String>>("nothing"));
    say!(log, con.get::<_, Vec<u8>>("name"));
    say!(log, con.get::<_, Value>("name"));
    say!(log, con.set::<_, _, Value>("name", 42));
    say!(log, con.get::<_, i64>("name"));
    say!(log, con.get::<_, f64>("name"));
    say!(log, con.get::<_, bool>("name"));
    say!(log, con.get::<_, (i64,)>("name").is_err());
    say!(log, con.incr::<_, _, i64>("name", 8));
    say!(log, con.decr::<_, _, i64>("name", 100));
    say!(log, con.incr::<_, _, f64>("fraction", 1.5));
    say!(log, con.append::<_, _, usize>("name", "x"));
    say!(log, con.strlen::<_, usize>("name"));
    say!(log, con.getrange::<_, String>("name", 1, 2));
    say!(log, con.setrange::<_, _, usize>("name", 6, "tail"));
    say!(log, con.get::<_, Vec<u8>>("name"));
    say!(log, con.getset::<_, _, String>("fraction", "old"));
    say!(log, con.get_del::<_, Option<String>>("fraction"));
    say!(log, con.get_del::<_, Option<String>>("fraction"));
    say!(log, con.set_nx::<_, _, bool>("once", 1));
    say!(log, con.set_nx::<_, _, bool>("once", 2));
    say!(log, con.set_ex::<_, _, ()>("short", "lived", 100));
    say!(log, con.pset_ex::<_, _, ()>("shorter", "lived", 100_000));
    say!(log, con.ttl::<_, i64>("short")? > 90);
    let options = SetOptions::default().get(true).with_expiration(SetExpiry::EX(50));
    say!(log, con.set_options::<_, _, Option<String>>("short", "again", options));
    let options = SetOptions::default().conditional_set(redis::ExistenceCheck::XX);
    say!(log, con.set_options::<_, _, Value>("absent", "x", options));
    say!(log, con.get_ex::<_, String>("short", redis::Expiry::PERSIST));
    say!(log, con.ttl::<_, i64>("short"));
    let binary: &[u8] = b"\x00\r\n\xff$-1";
    say!(log, con.set::<_, _, ()>(binary, binary));
    say!(log, con.get::<_, Vec<u8>>(binary));
    say!(log, con.set::<_, _, ()>("", "the empty key"));
    say!(log, con.get::<_, String>(""));
    say!(log, con.set::<_, _, ()>("empty", ""));
    say!(log, con.get::<_, Option<String>>("empty"));
    say!(log, redis::cmd("SET").arg("raw").arg(&["value", "EX", "100"]).query::<Value>(con));
    say!(log, redis::cmd("gEt").arg("raw").query::<Value>(con));
    say!(log, redis::Cmd::get("raw").query::<String>(con));
    say!(log, redis::cmd("LCS").arg("{t}a").arg("{t}b").query::<String>(con));
    Ok(())
}

fn many_at_once(con: &mut redis::Connection, log: &mut Log) -> RedisResult<()> {
    let pairs: Vec<(String, usize)> =
        (0..20).map(|number| (format!("{number}:many"), number)).collect();
    let keys: Vec<&String> = pairs.iter().map(|(key, _)| key).collect();
    say!(log, con.mset::<_, _, Value>(&pairs));
    say!(log, con.mget::<_, Vec<usize>>(&keys));
    say!(log, con.mget::<_, Vec<Option<usize>>>(&["1:many", "absent", "19:many", "1:many"]));
    say!(log, con.mget::<_, Vec<usize>>("7:many"));
    say!(log, con.mget::<_, (usize, usize)>(&["7:many", "8:many"]));
    say!(log, con.exists::<_, usize>(&keys));
    say!(log, con.exists::<_, usize>(&["1:many", "1:many", "2:many", "absent"]));
    say!(log, redis::cmd("TOUCH").arg(&keys).query::<i64>(con));
    say!(log, con.unlink::<_, usize>(&["0:many", "1:many", "absent"]));
    say!(log, con.del::<_, usize>(&["2:many", "3:many", "3:many", "absent"]));
    say!(log, con.exists::<_, usize>(&keys));
    say!(log, con.mset_nx::<_, _, bool>(&[("{one}a", 1), ("{one}b", 2)]));
    say!(log, con.mset_nx::<_, _, bool>(&[("{one}b", 3), ("{one}c", 3)]));
    say!(log, con.mget::<_, Vec<Option<i64>>>(&["{one}a", "{one}b", "{one}c"]));
    Ok(())
}

fn bits(con: &mut redis::Connection, log: &mut Log) -> RedisResult<()> {
    say!(log, con.setbit::<_, bool>("{bits}a", 1, true));
    say!(log, con.setbit::<_, bool>("{bits}a", 9, true));
    say!(log, con.getbit::<_, bool>("{bits}a", 9));
    say!(log, con.bitcount::<_, usize>("{bits}a"));
    say!(log, con.bitcount_range::<_, usize>("{bits}a", 1, 1));
    let () = con.set("{bits}b", "\u{1}\u{2}")?;
    say!(log, con.bit_and::<_, _, usize>("{bits}and", &["{bits}a", "{bits}b"]));
    say!(log, con.bit_or::<_, _, usize>("{bits}or", &["{bits}a", "{bits}b"]));
    say!(log, con.bit_xor::<_, _, usize>("{bits}xor", &["{bits}a", "{bits}b"]));
    say!(log, con.bit_not::<_, _, usize>("{bits}not", "{bits}a"));
    say!(log, con.get::<_, Vec<u8>>("{bits}or"));
    say!(log, redis::cmd("BITPOS").arg("{bits}a").arg(1).query::<i64>(con));
    let field = ["INCRBY", "u8", "0", "255", "GET", "i4", "4"];
    say!(log, redis::cmd("BITFIELD").arg("{bits}c").arg(&field).query::<Vec<i64>>(con));
    Ok(())
}
