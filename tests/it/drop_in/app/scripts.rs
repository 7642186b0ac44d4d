//! Scripts.

use super::Log;
use super::describe;
use super::redis;
use super::say;
use redis::Commands;
use redis::RedisResult;
use redis::Script;
use redis::Value;

pub(super) fn run(
    _: &redis::Client,
    con: &mut redis::Connection,
    log: &mut Log,
) -> RedisResult<()> {
    let script = Script::new("return {KEYS[1], ARGV[1], redis.call('INCRBY', KEYS[1], ARGV[1])}");
    for number in 0..8 {
        say!(log, script.key(format!("{number}:s")).arg(number).invoke::<(String, i64, i64)>(con));
    }
    say!(log, script.get_hash());
    say!(log, script.load(con));
    say!(
        log,
        redis::cmd("SCRIPT").arg("EXISTS").arg(script.get_hash()).arg("no").query::<Vec<bool>>(con)
    );
    say!(log, redis::cmd("SCRIPT").arg("FLUSH").query::<Value>(con));
    say!(log, redis::cmd("SCRIPT").arg("EXISTS").arg(script.get_hash()).query::<Vec<bool>>(con));
    let bare =
        redis::cmd("EVALSHA").arg(script.get_hash()).arg(1).arg("1:s").arg(1).query::<Value>(con);
    say!(log, bare.map_err(|error| describe(&error)));
    say!(log, script.prepare_invoke().key("1:s").arg(5).invoke::<(String, i64, i64)>(con));
    say!(log, Script::new("return ARGV[1] + 1").arg(41).invoke::<i64>(con));
    say!(
        log,
        Script::new("return {1, 'two', {3, false}, redis.status_reply('fine')}")
            .invoke::<Value>(con)
    );
    let two = Script::new("return redis.call('GET', KEYS[1]) .. redis.call('GET', KEYS[2])");
    let () = con.mset(&[("{s}a", "left"), ("{s}b", "right")])?;
    say!(log, two.key("{s}a").key("{s}b").invoke::<String>(con));
    say!(log, two.key(&["{s}b", "{s}a"]).invoke::<String>(con));
    let failing = Script::new("return redis.error_reply('MINE own words')");
    say!(log, failing.invoke::<Value>(con).map_err(|error| describe(&error)));
    let failing = Script::new("return redis.call('INCR', KEYS[1])");
    say!(log, failing.key("{s}a").invoke::<Value>(con).is_err());
    say!(log, redis::cmd("EVAL").arg("return 7").arg(0).query::<i64>(con));
    say!(
        log,
        redis::cmd("EVAL").arg("return KEYS[2]").arg(2).arg(&["{s}a", "{s}b"]).query::<String>(con)
    );
    say!(
        log,
        redis::cmd("EVAL_RO")
            .arg("return redis.call('GET', KEYS[1])")
            .arg(1)
            .arg("{s}a")
            .query::<String>(con)
    );
    let broken = redis::cmd("EVAL").arg("return").arg("many").query::<Value>(con);
    say!(log, broken.map_err(|error| describe(&error)));
    let code = "#!lua name=mylib\nredis.register_function('myget', function(keys) return redis.call('GET', keys[1]) end)";
    say!(log, redis::cmd("FUNCTION").arg("LOAD").arg(code).query::<String>(con));
    say!(log, redis::cmd("FCALL").arg("myget").arg(1).arg("{s}b").query::<String>(con));
    say!(log, redis::cmd("FUNCTION").arg("DELETE").arg("mylib").query::<Value>(con));
    let mut pipe = redis::pipe();
    pipe.load_script(&script).ignore();
    for number in 0..4 {
        pipe.invoke_script(script.key(format!("{number}:s")).arg(1));
    }
    say!(log, pipe.query::<Vec<(String, i64, i64)>>(con));
    Ok(())
}
