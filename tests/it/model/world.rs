//! One big server, and a pool of small ones.

use std::collections::BTreeSet;
use std::time::Duration;

use redis::Connection;
use redis::ErrorKind;
use redis::RedisError;
use redis::RedisResult;
use redis::Value;
use shardwright::ShardError;
use shardwright::ShardErrorKind;
use shardwright::ShardedClient;
use shardwright::ShardedConnection;

use super::data::Data;
use super::data::data;
use super::data::difference;
use super::data::digest;
use super::known;
use super::reply::Circumstances;
use super::reply::bytes;
use super::reply::differs;
use super::reply::elements;
use super::setting::Setting;
use super::step::Args;
use super::step::Replies;
use super::step::Step;
use super::step::args;
use super::step::ask;
use super::step::is_named;
use super::step::line;
use super::step::packed;
use super::step::perform;
use super::step::send;
use super::values::DUMP;
use crate::support::redis_server::RedisServer;

/// The servers, which all cases use one after the other, and connections that look what they store.
pub struct World {
    ports: Vec<u16>,
    /// The big one's first.
    watchers: Vec<Connection>,
    _servers: Vec<RedisServer>,
}

/// How long either side may take to answer.
const LIMIT: Duration = Duration::from_secs(20);

/// What is undone before a case.
const RESET: &[&str] = &[
    "SELECT 0",
    "FLUSHALL",
    "SCRIPT FLUSH",
    "FUNCTION FLUSH",
    "CONFIG SET hash-max-listpack-entries 128",
    "CONFIG SET set-max-intset-entries 512",
    "ACL DELUSER u1",
];

impl World {
    /// Starts the servers, of which at most `nodes` are in a pool, or says why the test is skipped.
    pub fn start(nodes: usize) -> Option<Self> {
        // At its usual 10 Hz a server notices the end of a wait up to 100 ms late.
        let start = |_| RedisServer::start_with(&["--hz", "100"]);
        let servers = (0..=nodes).map(start).collect::<Option<Vec<_>>>()?;
        let watcher = |server: &RedisServer| {
            let client = redis::Client::open(server.url()).expect("a URL");
            client.get_connection().expect("the server is there")
        };
        let watchers = servers.iter().map(watcher).collect();
        let ports = servers.iter().map(RedisServer::port).collect();
        Some(Self { ports, watchers, _servers: servers })
    }

    /// Empties the servers and opens both sides.
    pub fn begin(&mut self, setting: &Setting) -> Sides<'_> {
        for watcher in &mut self.watchers {
            for line in RESET {
                ask(watcher, &args(line)).expect("the server is there");
            }
        }
        let count = setting.count();
        let client = setting.client(&self.ports[1..=count]).expect("a pool");
        let theirs_client =
            redis::Client::open(setting.url(self.ports[0])).expect("a URL of redis-rs");
        let ours = open_ours(&client);
        let theirs = open_theirs(&theirs_client);
        Sides {
            setting: setting.clone(),
            watchers: &mut self.watchers[..=count],
            client,
            ours,
            theirs_client,
            theirs,
            is_watching: false,
        }
    }
}

fn open_ours(client: &ShardedClient) -> ShardedConnection {
    let connection = client.get_connection().expect("a node is there");
    connection.set_read_timeout(Some(LIMIT)).expect("not zero");
    connection
}

fn open_theirs(client: &redis::Client) -> Connection {
    let connection = client.get_connection().expect("the server is there");
    connection.set_read_timeout(Some(LIMIT)).expect("not zero");
    connection
}

/// Both sides of a case.
pub struct Sides<'w> {
    setting: Setting,
    watchers: &'w mut [Connection],
    client: ShardedClient,
    ours: ShardedConnection,
    theirs_client: redis::Client,
    theirs: Connection,
    /// Whether a `WATCH` is in force.
    is_watching: bool,
}

/// How a step went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Both sides said the same.
    Same,
    /// The pool refused it.
    Refused(String),
    /// They cannot be compared.
    Skipped,
    /// They cannot be compared from here on.
    Ended,
    Different(String),
}

