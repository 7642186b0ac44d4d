//! A bank: transactions with and without WATCH, and scripts. What belongs together has a hash tag.

use std::env;
use std::thread;

use redis::Commands;
use redis::RedisResult;
use redis::Script;

fn account(customer: u32, kind: &str) -> String {
    format!("{{customer:{customer}}}:{kind}")
}

/// Moves money between two accounts of a customer, by watching both.
fn transfer(con: &mut redis::Connection, customer: u32, cents: i64) -> RedisResult<(i64, i64)> {
    let (from, to) = (account(customer, "current"), account(customer, "savings"));
    redis::transaction(con, &[&from, &to], |con, pipe| {
        let (available, saved): (i64, i64) = con.mget(&[&from, &to])?;
        pipe.set(&from, available - cents).ignore();
        pipe.set(&to, saved + cents).ignore();
        pipe.get(&from).get(&to).query(con)
    })
}

/// Counts on one key, from many threads at once: nobody's turn is lost.
fn race(client: &redis::Client) -> RedisResult<i64> {
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut con = client.get_connection().unwrap();
                for _ in 0..10 {
                    let _: (i64,) = redis::transaction(&mut con, &["race"], |con, pipe| {
                        let now: Option<i64> = con.get("race")?;
                        pipe.set("race", now.unwrap_or(0) + 1).ignore().get("race").query(con)
                    })
                    .unwrap();
                }
            });
        }
    });
    client.get_connection()?.get("race")
}

fn withdraw() -> Script {
    Script::new(
        "local left = tonumber(redis.call('GET', KEYS[1]) or 0) - tonumber(ARGV[1])
         if left < 0 then return redis.error_reply('BROKE not enough money') end
         redis.call('SET', KEYS[1], left)
         redis.call('LPUSH', KEYS[2], ARGV[1])
         return {left, redis.call('LLEN', KEYS[2])}",
    )
}

fn main() -> RedisResult<()> {
    let client = redis::Client::open(env::var("REDIS_URL").expect("REDIS_URL is set"))?;
    let mut con = client.get_connection()?;
    for customer in 0..8 {
        let (current, savings): (i64, i64) = redis::pipe()
            .atomic()
            .set(account(customer, "current"), 1000 * i64::from(customer))
            .ignore()
            .set(account(customer, "savings"), 0)
            .ignore()
            .get(account(customer, "current"))
            .get(account(customer, "savings"))
            .query(&mut con)?;
        println!("{customer}: {current} {savings}");
    }
    for customer in 0..8 {
        println!("{customer}: {:?}", transfer(&mut con, customer, 250)?);
    }
    println!("race: {}", race(&client)?);

    let script = withdraw();
    for customer in 0..8 {
        let (current, log) = (account(customer, "current"), account(customer, "log"));
        let mut invocation = script.prepare_invoke();
        invocation.key(&current).key(&log).arg(3000);
        match invocation.invoke::<(i64, i64)>(&mut con) {
            Ok((left, times)) => println!("{customer}: {left} left after {times}"),
            Err(error) => println!("{customer}: {error} | {:?}", error.code()),
        }
    }
    println!("{}", Script::new("return ARGV[1] .. '!'").arg("no keys").invoke::<String>(&mut con)?);
    println!("loaded: {:?}", script.prepare_invoke().load(&mut con)? == script.get_hash());

    // Another connection writes to a watched key: nothing is executed.
    let mut other = client.get_connection()?;
    redis::cmd("WATCH").arg("watched").exec(&mut con)?;
    let () = other.set("watched", "by another")?;
    let result: Option<(i64,)> = redis::pipe().atomic().incr("watched", 1).query(&mut con)?;
    println!("{result:?} {}", con.get::<_, String>("watched")?);
    let refused = redis::pipe().atomic().set("watched", 1).cmd("INCR").query::<()>(&mut con);
    println!("{:?}", refused.unwrap_err().kind());
    println!("{}", con.get::<_, String>("watched")?);
    Ok(())
}
