//! A help desk on tokio: a connection that many tasks share, pipelines, transactions, scripts, scans.

use std::env;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use redis::AsyncCommands;
use redis::AsyncConnectionConfig;
use redis::RedisResult;
use redis::Script;
use redis::aio::ConnectionLike;
use redis::aio::MultiplexedConnection;

/// What handlers of requests share.
#[derive(Clone)]
struct Desk {
    con: MultiplexedConnection,
}

impl Desk {
    async fn ask(&self, ticket: u32, question: &str) -> RedisResult<i64> {
        let mut con = self.con.clone();
        con.rpush(format!("ticket:{ticket}"), question).await
    }

    async fn questions(&self, ticket: u32) -> RedisResult<Vec<String>> {
        self.con.clone().lrange(format!("ticket:{ticket}"), 0, -1).await
    }

    async fn states(&self, tickets: &[u32]) -> RedisResult<Vec<Option<String>>> {
        let keys: Vec<_> = tickets.iter().map(|ticket| format!("state:{ticket}")).collect();
        self.con.clone().mget(keys).await
    }
}

/// Takes any connection.
async fn close<C: ConnectionLike>(con: &mut C, ticket: u32) -> RedisResult<(String, i64)> {
    let (state, log) = (format!("state:{ticket}"), format!("log:{ticket}"));
    let mut pipe = redis::pipe();
    pipe.set(&state, "closed").ignore().get(&state).rpush(&log, "closed by the desk");
    pipe.query_async(con).await
}

async fn count(mut con: MultiplexedConnection, times: usize) -> RedisResult<()> {
    for _ in 0..times {
        let () = con.incr("{count}:a", 1).await?;
        let (_, _): (i64, i64) = redis::pipe()
            .atomic()
            .incr("{count}:b", 1)
            .get("{count}:a")
            .query_async(&mut con)
            .await?;
    }
    Ok(())
}

async fn errors(con: &mut MultiplexedConnection) -> RedisResult<()> {
    let () = con.set("word", "word").await?;
    let error = con.incr::<_, _, i64>("word", 1).await.unwrap_err();
    println!("error: {error} | {:?}", error.code());
    println!("error: {}", con.get::<_, i64>("word").await.unwrap_err());
    let mut failing = redis::pipe();
    failing.set("fine", 1).lpush("fine", 1).get("fine");
    println!("error: {}", failing.query_async::<redis::Value>(con).await.unwrap_err());
    println!(
        "{:?}",
        failing.ignore_errors().query_async::<Vec<RedisResult<redis::Value>>>(con).await?.len()
    );
    Ok(())
}

#[tokio::main]
async fn main() -> RedisResult<()> {
    let client = redis::Client::open(env::var("REDIS_URL").expect("REDIS_URL is set"))?;
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(20)));
    let con = client.get_multiplexed_async_connection_with_config(&config).await?;
    let desk = Desk { con };

    let asked = (0..40).map(|number| {
        let desk = desk.clone();
        tokio::spawn(async move { desk.ask(number % 10, "why?").await })
    });
    let asked = join_all(asked).await.into_iter().map(|task| task.unwrap());
    let mut lengths = asked.collect::<RedisResult<Vec<_>>>()?;
    lengths.sort();
    println!("{lengths:?}");
    println!("{:?} {:?}", desk.questions(3).await?, desk.questions(30).await?);
    let mut con = desk.con.clone();
    for ticket in 0..10 {
        println!("{ticket}: {:?}", close(&mut con, ticket).await?);
    }
    println!("{:?}", desk.states(&[9, 3, 50, 0]).await?);
    let counted = join_all((0..8).map(|_| tokio::spawn(count(desk.con.clone(), 25)))).await;
    println!("{}", counted.into_iter().all(|task| task.unwrap().is_ok()));
    println!("{:?}", con.mget::<_, Vec<i64>>(&["{count}:a", "{count}:b"]).await?);

    let script = Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])");
    for key in 0..6 {
        println!(
            "{}",
            script.key(format!("scripted:{key}")).arg(key).invoke_async::<i64>(&mut con).await?
        );
    }
    let mut iter = con.scan_match::<_, String>("scripted:*").await?;
    let mut found = Vec::new();
    while let Some(key) = iter.next().await {
        found.push(key?);
    }
    drop(iter);
    found.sort();
    println!("{found:?}");

    let mut own = client.get_multiplexed_async_connection().await?;
    let moved: (i64,) =
        redis::aio::transaction_async(own.clone(), &["balance"], async |mut con, mut pipe| {
            let now: Option<i64> = con.get("balance").await?;
            pipe.set("balance", now.unwrap_or(10) * 2)
                .ignore()
                .get("balance")
                .query_async(&mut con)
                .await
        })
        .await?;
    println!("{moved:?}");
    println!("{}", redis::cmd("DBSIZE").query_async::<i64>(&mut own).await?);
    errors(&mut con).await?;
    println!("{}", con.del::<_, i64>(&["word", "fine", "balance", "nothing"]).await?);
    Ok(())
}