impl Sides<'_> {
    /// Carries `step` out on both sides and compares the replies.
    pub fn take(&mut self, step: &Step) -> Outcome {
        let step = &self.resolved(step);
        if self.depends_on_order(step) || known::is_known(step, self.is_watching) {
            return Outcome::Skipped;
        }
        let outcome = self.taken(step);
        let names = |names: &[&str]| step.commands().iter().any(|args| is_named(args, names));
        let ends = matches!(step, Step::Atomic(_) | Step::Transaction { .. } | Step::Reconnect)
            || names(&["UNWATCH"]);
        let is_done = matches!(outcome, Outcome::Same);
        self.is_watching = self.is_watching && !ends || is_done && names(&["WATCH"]);
        outcome
    }

    fn taken(&mut self, step: &Step) -> Outcome {
        match step {
            Step::Reconnect => {
                self.reconnect();
                Outcome::Same
            }
            Step::Scan(args) => self.scan(args),
            Step::Sent(commands) => self.send(commands),
            Step::Transaction { watched, touched, commands, is_kept } => {
                self.transact(watched, touched.as_deref(), commands, *is_kept)
            }
            step => self.request(step),
        }
    }

    /// Whether both sides store the same, each key being where the pool looks for it.
    pub fn compare_data(&mut self) -> Result<(), String> {
        let theirs = data(&mut self.watchers[..1])?;
        let ours = data(&mut self.watchers[1..])?;
        self.check_places(&ours)?;
        difference(&ours, &theirs).map_or(Ok(()), Err)
    }

    /// The same, less thoroughly and faster.
    pub fn compare_digests(&mut self) -> Result<(), String> {
        if self.setting.has_databases {
            return self.compare_data();
        }
        let mut digests = self.watchers.iter_mut().map(digest);
        let theirs = digests.next().unwrap_or_default();
        let ours = digests.fold(vec![0; theirs.len()], |sum, digest| {
            sum.iter().zip(digest).map(|(one, other)| one ^ other).collect()
        });
        if ours == theirs {
            return Ok(());
        }
        self.compare_data().and(Err("the digests differ, and nothing that we look at does".into()))
    }

    fn unordered(&self) -> Circumstances {
        Circumstances { nodes: self.setting.count(), is_ordered: false }
    }

    fn check_places(&mut self, ours: &Data) -> Result<(), String> {
        // The servers are in the order of the list, and the ids of the nodes may be in another.
        for ((_, key), entry) in ours {
            let owner = self.client.node_for_key(key.as_slice());
            let port = owner
                .and_then(|node| node.address().to_string().rsplit(':').next().map(str::to_string));
            let here = self.port_of(entry.server());
            if port.as_deref() != Some(here.as_str()) {
                let key = key.escape_ascii();
                return Err(format!("\"{key}\" is on {here}, and the pool looks on {port:?}"));
            }
        }
        Ok(())
    }

    fn port_of(&mut self, server: usize) -> String {
        let reply = ask(&mut self.watchers[1 + server], &args("CONFIG GET port"));
        let reply: Vec<String> =
            reply.and_then(|reply| Ok(redis::from_redis_value(reply)?)).unwrap_or_default();
        reply.into_iter().nth(1).unwrap_or_default()
    }

    fn reconnect(&mut self) {
        self.ours = open_ours(&self.client);
        self.theirs = open_theirs(&self.theirs_client);
    }

    /// The step with dumps in the place of what stands for them.
    fn resolved(&mut self, step: &Step) -> Step {
        let mut commands = step.commands().to_vec();
        for argument in commands.iter_mut().flatten() {
            if let Some(key) = argument.strip_prefix(DUMP) {
                let dump = ask(&mut self.watchers[0], &vec![b"DUMP".to_vec(), key.to_vec()]);
                *argument = dump.ok().as_ref().and_then(bytes).unwrap_or_default().to_vec();
            }
        }
        step.with_commands(commands)
    }

    /// Whether the step stores something in the order in which a server walks through a set.
    fn depends_on_order(&mut self, step: &Step) -> bool {
        let has = |args: &Args, word: &[u8]| args.iter().any(|arg| arg.eq_ignore_ascii_case(word));
        let is_stored = |args: &&Args| {
            args.first().is_some_and(|name| name.eq_ignore_ascii_case(b"SORT"))
                && has(args, b"STORE")
                && has(args, b"BY")
        };
        let Some(stored) = step.commands().iter().find(is_stored) else {
            return false;
        };
        // What the commands before it make of the key is not known yet.
        step.is_list() || !self.is_ordered(stored)
    }

    /// Whether the key of the command has an order of its own.
    fn is_ordered(&mut self, args: &Args) -> bool {
        let Some(key) = args.get(1) else { return true };
        let reply = ask(&mut self.watchers[0], &vec![b"TYPE".to_vec(), key.clone()]);
        // SORT walks through the hash table of a sorted set too.
        let hashed = ["set", "zset"].map(|kind| Some(Value::SimpleString(kind.into())));
        !hashed.contains(&reply.ok())
    }

    fn request(&mut self, step: &Step) -> Outcome {
        let is_single = !step.is_list();
        let is_sort = |args: &Args| {
            args.first().is_some_and(|name| name.to_ascii_uppercase().starts_with(b"SORT"))
        };
        let is_ordered =
            is_single && step.commands().iter().all(|args| is_sort(args) && self.is_ordered(args));
        let ours = match step {
            Step::Client(args) => ask(&mut self.client, args).map(|reply| vec![reply]),
            step => perform(&mut self.ours, step),
        };
        if let Some(refusal) = refusal(&ours) {
            return self.refused(refusal, matches!(step, Step::Atomic(_)));
        }
        let followed = match (step.commands(), &ours) {
            ([args], Ok(replies)) if is_single => followed(args, &replies[0]),
            _ => None,
        };
        if let Some((args, expected)) = followed {
            return match self.ask_theirs(step, &args) {
                Ok(reply) if reply == expected => Outcome::Same,
                reply => Outcome::Different(format!("ours   {ours:?}\n      theirs {reply:?}")),
            };
        }
        let theirs = match step {
            Step::Client(args) => ask(&mut self.theirs_client, args).map(|reply| vec![reply]),
            step => perform(&mut self.theirs, step),
        };
        let outcome = self.compare(step, &ours, &theirs, is_ordered);
        match (&outcome, step.commands(), ours.as_deref()) {
            (Outcome::Same, [_], Ok([reply])) if is_single => self.check_members(step, reply),
            _ => outcome,
        }
    }

    fn compare(
        &mut self,
        step: &Step,
        ours: &Replies,
        theirs: &Replies,
        is_ordered: bool,
    ) -> Outcome {
        match (ours, theirs) {
            (_, Err(error)) if is_unreadable(error) => {
                // redis-rs has given the connection up over an error that is not UTF-8, and what the
                // server has done of the rest nobody knows.
                Outcome::Ended
            }
            (Ok(ours), Ok(theirs)) if matches!(step, Step::Atomic(_)) => {
                match (ours.as_slice(), theirs.as_slice()) {
                    ([Value::Array(ours)], [Value::Array(theirs)]) => {
                        compare_all(step.commands(), ours, theirs, self.unordered())
                    }
                    _ => unequal(ours, theirs),
                }
            }
            (Ok(ours), Ok(theirs)) => {
                let circumstances = Circumstances { is_ordered, ..self.unordered() };
                compare_all(step.commands(), ours, theirs, circumstances)
            }
            (Err(ours), Err(theirs))
                if ours.kind() == theirs.kind()
                    && (ours.to_string() == theirs.to_string()
                        // The words of an aborted transaction cannot be redis-rs's.
                        || matches!(step, Step::Atomic(_))) =>
            {
                Outcome::Same
            }
            _ => unequal(ours, theirs),
        }
    }

    /// After a refusal nothing is different on the pool.
    fn refused(&mut self, why: String, ends_transaction: bool) -> Outcome {
        if ends_transaction {
            // The pool has forgotten what was watched, and tells the node.
            let _ = ask(&mut self.ours, &args("UNWATCH"));
            let _ = ask(&mut self.theirs, &args("UNWATCH"));
        }
        match self.compare_digests() {
            Ok(()) => Outcome::Refused(why),
            Err(difference) => {
                Outcome::Different(format!("refused ({why}), but not without effect: {difference}"))
            }
        }
    }

    /// Asks the big server as `step` does, which is one command.
    fn ask_theirs(&mut self, step: &Step, args: &Args) -> RedisResult<Value> {
        match step {
            Step::Client(_) => ask(&mut self.theirs_client, args),
            _ => ask(&mut self.theirs, args),
        }
    }

    /// Whether what was picked at random is there to be picked.
    fn check_members(&mut self, step: &Step, reply: &Value) -> Outcome {
        let command = &step.commands()[0];
        let name = command.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
        let about = |question: &str| {
            let mut question = args(question);
            question.splice(1..1, command.get(1).cloned());
            question
        };
        let question = match name.as_slice() {
            b"SRANDMEMBER" => about("SMEMBERS"),
            b"HRANDFIELD" => about("HGETALL"),
            b"ZRANDMEMBER" => about("ZRANGE 0 -1 WITHSCORES"),
            b"RANDOMKEY" => args("KEYS *"),
            _ => return Outcome::Same,
        };
        let picked = match reply {
            Value::Nil | Value::ServerError(_) => return Outcome::Same,
            reply => flat(reply),
        };
        let Ok(all) = self.ask_theirs(step, &question) else {
            return Outcome::Different("the big server is gone".into());
        };
        let all = flat(&all);
        match picked.into_iter().find(|element| !all.contains(element)) {
            None => Outcome::Same,
            Some(element) => Outcome::Different(format!("{element:?} is not in {all:?}")),
        }
    }

    fn send(&mut self, commands: &[Args]) -> Outcome {
        let ours = send(&mut self.ours, commands);
        let mut carried_out = Vec::new();
        let mut replies = Vec::new();
        let mut refusals = Vec::new();
        for (args, reply) in commands.iter().zip(ours) {
            match (refusal(&reply), reply) {
                (Some(refusal), _) => refusals.push(refusal),
                (None, Ok(reply)) => {
                    carried_out.push(args.clone());
                    replies.push(reply);
                }
                (None, Err(error)) => return Outcome::Different(format!("ours   {error:?}")),
            }
        }
        let theirs: Replies = send(&mut self.theirs, &carried_out).into_iter().collect();
        let step = Step::Sent(carried_out);
        match self.compare(&step, &Ok(replies), &theirs, false) {
            Outcome::Same => match refusals.pop() {
                Some(refusal) => self.refused(refusal, false),
                None => Outcome::Same,
            },
            other => other,
        }
    }

    fn transact(
        &mut self,
        watched: &Args,
        touched: Option<&[u8]>,
        commands: &[Args],
        is_kept: bool,
    ) -> Outcome {
        if !watched.is_empty() {
            let watch = Step::Command([args("WATCH"), watched.clone()].concat());
            match self.request(&watch) {
                Outcome::Same => {}
                Outcome::Refused(why) => return self.refused(why, true),
                other => return other,
            }
        }
        if let Some(key) = touched {
            let touch = Step::Client([args("INCR"), vec![key.to_vec()]].concat());
            let outcome = self.request(&touch);
            if outcome != Outcome::Same {
                return outcome;
            }
        }
        let end = args(if is_kept { "EXEC" } else { "DISCARD" });
        let all = [&[args("MULTI")], commands, &[end]].concat();
        let mut ours: Vec<_> = all.iter().map(|args| ask(&mut self.ours, args)).collect();
        let refusal = ours.iter().find_map(refusal);
        if let Some(refusal) = refusal {
            return match ours.pop() {
                Some(Ok(Value::ServerError(error))) if error.code() == "EXECABORT" => {
                    self.refused(refusal, true)
                }
                Some(Ok(Value::Okay)) if !is_kept => self.refused(refusal, true),
                last => Outcome::Different(format!("refused ({refusal}), but ends with {last:?}")),
            };
        }
        let mut theirs: Vec<_> = all.iter().map(|args| ask(&mut self.theirs, args)).collect();
        if theirs.iter().any(|reply| reply.as_ref().is_err_and(is_unreadable)) {
            return Outcome::Ended;
        }
        let (last, other_last) = (ours.pop(), theirs.pop());
        for ((args, ours), theirs) in all.iter().zip(&ours).zip(&theirs) {
            // Until a key names the node nothing is sent, and the error comes with the EXEC.
            let is_held = matches!((ours, theirs), (Ok(Value::SimpleString(queued)), Ok(Value::ServerError(_)))
                if queued == "QUEUED");
            if !is_held && format!("{ours:?}") != format!("{theirs:?}") {
                return Outcome::Different(format!(
                    "{}\n      ours   {ours:?}\n      theirs {theirs:?}",
                    line(args)
                ));
            }
        }
        match (last, other_last) {
            (Some(Ok(Value::Array(ours))), Some(Ok(Value::Array(theirs)))) => {
                compare_all(commands, &ours, &theirs, self.unordered())
            }
            (ours, theirs) => unequal(&ours, &theirs),
        }
    }

    /// Scans both sides from beginning to end.
    fn scan(&mut self, command: &Args) -> Outcome {
        let ours = scan_all(&mut self.ours, command);
        if let Some(refusal) = refusal(&ours) {
            return self.refused(refusal, false);
        }
        let theirs = scan_all(&mut self.theirs, command);
        unequal(&ours, &theirs)
    }
}

