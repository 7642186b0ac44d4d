//! redis-rs's client-side caching, node by node.

use std::time::Duration;
use std::time::Instant;

use redis::AsyncCommands;
use redis::RedisResult;
use redis::caching::CacheConfig;
use shardwright::AsyncConnectionConfig;
use shardwright::ShardedClient;

use crate::support::redis_server::RedisServer;

#[tokio::test]
async fn what_was_read_is_not_asked_for_again_until_it_changes() -> RedisResult<()> {
    let Some(servers) = RedisServer::start_many(2) else { return Ok(()) };
    let urls = servers.iter().map(|server| format!("{}?protocol=resp3", server.url()));
    let client = ShardedClient::open(urls.collect::<Vec<_>>())?;
    let config = AsyncConnectionConfig::new().set_cache_config(CacheConfig::new());
    let mut cached = client.get_multiplexed_async_connection_with_config(&config).await?;
    let mut other = client.get_connection()?;
    let keys: Vec<_> = (0..20).map(|number| format!("{number}:key")).collect();
    for key in &keys {
        redis::Commands::set::<_, _, ()>(&mut other, key, 1)?;
    }
    for _ in 0..3 {
        for key in &keys {
            assert_eq!(cached.get::<_, i64>(key).await?, 1);
        }
    }
    let counted = cached.get_cache_statistics().expect("there is a cache");
    assert_eq!((counted.miss, counted.hit), (20, 40));

    for key in &keys {
        redis::Commands::set::<_, _, ()>(&mut other, key, 2)?;
    }
    let start = Instant::now();
    for key in &keys {
        // Each node says which of its keys have changed.
        while cached.get::<_, i64>(key).await? != 2 {
            assert!(start.elapsed() < Duration::from_secs(10), "{key} is still the old one");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    assert_eq!(cached.get_cache_statistics().expect("there is a cache").invalidate, 20);
    let plain = client.get_multiplexed_async_connection().await?;
    assert!(plain.get_cache_statistics().is_none());
    Ok(())
}
