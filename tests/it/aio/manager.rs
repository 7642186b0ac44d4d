//! The connection under the manager's name.

use std::time::Duration;

use redis::AsyncCommands;
use redis::RedisResult;
use shardwright::ShardedClient;
use shardwright::aio::ConnectionManager;
use shardwright::aio::ConnectionManagerConfig;

use super::pool;

#[tokio::test]
async fn a_manager_does_what_a_connection_does() -> RedisResult<()> {
    let Some((_servers, builder)) = pool(4) else { return Ok(()) };
    let client = builder.build()?;
    let mut manager: ConnectionManager = client.get_connection_manager().await?;
    let () = manager.mset(&[("a", 1), ("b", 2), ("c", 3)]).await?;
    let mut other = client.get_connection_manager_lazy(ConnectionManagerConfig::new())?;
    assert_eq!(other.mget::<_, Vec<i64>>(&["c", "b", "a"]).await?, [3, 2, 1]);
    let mut inner = other.clone().into_inner();
    assert_eq!(inner.get::<_, i64>("a").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_manager_waits_for_a_node_that_is_on_its_way() -> RedisResult<()> {
    let Some((mut servers, builder)) = pool(1) else { return Ok(()) };
    servers[0].kill();
    let client = builder.build()?;
    let config = ConnectionManagerConfig::new().set_number_of_retries(0);
    let refused = client.get_connection_manager_with_config(config).await.unwrap_err();
    assert!(refused.is_connection_refusal(), "{refused}");
    let waiting = tokio::spawn(async move { client.get_connection_manager().await });
    let _servers = tokio::task::spawn_blocking(move || {
        std::thread::sleep(Duration::from_millis(150));
        servers[0].restart();
        servers
    })
    .await
    .unwrap();
    let mut manager = waiting.await.unwrap()?;
    drop(manager.set::<_, _, ()>("key", 1).await);
    Ok(())
}

#[test]
fn a_configuration_that_contradicts_itself_is_refused() {
    let client = ShardedClient::open("redis://10.0.0.1,redis://10.0.0.2").unwrap();
    let config = ConnectionManagerConfig::new().set_automatic_resubscription();
    let error = client.get_connection_manager_lazy(config).unwrap_err();
    assert_eq!(error.kind(), redis::ErrorKind::Client);
}