/// Why the pool does not carry out what is carried out on one server, if that is what the reply says.
fn refusal<T>(reply: &RedisResult<T>) -> Option<String> {
    let error = ShardError::of(reply.as_ref().err()?)?;
    let kinds = [ShardErrorKind::CrossShard, ShardErrorKind::Unroutable];
    kinds.contains(&error.kind()).then(|| error.to_string())
}

fn is_unreadable(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Parse
}

fn unequal(ours: &impl std::fmt::Debug, theirs: &impl std::fmt::Debug) -> Outcome {
    let (ours, theirs) = (format!("{ours:?}"), format!("{theirs:?}"));
    if ours == theirs {
        return Outcome::Same;
    }
    Outcome::Different(format!("ours   {ours}\n      theirs {theirs}"))
}

fn compare_all(
    commands: &[Args],
    ours: &[Value],
    theirs: &[Value],
    circumstances: Circumstances,
) -> Outcome {
    if (ours.len(), theirs.len()) != (commands.len(), commands.len()) {
        return unequal(&ours, &theirs);
    }
    for ((args, ours), theirs) in commands.iter().zip(ours).zip(theirs) {
        if let Some(difference) = differs(args, ours, theirs, circumstances) {
            return Outcome::Different(format!("{}\n      {difference}", line(args)));
        }
    }
    Outcome::Same
}

