//! Channels and monitors over several nodes, asynchronously.

mod ejection;
mod failures;
mod leaks;
mod meeting;
mod monitoring;
#[cfg(feature = "smol-comp")]
mod on_smol;

use std::future::Future;
use std::time::Duration;

use futures_util::Stream;
use futures_util::StreamExt;
use redis::Msg;
use shardwright::ShardedAsyncPubSub;
use tokio::time::timeout;

use crate::client::pool::Pool;
use crate::client::pool::say;

/// Long enough for whatever must come.
const LONG: Duration = Duration::from_secs(20);
/// How long to wait for what must not.
const SOON: Duration = Duration::from_millis(150);

/// What comes of `future`, which must come.
async fn done<T>(future: impl Future<Output = T>) -> T {
    timeout(LONG, future).await.expect("it takes for ever")
}

/// The next message as `channel payload`, which must come.
async fn next(stream: &mut (impl Stream<Item = Msg> + Unpin)) -> String {
    let message = done(stream.next()).await.expect("the stream goes on");
    format!("{} {}", message.get_channel_name(), message.get_payload::<String>().unwrap())
}

/// The same, of one that is in one piece.
async fn next_of(pubsub: &mut ShardedAsyncPubSub) -> String {
    next(&mut pubsub.on_message()).await
}

/// That no message is left to come.
async fn is_silent(pubsub: &mut ShardedAsyncPubSub) -> bool {
    timeout(SOON, pubsub.on_message().next()).await.is_err()
}

/// How many listen to `channel` on each server.
fn subscribers(pool: &Pool, channel: &str) -> Vec<i64> {
    (0..pool.servers.len()).map(|server| subscribers_of(pool, server, channel)).collect()
}

fn subscribers_of(pool: &Pool, server: usize, channel: &str) -> i64 {
    let mut command = redis::cmd("PUBSUB");
    command.arg("NUMSUB").arg(channel);
    command.query::<(String, i64)>(&mut pool.direct(server)).unwrap().1
}

fn patterns(pool: &Pool) -> Vec<i64> {
    (0..pool.servers.len()).map(|server| patterns_of(pool, server)).collect()
}

fn patterns_of(pool: &Pool, server: usize) -> i64 {
    say(&mut pool.direct(server), "PUBSUB NUMPAT").parse().unwrap()
}
