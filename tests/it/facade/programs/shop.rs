//! A shop: types that keep a connection, functions that take any, values of its own, pipelines, errors.

use std::collections::BTreeMap;
use std::env;

use redis::Commands;
use redis::Connection;
use redis::ConnectionLike;
use redis::FromRedisValue;
use redis::ParsingError;
use redis::RedisResult;
use redis::RedisWrite;
use redis::SetExpiry;
use redis::SetOptions;
use redis::ToRedisArgs;
use redis::Value;

#[derive(Clone, Debug, PartialEq)]
struct Article {
    name: String,
    cents: u64,
}

impl ToRedisArgs for Article {
    fn write_redis_args<W: RedisWrite + ?Sized>(&self, out: &mut W) {
        out.write_arg_fmt(format_args!("{}|{}", self.cents, self.name));
    }
}

impl redis::ToSingleRedisArg for Article {}

impl FromRedisValue for Article {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let text = String::from_redis_value(value)?;
        let (cents, name) = text.split_once('|').ok_or_else(|| format!("no article: {text}"))?;
        let cents = cents.parse().map_err(|_| format!("no price: {cents}"))?;
        Ok(Self { name: name.into(), cents })
    }
}

/// What every user of redis-rs has somewhere.
struct Shop {
    con: Connection,
    prefix: String,
}

impl Shop {
    fn open(client: &redis::Client, prefix: &str) -> RedisResult<Self> {
        Ok(Self { con: client.get_connection()?, prefix: prefix.into() })
    }

    fn key(&self, id: u32) -> String {
        format!("{}:article:{id}", self.prefix)
    }

    fn offer(&mut self, id: u32, article: &Article) -> RedisResult<()> {
        let options = SetOptions::default().with_expiration(SetExpiry::EX(600));
        self.con.set_options(self.key(id), article.clone(), options)
    }

    fn article(&mut self, id: u32) -> RedisResult<Option<Article>> {
        self.con.get(self.key(id))
    }

    fn articles(&mut self, ids: &[u32]) -> RedisResult<Vec<Option<Article>>> {
        let keys: Vec<_> = ids.iter().map(|id| self.key(*id)).collect();
        self.con.mget(keys)
    }

    fn forget(&mut self, ids: &[u32]) -> RedisResult<usize> {
        let keys: Vec<_> = ids.iter().map(|id| self.key(*id)).collect();
        self.con.del(keys)
    }
}

/// Takes any connection: one's own, a pooled one, a client.
fn put<C: ConnectionLike>(con: &mut C, cart: &str, item: &str, count: i64) -> RedisResult<i64> {
    con.hincr(format!("cart:{cart}"), item, count)
}

fn cart(con: &mut dyn ConnectionLike, cart: &str) -> RedisResult<BTreeMap<String, i64>> {
    redis::cmd("HGETALL").arg(format!("cart:{cart}")).query(con)
}

fn visit(con: &mut redis::Connection, pages: &[&str]) -> RedisResult<Vec<i64>> {
    let mut pipe = redis::pipe();
    for page in pages {
        pipe.incr(format!("visits:{page}"), 1).expire(format!("visits:{page}"), 60).ignore();
    }
    pipe.query(con)
}

fn typed(con: &mut impl redis::TypedCommands) -> RedisResult<()> {
    con.set("greeting", "hello")?;
    println!("typed: {:?} {:?}", con.get("greeting")?, con.get("no greeting")?);
    println!("typed: {} {}", con.append("greeting", " world")?, con.exists("greeting")?);
    println!("typed: {:?}", con.mget(&["greeting", "nothing", "also nothing"])?);
    Ok(())
}

fn errors(con: &mut Connection) -> RedisResult<()> {
    let () = con.rpush("list", &[1, 2, 3])?;
    let error = con.incr::<_, _, i64>("list", 1).unwrap_err();
    println!("error: {error} | {:?} {:?}", error.kind(), error.code());
    let error = con.get::<_, i64>("greeting").unwrap_err();
    println!("error: {error} | {:?}", error.kind());
    let error = redis::cmd("NOSUCHTHING").arg("key").exec(con).unwrap_err();
    println!("error: {:?} {}", error.code(), error.is_io_error());
    let failed = redis::pipe().set("fine", 1).lpush("fine", 2).get("list").get("fine").exec(con);
    println!("error: {}", failed.unwrap_err());
    println!("afterwards: {}", con.get::<_, i64>("fine")?);
    let articles =
        con.set::<_, _, ()>("broken", "x").and_then(|()| con.get::<_, Article>("broken"));
    println!("error: {}", articles.unwrap_err());
    Ok(())
}

fn main() -> RedisResult<()> {
    let mut client = redis::Client::open(env::var("REDIS_URL").expect("REDIS_URL is set"))?;
    let mut shop = Shop::open(&client, "shop")?;
    for id in 0..20 {
        shop.offer(id, &Article { name: format!("article {id}"), cents: u64::from(id) * 99 })?;
    }
    println!("{:?} {:?}", shop.article(7)?, shop.article(70)?);
    println!("{:?}", shop.articles(&[19, 3, 99, 0, 11])?);
    println!("forgotten: {}", shop.forget(&[1, 2, 3, 4, 99])?);
    println!(
        "left: {:?}",
        shop.articles(&[0, 1, 2, 3, 4, 5])?.iter().map(Option::is_some).collect::<Vec<_>>()
    );

    let mut con = client.get_connection()?;
    println!(
        "carts: {} {}",
        put(&mut con, "ada", "apple", 2)?,
        put(&mut client, "ada", "pear", 1)?
    );
    println!("carts: {}", put(&mut shop.con, "alan", "apple", 5)?);
    println!("carts: {:?} {:?}", cart(&mut con, "ada")?, cart(&mut client, "alan")?);
    println!("visits: {:?}", visit(&mut con, &["home", "about", "home", "shop"])?);
    let () = con.zadd_multiple("scores", &[(3.5, "c"), (1.0, "a"), (2.0, "b")])?;
    println!("scores: {:?}", con.zrange_withscores::<_, Vec<(String, f64)>>("scores", 0, -1)?);
    let mut keys: Vec<String> = con.scan_match("shop:*")?.collect::<RedisResult<_>>()?;
    keys.sort();
    println!("keys: {keys:?}");
    println!("size: {}", redis::cmd("DBSIZE").query::<i64>(&mut con)?);
    typed(&mut con)?;
    errors(&mut con)?;
    println!("open: {} {}", con.is_open(), con.check_connection());
    Ok(())
}