/// What the big server is to be told in the place of a command that chooses by itself, and what it is
/// to reply.
fn followed(command: &Args, reply: &Value) -> Option<(Args, Value)> {
    let name = command.first()?.to_ascii_uppercase();
    match (name.as_slice(), reply) {
        (b"SPOP", Value::BulkString(_) | Value::Array(_) | Value::Set(_)) => {
            let popped = match reply {
                Value::BulkString(_) => vec![reply.clone()],
                reply => elements(reply),
            };
            let members = popped.iter().filter_map(bytes).map(<[u8]>::to_vec);
            let remove: Args =
                [b"SREM".to_vec(), command.get(1)?.clone()].into_iter().chain(members).collect();
            let expected = Value::Int(popped.len() as i64);
            (!popped.is_empty()).then_some((remove, expected))
        }
        (b"XADD", Value::BulkString(id)) if command.get(2).is_some_and(|id| id == b"*") => {
            let mut add = command.clone();
            add[2].clone_from(id);
            Some((add, reply.clone()))
        }
        _ => None,
    }
}

/// All that a scan finds, in order and once.
fn scan_all(
    connection: &mut impl redis::ConnectionLike,
    command: &Args,
) -> RedisResult<Vec<String>> {
    let place = if command[0].eq_ignore_ascii_case(b"SCAN") { 1 } else { 2 };
    let is_paired =
        command[0].eq_ignore_ascii_case(b"HSCAN") || command[0].eq_ignore_ascii_case(b"ZSCAN");
    let mut found = BTreeSet::new();
    let mut command = command.clone();
    for _ in 0..100_000 {
        let reply = connection.req_packed_command(&packed(&command))?;
        let parts = elements(&reply);
        let [cursor, batch] = parts.as_slice() else {
            found.insert(format!("{reply:?}"));
            break;
        };
        let batch = elements(batch);
        let size = if is_paired { 2 } else { 1 };
        found.extend(batch.chunks(size).map(|item| format!("{item:?}")));
        let cursor = bytes(cursor).unwrap_or_default();
        if cursor == b"0" {
            break;
        }
        command[place] = cursor.to_vec();
    }
    Ok(found.into_iter().collect())
}

/// All that is in a reply that is not itself an array.
fn flat(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(_) | Value::Set(_) | Value::Map(_) => {
            elements(value).iter().flat_map(flat).collect()
        }
        other => vec![other.clone()],
    }
}
