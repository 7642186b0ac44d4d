//! Channels over RESP3, on the connection that tasks share.

use std::time::Duration;

use redis::AsyncCommands;
use redis::PushInfo;
use redis::PushKind;
use redis::RedisResult;
use shardwright::AsyncConnectionConfig;
use shardwright::NodeConfig;
use shardwright::ShardedClient;
use shardwright::ShardedClientBuilder;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::unbounded_channel;

use crate::support::redis_server::RedisServer;

fn pool(count: usize) -> Option<(Vec<RedisServer>, ShardedClient)> {
    let servers = RedisServer::start_many(count)?;
    let nodes = servers.iter().zip(["a", "b", "c", "d"]).map(|(server, name)| {
        NodeConfig::new(format!("{}?protocol=resp3", server.url())).unwrap().name(name)
    });
    let builder = nodes.fold(ShardedClient::builder(), ShardedClientBuilder::node);
    Some((servers, builder.build().unwrap()))
}

type Pushes = UnboundedReceiver<(String, PushInfo)>;

/// The next message, and the node it is from.
async fn next_message(pushes: &mut Pushes) -> (String, String) {
    let find = async {
        loop {
            let (node, push) = pushes.recv().await.expect("the connection lives");
            if matches!(push.kind, PushKind::Message | PushKind::PMessage) {
                let text: String =
                    redis::from_redis_value(push.data.last().unwrap().clone()).unwrap();
                return (node, text);
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), find).await.expect("a message comes")
}

#[tokio::test]
async fn messages_come_from_each_channels_node_and_again_after_it_was_away() -> RedisResult<()> {
    let Some((mut servers, client)) = pool(4) else { return Ok(()) };
    let (sender, mut pushes) = unbounded_channel();
    let config = AsyncConnectionConfig::new().set_connections_per_node(2).set_node_push_listener(
        move |node, push| {
            let _ = sender.send((node.to_owned(), push));
        },
    );
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    let channels: Vec<_> = (0..8).map(|number| format!("{number}:channel")).collect();
    connection.subscribe(&channels).await?;
    connection.clone().psubscribe("pattern:*").await?;
    for channel in &channels {
        let () = connection.publish(channel, channel).await?;
        let (node, text) = next_message(&mut pushes).await;
        assert_eq!(&text, channel);
        assert_eq!(node, client.node_for_key(channel).unwrap().name());
    }
    let () = connection.publish("pattern:1", "by pattern").await?;
    assert_eq!(next_message(&mut pushes).await.1, "by pattern");
    connection.unsubscribe(&channels[0]).await?;
    let () = connection.publish(&channels[0], "nobody hears").await?;

    let channel = &channels[1];
    let node = client.node_for_key(channel).unwrap();
    let server = servers
        .iter_mut()
        .find(|server| node.address().to_string().contains(&server.port().to_string()));
    server.expect("the node is one of the servers").restart();
    let start = std::time::Instant::now();
    loop {
        // Those who listen are counted by the server.
        let heard = connection.publish::<_, _, i64>(channel, "again").await;
        if heard == Ok(1) {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{heard:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(next_message(&mut pushes).await.1, "again");
    Ok(())
}

#[tokio::test]
async fn without_resp3_there_is_nothing_to_listen_to() -> RedisResult<()> {
    let Some((_servers, builder)) = super::pool(2) else { return Ok(()) };
    let mut connection = builder.build()?.get_multiplexed_async_connection().await?;
    let error = connection.subscribe("channel").await.unwrap_err();
    assert_eq!(error.kind(), redis::ErrorKind::InvalidClientConfig);
    Ok(())
}

#[tokio::test]
async fn channels_are_confirmed_in_the_order_in_which_they_are_named() -> RedisResult<()> {
    let Some((_servers, client)) = pool(1) else { return Ok(()) };
    let (sender, mut pushes) = unbounded_channel();
    let config = AsyncConnectionConfig::new().set_push_sender(sender);
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    connection.subscribe(&["c", "a", "b"]).await?;
    connection.psubscribe(&["z*", "y*"]).await?;
    connection.unsubscribe(&["b", "c"]).await?;
    let mut confirmed = Vec::new();
    while let Ok(push) = pushes.try_recv() {
        confirmed.push(redis::from_redis_value::<String>(push.data[0].clone()).unwrap());
    }
    assert_eq!(confirmed, ["c", "a", "b", "z*", "y*", "b", "c"]);
    Ok(())
}

#[tokio::test]
async fn to_subscribe_to_nothing_is_refused_as_by_a_server() -> RedisResult<()> {
    let Some((servers, client)) = pool(2) else { return Ok(()) };
    let nothing: [&str; 0] = [];
    let theirs = redis::Client::open(servers[0].url())?;
    let mut theirs = theirs.get_async_pubsub().await?;
    let channels = theirs.subscribe(&nothing).await.unwrap_err();
    let patterns = theirs.psubscribe(&nothing).await.unwrap_err();

    let mut shared = client.get_multiplexed_async_connection().await?;
    assert_eq!(shared.subscribe(&nothing).await.unwrap_err(), channels);
    assert_eq!(shared.psubscribe(&nothing).await.unwrap_err(), patterns);
    let mut listening = client.get_async_pubsub().await?;
    assert_eq!(listening.subscribe(&nothing).await.unwrap_err(), channels);
    assert_eq!(listening.psubscribe(&nothing).await.unwrap_err(), patterns);
    let mut connection = client.get_connection()?;
    let mut blocking = connection.as_pubsub();
    assert_eq!(blocking.subscribe(&nothing).unwrap_err(), channels);
    assert_eq!(blocking.psubscribe(&nothing).unwrap_err(), patterns);
    Ok(())
}
