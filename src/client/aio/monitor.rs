//! What several nodes are asked, as they are asked it.

use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use futures_util::Stream;
use futures_util::StreamExt;
use futures_util::stream::poll_fn;
use redis::FromRedisValue;
use redis::RedisError;
use redis::RedisResult;
use redis::Value;
use redis::aio::Monitor;
use tokio::sync::mpsc;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::dialing::BackOff;
use super::dialing::GLANCE;
use super::dialing::dial;
use super::dialing::disconnected;
use super::dialing::lose;
use super::runtime::Task;
use super::runtime::sleep;
use super::runtime::spawn;
use crate::client::ConnectMode;
use crate::client::ShardedClient;
use crate::client::endpoint::Endpoint;
use crate::client::shared::Shared;
use crate::client::wire::WireError;
use crate::health::Incident;
use crate::plan::no_live_node;
use crate::topology::Member;

/// What [`redis::aio::Monitor`] is, over several nodes: every request that any of them gets.
///
/// `MONITOR` is sent to all nodes that are not ejected, on connections of their own that are closed when
/// this is dropped; lines come as they arrive, those of one node in its order. A node that fails costs the
/// others nothing; it is monitored again when it is back, and so are nodes that come with a new topology.
/// What it was asked meanwhile is missed. The stream does not end because of that.
///
/// As with redis-rs, a node that does not permit `MONITOR` is silent, and lines that nobody takes are kept,
/// however many they are.
///
/// # Examples
///
/// ```no_run
/// use futures_util::StreamExt;
///
/// # async fn listen() -> redis::RedisResult<()> {
/// let client = shardwright::ShardedClient::open("redis://10.0.0.1,redis://10.0.0.2")?;
/// let mut monitor = client.get_async_monitor().await?;
/// let mut lines = monitor.on_node_message::<String>();
/// while let Some((node, line)) = lines.next().await {
///     println!("{node}: {line}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ShardedMonitor {
    lines: UnboundedReceiver<Line>,
    /// Ends with this, and with it all connections.
    _driver: Task,
}

/// A line, and the name of the node that said it.
type Line = (Arc<str>, Value);

/// Who waits for the outcome of a first attempt to connect.
type Reply = oneshot::Sender<RedisResult<()>>;

impl ShardedClient {
    /// Monitors all nodes that are not ejected: connects to them at the same time, and waits until each is
    /// monitored or has failed.
    ///
    /// # Errors
    ///
    /// If fewer nodes can be connected to than the [`ConnectMode`] asks for: with
    /// [`Any`](ConnectMode::Any), the default, if none can.
    ///
    /// # Panics
    ///
    /// Outside of a runtime, if only tokio is compiled in.
    pub async fn get_async_monitor(&self) -> RedisResult<ShardedMonitor> {
        let shared = &self.shared;
        let (sender, lines) = mpsc::unbounded_channel();
        let mut driver = Driver { shared: Arc::clone(shared), lines: sender, posts: Vec::new() };
        let generation = shared.topology.generation();
        let attempts = driver.follow();
        let monitor = ShardedMonitor { lines, _driver: spawn(driver.run(generation)) };
        if attempts.is_empty() {
            return Err(no_live_node().into());
        }
        let mode = shared.options.connect_mode;
        let mut has_any = mode == ConnectMode::Lazy;
        let mut first_error: Option<RedisError> = None;
        for attempt in attempts {
            match attempt.await {
                Ok(Ok(())) => has_any = true,
                Ok(Err(error)) => first_error = first_error.or(Some(error)),
                // Ejected meanwhile, or gone from the topology.
                Err(_) => {}
            }
        }
        match first_error {
            Some(error) if mode == ConnectMode::All || !has_any => Err(error),
            None if !has_any => Err(no_live_node().into()),
            _ => Ok(monitor),
        }
    }
}

impl ShardedMonitor {
    /// The lines of all nodes. As with redis-rs, a line that `T` cannot be made of ends the stream.
    pub fn on_message<'a, T: FromRedisValue + 'a>(&'a mut self) -> impl Stream<Item = T> + 'a {
        poll_fn(|context| self.poll_line(context, without_node))
    }

    /// The lines of all nodes. As with redis-rs, a line that `T` cannot be made of ends the stream.
    pub fn into_on_message<T: FromRedisValue>(mut self) -> impl Stream<Item = T> {
        poll_fn(move |context| self.poll_line(context, without_node))
    }

    /// The lines of all nodes, each with the name of its node.
    pub fn on_node_message<'a, T: FromRedisValue + 'a>(
        &'a mut self,
    ) -> impl Stream<Item = (Arc<str>, T)> + 'a {
        poll_fn(|context| self.poll_line(context, with_node))
    }

