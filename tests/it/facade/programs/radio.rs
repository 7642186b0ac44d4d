//! A radio on tokio: a connection manager, a pool of bb8, and channels as streams.

use std::env;
use std::time::Duration;

use futures_util::StreamExt;
use redis::AsyncCommands;
use redis::RedisResult;
use redis::aio::ConnectionManager;
use redis::aio::ConnectionManagerConfig;
use redis::aio::PubSub;

type Pool = bb8::Pool<redis::Client>;

struct Station {
    manager: ConnectionManager,
    pool: Pool,
}

impl Station {
    async fn open(client: redis::Client) -> RedisResult<Self> {
        let config =
            ConnectionManagerConfig::new().set_response_timeout(Some(Duration::from_secs(20)));
        let manager = client.get_connection_manager_with_config(config).await?;
        let pool = Pool::builder().max_size(3).build(client).await?;
        Ok(Self { manager, pool })
    }

    async fn play(&self, song: &str) -> RedisResult<i64> {
        self.manager.clone().zincr("charts", song, 1).await
    }

    async fn charts(&self) -> Result<Vec<(String, i64)>, Box<dyn std::error::Error>> {
        let mut con = self.pool.get().await?;
        Ok(con.zrange_withscores("charts", 0, -1).await?)
    }

    async fn wish(&self, listener: u32) -> Result<i64, Box<dyn std::error::Error>> {
        let mut con = self.pool.get().await?;
        let (wishes,): (i64,) =
            redis::pipe().incr(format!("wishes:{listener}"), 1).query_async(&mut *con).await?;
        Ok(wishes)
    }
}

async fn next(pubsub: &mut PubSub) -> RedisResult<String> {
    let message = pubsub.on_message().next().await.expect("the stream goes on");
    Ok(format!("{}: {}", message.get_channel_name(), message.get_payload::<String>()?))
}

async fn listen(client: &redis::Client, mut con: ConnectionManager) -> RedisResult<()> {
    let mut pubsub = client.get_async_pubsub().await?;
    pubsub.subscribe(&["rock", "jazz", "classic"]).await?;
    pubsub.psubscribe("talk.*").await?;
    for channel in ["jazz", "rock", "talk.morning", "classic", "talk.night"] {
        println!("reached {}", con.publish::<_, _, i64>(channel, format!("on {channel}")).await?);
        println!("{}", next(&mut pubsub).await?);
    }
    pubsub.unsubscribe("rock").await?;
    println!("reached {}", con.publish::<_, _, i64>("rock", "silence").await?);
    let (mut sink, mut stream) = pubsub.split();
    sink.subscribe("pop").await?;
    println!("reached {}", con.publish::<_, _, i64>("pop", "a hit").await?);
    let message = stream.next().await.expect("the stream goes on");
    println!("{}: {}", message.get_channel_name(), message.get_payload::<String>()?);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = redis::Client::open(env::var("REDIS_URL")?)?;
    let station = Station::open(client.clone()).await?;
    for (song, times) in [("one", 1), ("two", 2), ("three", 3)] {
        for _ in 0..times {
            station.play(song).await?;
        }
    }
    println!("{:?}", station.charts().await?);
    for listener in [1, 2, 3, 1, 2, 1] {
        println!("{listener}: {}", station.wish(listener).await?);
    }
    let keys: Vec<String> = (0..5).map(|listener| format!("wishes:{listener}")).collect();
    println!("{:?}", station.manager.clone().mget::<_, Vec<Option<i64>>>(keys).await?);
    listen(&client, station.manager.clone()).await?;
    println!("{}", station.manager.clone().incr::<_, _, i64>("charts", 1).await.unwrap_err());
    Ok(())
}
