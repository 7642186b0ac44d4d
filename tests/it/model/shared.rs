//! The asynchronous connection, which tasks share, as one side of a case.

use redis::Cmd;
use redis::ConnectionLike;
use redis::Pipeline;
use redis::RedisResult;
use redis::Value;
use redis::aio::ConnectionLike as _;
use shardwright::AsyncConnectionConfig;
use shardwright::ShardedClient;
use shardwright::ShardedMultiplexedConnection;
use tokio::runtime::Builder;
use tokio::runtime::Runtime;

use super::step::Args;
use super::step::Connection;
use super::step::is_named;
use super::world::LIMIT;

/// One that is waited for.
struct Waiting {
    connection: ShardedMultiplexedConnection,
    runtime: Runtime,
}

/// Opens one.
pub fn open(client: &ShardedClient) -> Option<Box<dyn Connection>> {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(LIMIT));
    let connection = client.get_multiplexed_async_connection_with_config(&config);
    let connection = runtime.block_on(connection).expect("a node is there");
    Some(Box::new(Waiting { connection, runtime }))
}

impl Connection for Waiting {
    fn send_packed(&mut self, _bytes: &[u8]) -> RedisResult<()> {
        unreachable!("tasks share it")
    }

    fn receive(&mut self) -> RedisResult<Value> {
        unreachable!("tasks share it")
    }

    fn is_shared(&self) -> bool {
        true
    }
}

impl ConnectionLike for Waiting {
    fn req_packed_command(&mut self, bytes: &[u8]) -> RedisResult<Value> {
        let command = commands(bytes).pop().map_or_else(Cmd::new, |args| command(&args));
        self.runtime.block_on(self.connection.req_packed_command(&command))
    }

    fn req_packed_commands(
        &mut self,
        bytes: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let commands = commands(bytes);
        let mut pipeline = Pipeline::new();
        match commands.as_slice() {
            [first, inner @ .., _] if is_named(first, &["MULTI"]) => {
                pipeline.atomic();
                inner.iter().for_each(|args| _ = pipeline.add_command(command(args)));
            }
            all => all.iter().for_each(|args| _ = pipeline.add_command(command(args))),
        }
        self.runtime.block_on(self.connection.req_packed_commands(&pipeline, offset, count))
    }

    fn get_db(&self) -> i64 {
        self.connection.get_db()
    }

    fn check_connection(&mut self) -> bool {
        true
    }

    fn is_open(&self) -> bool {
        true
    }
}

fn command(args: &Args) -> Cmd {
    args.iter().fold(Cmd::new(), |mut command, argument| {
        command.arg(argument.as_slice());
        command
    })
}

/// The commands in bytes that [`packed`](super::step::packed) has made.
fn commands(mut bytes: &[u8]) -> Vec<Args> {
    let mut commands = Vec::new();
    while !bytes.is_empty() {
        let count = number(&mut bytes);
        let mut args = Args::new();
        for _ in 0..count {
            let (argument, rest) = {
                let length = number(&mut bytes);
                bytes.split_at(length)
            };
            args.push(argument.to_vec());
            bytes = &rest[2..];
        }
        commands.push(args);
    }
    commands
}

/// Takes the number behind `*` or `$`, and the end of its line.
fn number(bytes: &mut &[u8]) -> usize {
    let end = bytes.iter().position(|byte| *byte == b'\r').expect("a line ends");
    let text = std::str::from_utf8(&bytes[1..end]).expect("digits");
    *bytes = &bytes[end + 2..];
    text.parse().expect("a number")
}
