//! Threads that share a pool of r2d2.

use std::env;
use std::thread;

use redis::Commands;
use redis::RedisResult;

type Pool = r2d2::Pool<redis::Client>;

struct Counters {
    pool: Pool,
}

impl Counters {
    fn count(&self, name: &str, by: i64) -> Result<i64, Box<dyn std::error::Error + Send + Sync>> {
        let mut con: r2d2::PooledConnection<redis::Client> = self.pool.get()?;
        Ok(con.incr(format!("counter:{name}"), by)?)
    }
}

/// A pooled connection is a connection.
fn read(con: &mut redis::Connection, name: &str) -> RedisResult<i64> {
    con.get(format!("counter:{name}"))
}

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let client = redis::Client::open(env::var("REDIS_URL")?)?;
    let counters = Counters { pool: r2d2::Pool::builder().max_size(4).build(client)? };
    thread::scope(|scope| {
        let counters = &counters;
        for worker in 0..8 {
            scope.spawn(move || {
                for turn in 0..100 {
                    counters.count(&format!("{}", turn % 10), worker).unwrap();
                }
            });
        }
    });
    let mut con = counters.pool.get()?;
    for name in 0..10 {
        println!("{name}: {}", read(&mut con, &name.to_string())?);
    }
    let sums: Vec<i64> =
        redis::pipe().get("counter:0").get("counter:1").get("counter:2").query(&mut *con)?;
    println!("{sums:?}");
    println!("{}", counters.count("broken", 1).and_then(|_| counters.count("broken", 1))?);
    let () = con.set("counter:word", "word")?;
    println!("{}", counters.count("word", 1).unwrap_err());
    println!("{} of {}", counters.pool.state().connections, counters.pool.max_size());
    Ok(())
}
