//! Both sides of a case: each step is done on both, and the replies are compared.

use redis::RedisResult;
use redis::Value;
use shardwright::ShardError;
use shardwright::ShardErrorKind;
use shardwright::ShardedClient;

use super::outcome::Outcome;
use super::outcome::compare_all;
use super::outcome::flat;
use super::outcome::followed;
use super::outcome::is_unreadable;
use super::outcome::refusal;
use super::outcome::scan_all;
use super::outcome::unequal;
use super::reply::Circumstances;
use super::reply::bytes;
use super::setting::Setting;
use super::step::Args;
use super::step::Connection;
use super::step::Replies;
use super::step::Step;
use super::step::args;
use super::step::ask;
use super::step::is_named;
use super::step::line;
use super::step::perform;
use super::step::send;
use super::values::DUMP;
use super::world::open_ours;
use super::world::open_theirs;

/// Both sides of a case.
pub struct Sides<'w> {
    pub setting: Setting,
    /// Connections that look what is stored: the big server's first, then those of the pool.
    pub watchers: &'w mut [redis::Connection],
    pub client: ShardedClient,
    pub ours: Box<dyn Connection>,
    pub theirs_client: redis::Client,
    pub theirs: redis::Connection,
}

impl Sides<'_> {
    /// Carries `step` out on both sides and compares the replies.
    pub fn take(&mut self, step: &Step) -> Outcome {
        let step = &self.resolved(step);
        if self.depends_on_order(step) || self.begins_within_a_scan(step) {
            return Outcome::Skipped;
        }
        match step {
            Step::Reconnect => {
                self.reconnect();
                Outcome::Same
            }
            Step::Scan(args) => self.scan(args),
            Step::Sent(_) if self.ours.is_shared() => Outcome::Skipped,
            Step::Sent(commands) => self.send(commands),
            Step::Transaction { watched, touched, commands, is_kept } => {
                self.transact(watched, touched.as_deref(), commands, *is_kept)
            }
            step => self.request(step),
        }
    }

    fn unordered(&self) -> Circumstances {
        Circumstances { nodes: self.setting.count(), is_ordered: false }
    }

    fn reconnect(&mut self) {
        self.ours = open_ours(&self.client, &self.setting);
        self.theirs = open_theirs(&self.theirs_client);
    }

    /// The step with dumps in the place of what stands for them.
    fn resolved(&mut self, step: &Step) -> Step {
        let mut commands = step.commands().to_vec();
        for argument in commands.iter_mut().flatten() {
            if let Some(key) = argument.strip_prefix(DUMP) {
                let dump = ask(&mut self.watchers[0], &[b"DUMP".to_vec(), key.to_vec()]);
                *argument = dump.ok().as_ref().and_then(bytes).unwrap_or_default().to_vec();
            }
        }
        step.with_commands(commands)
    }

    /// Whether the step stores something in the order in which a server walks through a set.
    fn depends_on_order(&mut self, step: &Step) -> bool {
        let has = |args: &Args, word: &[u8]| args.iter().any(|arg| arg.eq_ignore_ascii_case(word));
        let is_stored =
            |args: &&Args| is_named(args, &["SORT"]) && has(args, b"STORE") && has(args, b"BY");
        let Some(stored) = step.commands().iter().find(is_stored) else {
            return false;
        };
        // What the commands before it make of the key is not known yet.
        step.is_list() || !self.is_ordered(stored)
    }

    /// Whether the step has a cursor that the server may take for a number, but 0: on several nodes it is
    /// another place, or none (`src/guide/commands.md`).
    fn begins_within_a_scan(&self, step: &Step) -> bool {
        let is_elsewhere = |cursor: &Vec<u8>| {
            let first = cursor.first();
            cursor != b"0" && first.is_none_or(|first| b"+-0123456789".contains(first))
        };
        let mut commands = step.commands().iter();
        self.setting.count() > 1
            && commands
                .any(|args| is_named(args, &["SCAN"]) && args.get(1).is_some_and(is_elsewhere))
    }

    /// Whether the key of the command has an order of its own.
    fn is_ordered(&mut self, args: &Args) -> bool {
        let Some(key) = args.get(1) else { return true };
        let reply = ask(&mut self.watchers[0], &[b"TYPE".to_vec(), key.clone()]);
        // SORT walks through the hash table of a sorted set too.
        let hashed = ["set", "zset"].map(|kind| Some(Value::SimpleString(kind.into())));
        !hashed.contains(&reply.ok())
    }

    fn request(&mut self, step: &Step) -> Outcome {
        let is_single = !step.is_list();
        let is_sort = |args: &Args| is_named(args, &["SORT", "SORT_RO"]);
        let is_ordered =
            is_single && step.commands().iter().all(|args| is_sort(args) && self.is_ordered(args));
        let ours = match step {
            Step::Client(args) => ask(&mut self.client, args).map(|reply| vec![reply]),
            step => perform(&mut *self.ours, step),
        };
        if let Some(refusal) = refusal(&ours) {
            // A WATCH that is refused ends the one before it.
            let watches = step.commands().iter().any(|args| is_named(args, &["WATCH"]));
            return self.refused(refusal, watches || matches!(step, Step::Atomic(_)));
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

    /// After a refusal nothing is different on the pool; and where there is only one node its keys are no
    /// reason for one.
    fn refused(&mut self, why: ShardError, ends_transaction: bool) -> Outcome {
        if self.setting.count() == 1 && why.kind() == ShardErrorKind::CrossShard {
            return Outcome::Different(format!("refused on one node: {why}"));
        }
        if ends_transaction {
            self.forget_watched();
        }
        match self.compare_digests() {
            Ok(()) => Outcome::Refused,
            Err(difference) => {
                Outcome::Different(format!("refused ({why}), but not without effect: {difference}"))
            }
        }
    }

    /// The pool has forgotten what was watched, and tells the node.
    fn forget_watched(&mut self) {
        let _ = ask(&mut *self.ours, &args("UNWATCH"));
        let _ = ask(&mut self.theirs, &args("UNWATCH"));
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
        let ours = send(&mut *self.ours, commands);
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
                Outcome::Refused => {
                    self.forget_watched();
                    return Outcome::Refused;
                }
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
        if self.ours.is_shared() {
            return self.end_shared(commands, is_kept);
        }
        let end = args(if is_kept { "EXEC" } else { "DISCARD" });
        let all = [&[args("MULTI")], commands, &[end]].concat();
        let mut ours: Vec<_> = all.iter().map(|args| ask(&mut *self.ours, args)).collect();
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

    /// The end of a transaction where tasks share the connection: its commands come all at once.
    fn end_shared(&mut self, commands: &[Args], is_kept: bool) -> Outcome {
        if is_kept && !commands.is_empty() {
            return self.request(&Step::Atomic(commands.to_vec()));
        }
        self.forget_watched();
        Outcome::Skipped
    }

    /// Scans both sides from beginning to end.
    fn scan(&mut self, command: &Args) -> Outcome {
        let ours = scan_all(&mut *self.ours, command);
        if let Some(refusal) = refusal(&ours) {
            return self.refused(refusal, false);
        }
        let theirs = scan_all(&mut self.theirs, command);
        unequal(&ours, &theirs)
    }
}
