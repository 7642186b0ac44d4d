//! An application written for redis-rs, sharded by its construction line.
//!
//! ```text
//! cargo run --example drop_in -- redis://127.0.0.1:6379,redis://127.0.0.1:6380
//! ```

use redis::Commands;
use redis::RedisResult;
// With redis-rs alone this line was `use redis::{Client, Connection};`.
use shardwright::{ShardedClient as Client, ShardedConnection as Connection};

fn main() -> RedisResult<()> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "redis://127.0.0.1:6379".into());
    let client = Client::open(url)?;
    let mut connection = client.get_connection()?;

    remember(&mut connection, "ada", 36)?;
    remember(&mut connection, "alan", 41)?;
    println!("ages: {:?}", ages(&mut connection, &["ada", "alan", "nobody"])?);
    println!("ada is {} now", birthday(&mut connection, "ada")?);
    forget(&mut connection, &["ada", "alan"])
}

fn key(name: &str) -> String {
    format!("drop_in:{name}:age")
}

fn remember(connection: &mut Connection, name: &str, age: u32) -> RedisResult<()> {
    connection.set_ex(key(name), age, 60)
}

fn ages(connection: &mut Connection, names: &[&str]) -> RedisResult<Vec<Option<u32>>> {
    let keys: Vec<_> = names.iter().map(|name| key(name)).collect();
    connection.mget(keys)
}

/// A transaction on one key: it lives on one node, so it works as ever.
fn birthday(connection: &mut Connection, name: &str) -> RedisResult<u32> {
    let key = key(name);
    let (age,): (u32,) = redis::transaction(connection, &[&key], |connection, pipe| {
        let age: u32 = connection.get(&key)?;
        pipe.set(&key, age + 1).ignore().get(&key).query(connection)
    })?;
    Ok(age)
}

fn forget(connection: &mut Connection, names: &[&str]) -> RedisResult<()> {
    let keys: Vec<_> = names.iter().map(|name| key(name)).collect();
    redis::pipe().del(keys).ignore().query(connection)
}