    /// The lines of all nodes, each with the name of its node.
    pub fn into_on_node_message<T: FromRedisValue>(mut self) -> impl Stream<Item = (Arc<str>, T)> {
        poll_fn(move |context| self.poll_line(context, with_node))
    }

    fn poll_line<T>(
        &mut self,
        context: &mut Context<'_>,
        convert: fn(Line) -> Option<T>,
    ) -> Poll<Option<T>> {
        self.lines.poll_recv(context).map(|line| line.and_then(convert))
    }
}

fn without_node<T: FromRedisValue>((_, line): Line) -> Option<T> {
    T::from_redis_value(line).ok()
}

fn with_node<T: FromRedisValue>((node, line): Line) -> Option<(Arc<str>, T)> {
    Some((node, T::from_redis_value(line).ok()?))
}

/// Sees to it that each node is monitored that is not ejected.
#[derive(Debug)]
struct Driver {
    shared: Arc<Shared>,
    lines: UnboundedSender<Line>,
    posts: Vec<Post>,
}

/// A node that is monitored, or connected to for that.
#[derive(Debug)]
struct Post {
    member: Arc<Member<Endpoint>>,
    _task: Task,
}

impl Driver {
    /// Runs until it is dropped, and closes all connections with it.
    async fn run(mut self, mut generation: u64) {
        loop {
            sleep(GLANCE).await;
            let latest = self.shared.topology.generation();
            if latest != generation {
                generation = latest;
                drop(self.follow());
            }
        }
    }

    /// Has the nodes monitored that are not ejected now, and no others. Returns the first attempts.
    fn follow(&mut self) -> Vec<oneshot::Receiver<RedisResult<()>>> {
        let snapshot = self.shared.topology.current();
        let live: Vec<_> =
            snapshot.router().live_nodes().map(|node| snapshot.member(node)).collect();
        self.posts.retain(|post| live.iter().any(|member| member.id() == post.member.id()));
        let mut attempts = Vec::new();
        for member in live {
            if self.posts.iter().all(|post| post.member.id() != member.id()) {
                let (reply, attempt) = oneshot::channel();
                let station = Station {
                    shared: Arc::clone(&self.shared),
                    member: Arc::clone(member),
                    lines: self.lines.clone(),
                };
                let task = spawn(station.run(reply));
                self.posts.push(Post { member: Arc::clone(member), _task: task });
                attempts.push(attempt);
            }
        }
        attempts
    }
}

/// The connection to one node.
#[derive(Debug)]
struct Station {
    shared: Arc<Shared>,
    member: Arc<Member<Endpoint>>,
    lines: UnboundedSender<Line>,
}

impl Station {
    /// Monitors for ever: connects, and connects again.
    async fn run(self, reply: Reply) {
        let mut reply = Some(reply);
        let mut answer = |outcome| {
            if let Some(reply) = reply.take() {
                // Who does not wait any more does not need to know.
                let _ = reply.send(outcome);
            }
        };
        let mut back_off = BackOff::default();
        loop {
            sleep(back_off.pause()).await;
            let opening = dial(&self.shared, &self.member, |client| async move {
                client.get_async_monitor().await
            });
            back_off.count();
            match opening.await {
                Ok(monitor) => {
                    answer(Ok(()));
                    if self.hear(monitor).await {
                        back_off = BackOff::default();
                        back_off.count();
                    }
                    lose(&self.shared, &self.member, WireError::Io(disconnected()));
                }
                Err(failure) => answer(Err(failure.into())),
            }
        }
    }

    /// Hands on what the node says, until the connection is lost. Returns whether it said anything.
    async fn hear(&self, monitor: Monitor) -> bool {
        let mut lines = monitor.into_on_message::<Value>();
        let mut has_spoken = false;
        while let Some(line) = lines.next().await {
            has_spoken = true;
            self.shared.observe(&self.member, self.member.epoch(), Incident::Reply);
            // Without a monitor this task is about to end.
            let _ = self.lines.send((Arc::clone(self.member.name()), line));
        }
        has_spoken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_shared<T: Send + Sync + Unpin>() {}
    fn assert_sent<T: Send + Sync + Unpin>(_: impl FnOnce(ShardedMonitor) -> T) {}

    #[test]
    fn it_goes_from_thread_to_thread_as_in_redis_rs() {
        assert_shared::<Monitor>();
        assert_shared::<ShardedMonitor>();
        assert_sent(|monitor| monitor.into_on_message::<String>());
        assert_sent(|monitor| monitor.into_on_node_message::<String>());
    }
}
