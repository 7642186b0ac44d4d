//! What is done to both sides: commands, by the ways in which an application can send them.

use std::fmt;

use redis::Cmd;
use redis::ConnectionLike;
use redis::RedisResult;
use redis::Value;

/// A command's name and arguments.
pub type Args = Vec<Vec<u8>>;

/// One thing that an application does with a connection.
#[derive(Clone, PartialEq, Eq)]
pub enum Step {
    /// A command, as `redis::cmd` sends it.
    Command(Args),
    /// A command, as the scan iterators send it.
    Packed(Args),
    /// A command on a client, which connects for it.
    Client(Args),
    /// Commands that are sent at first, and whose replies are fetched then.
    Sent(Vec<Args>),
    Pipeline(Vec<Args>),
    /// A pipeline that is a transaction.
    Atomic(Vec<Args>),
    /// `WATCH`, a write to one of the keys by somebody else, `MULTI`, the commands one by one, `EXEC`.
    Transaction {
        watched: Args,
        touched: Option<Vec<u8>>,
        commands: Vec<Args>,
        is_kept: bool,
    },
    /// A scan from its beginning to its end. The cursor is that of the template, 0.
    Scan(Args),
    /// The connection is dropped and another one opened.
    Reconnect,
}

impl Step {
    /// The commands in it.
    pub fn commands(&self) -> &[Args] {
        match self {
            Self::Command(args) | Self::Packed(args) | Self::Client(args) | Self::Scan(args) => {
                std::slice::from_ref(args)
            }
            Self::Sent(commands)
            | Self::Pipeline(commands)
            | Self::Atomic(commands)
            | Self::Transaction { commands, .. } => commands,
            Self::Reconnect => &[],
        }
    }

    /// The same with other commands.
    pub fn with_commands(&self, commands: Vec<Args>) -> Self {
        let mut step = self.clone();
        match &mut step {
            Self::Command(args) | Self::Packed(args) | Self::Client(args) | Self::Scan(args) => {
                *args = commands.into_iter().next().unwrap_or_default();
            }
            Self::Sent(all)
            | Self::Pipeline(all)
            | Self::Atomic(all)
            | Self::Transaction { commands: all, .. } => *all = commands,
            Self::Reconnect => {}
        }
        step
    }

    /// Whether its commands are many, of which some can be left out.
    pub fn is_list(&self) -> bool {
        matches!(
            self,
            Self::Sent(_) | Self::Pipeline(_) | Self::Atomic(_) | Self::Transaction { .. }
        )
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Command(_) => "command",
            Self::Packed(_) => "packed",
            Self::Client(_) => "client",
            Self::Sent(_) => "sent",
            Self::Pipeline(_) => "pipeline",
            Self::Atomic(_) => "atomic",
            Self::Transaction { .. } => "transaction",
            Self::Scan(_) => "scan",
            Self::Reconnect => "reconnect",
        };
        f.write_str(name)?;
        if let Self::Transaction { watched, touched, is_kept, .. } = self {
            write!(f, " [watch {}", line(watched))?;
            if let Some(key) = touched {
                write!(f, ", touched {}", line(std::slice::from_ref(key)))?;
            }
            write!(f, ", {}]", if *is_kept { "exec" } else { "discard" })?;
        }
        match self.commands() {
            [only] if !self.is_list() => write!(f, ": {}", line(only)),
            commands => {
                for args in commands {
                    write!(f, "\n      {}", line(args))?;
                }
                Ok(())
            }
        }
    }
}

/// A command as one writes it down.
pub fn line(args: &[Vec<u8>]) -> String {
    let words = args.iter().map(|argument| {
        let text = argument.escape_ascii().to_string();
        let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if is_plain { text } else { format!("\"{text}\"") }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Whether the command is one of `names`.
pub fn is_named(args: &[Vec<u8>], names: &[&str]) -> bool {
    let is =
        |name: &&str| args.first().is_some_and(|arg| arg.eq_ignore_ascii_case(name.as_bytes()));
    names.iter().any(is)
}

pub fn packed(args: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for argument in args {
        bytes.extend(format!("${}\r\n", argument.len()).into_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

pub fn args(line: &str) -> Args {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

fn command(args: &[Vec<u8>]) -> Cmd {
    let mut command = Cmd::new();
    for argument in args {
        command.arg(argument.as_slice());
    }
    command
}

/// What both connections can do, in redis-rs's own words.
pub trait Connection: ConnectionLike {
    fn send_packed(&mut self, bytes: &[u8]) -> RedisResult<()>;
    fn receive(&mut self) -> RedisResult<Value>;

    /// Whether tasks share it: it sends nothing whose reply is fetched later, and knows no `MULTI` but
    /// that of an atomic pipeline.
    fn is_shared(&self) -> bool {
        false
    }
}

impl Connection for redis::Connection {
    fn send_packed(&mut self, bytes: &[u8]) -> RedisResult<()> {
        self.send_packed_command(bytes)
    }

    fn receive(&mut self) -> RedisResult<Value> {
        self.recv_response()
    }
}

impl Connection for shardwright::ShardedConnection {
    fn send_packed(&mut self, bytes: &[u8]) -> RedisResult<()> {
        self.send_packed_command(bytes)
    }

    fn receive(&mut self) -> RedisResult<Value> {
        self.recv_response()
    }
}

/// The replies to the commands of a step. An error that is not a reply is that of all of it.
pub type Replies = RedisResult<Vec<Value>>;

/// Sends each of `commands` and fetches the replies of those that could be sent then.
pub fn send(
    connection: &mut (impl Connection + ?Sized),
    commands: &[Args],
) -> Vec<RedisResult<Value>> {
    let sent: Vec<_> = commands.iter().map(|args| connection.send_packed(&packed(args))).collect();
    sent.into_iter().map(|sent| sent.and_then(|()| connection.receive())).collect()
}

/// Sends a command as `redis::cmd` does.
pub fn ask(
    connection: &mut (impl ConnectionLike + ?Sized),
    args: &[Vec<u8>],
) -> RedisResult<Value> {
    connection.req_command(&command(args))
}

/// Carries out `step`, which is one request.
pub fn perform(connection: &mut (impl Connection + ?Sized), step: &Step) -> Replies {
    match step {
        Step::Command(args) | Step::Client(args) => ask(connection, args).map(|reply| vec![reply]),
        Step::Packed(args) => connection.req_packed_command(&packed(args)).map(|reply| vec![reply]),
        Step::Pipeline(commands) => {
            let bytes: Vec<_> = commands.iter().flat_map(|args| packed(args)).collect();
            connection.req_packed_commands(&bytes, 0, commands.len())
        }
        Step::Atomic(commands) => {
            let mut bytes = packed(&args("MULTI"));
            bytes.extend(commands.iter().flat_map(|args| packed(args)));
            bytes.extend(packed(&args("EXEC")));
            connection.req_packed_commands(&bytes, commands.len() + 1, 1)
        }
        Step::Sent(_) | Step::Transaction { .. } | Step::Scan(_) | Step::Reconnect => {
            unreachable!("a step of several requests")
        }
    }
}
