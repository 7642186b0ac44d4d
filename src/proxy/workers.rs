//! The workers of the process: started, asked, told, and waited for.

use std::collections::hash_map::RandomState;
use std::convert::Infallible;
use std::hash::BuildHasher;
use std::io;
use std::sync::Arc;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use parking_lot::Mutex;

use super::changes::changed_directives;
use super::configuration;
use super::control::Workers;
use super::core::Note;
use super::driver::Handle;
use super::driver::ListenerOrder;
use super::driver::Listening;
use super::driver::Notes;
use super::driver::Order;
use super::driver::Worker;
use super::entrances::Entrance;
use super::patience::Patience;
use super::pools::Draft;
use super::settings::PoolSettings;
use super::stats::Stats;
use crate::config::NutcrackerConfig;
use crate::config::PoolConfig;
use crate::node::Address;

/// How long workers have to say what they have counted, or that a configuration is in force.
const PATIENCE: Duration = Duration::from_secs(1);

/// A level of the log, as nutcracker counts them.
const NOTICE: u8 = 5;

/// All workers.
pub(super) struct Crew {
    handles: Vec<Handle>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// What is in force.
    pools: Mutex<Vec<Pool>>,
    /// Where clients come in; `None` when no more are taken. Not held while anything is waited for.
    entrances: Mutex<Option<Vec<Entrance>>>,
    /// What each worker has told last.
    told: Mutex<Vec<Option<Stats>>>,
}

/// A pool that is in force.
struct Pool {
    config: PoolConfig,
    settings: Arc<PoolSettings>,
}

impl Pool {
    /// Whether this is the pool that `draft` is to follow.
    fn precedes(&self, draft: &Draft) -> bool {
        self.config.name() == draft.config.name() && self.settings.protocol == draft.protocol()
    }
}

impl Crew {
    /// Starts `count` workers for the pools of `config`, with io_uring or without; their sockets listen when this returns.
    /// Waits for those that another process still has.
    ///
    /// # Errors
    ///
    /// Where a pool cannot listen, or what the system says against a thread.
    pub(super) fn start(
        count: usize,
        uses_io_uring: bool,
        config: &NutcrackerConfig,
        notes: &Notes,
        patience: &mut Patience,
    ) -> Result<Self, String> {
        let complain = |error: io::Error| format!("a worker cannot be started: {error}");
        let (mut handles, mut workers) = (Vec::new(), Vec::new());
        for number in 0..count {
            let (worker, handle) =
                Worker::new(number as u32, count, uses_io_uring, Arc::clone(notes))
                    .map_err(complain)?;
            workers.push(worker);
            handles.push(handle);
        }
        let entrances = Mutex::new(Some(Vec::new()));
        let told = Mutex::new(vec![None; count]);
        let (threads, pools) = (Mutex::default(), Mutex::default());
        let crew = Self { handles, threads, pools, entrances, told };
        let (opened, _) =
            patience.wait_for(|| crew.put_in_force(config)).map_err(|error| error.to_string())?;
        for text in opened {
            notes(&Note { level: NOTICE, text });
        }
        for (number, worker) in workers.into_iter().enumerate() {
            let thread = std::thread::Builder::new().name(format!("worker-{number}"));
            let thread = thread.spawn(move || worker.run()).map_err(complain)?;
            crew.threads.lock().push(thread);
        }
        Ok(crew)
    }

    /// Puts a configuration in force, whole or not at all; answers what has changed, and what comes to its end when
    /// the workers that run have it.
    fn put_in_force(
        &self,
        config: &NutcrackerConfig,
    ) -> io::Result<(Vec<String>, Receiver<Infallible>)> {
        let mut pools = self.pools.lock();
        // All that can fail comes first.
        configuration::check_listeners(config).map_err(io::Error::other)?;
        let drafts = config.pools().iter().cloned().map(Draft::new).collect::<Result<Vec<_>, _>>();
        let drafts = drafts.map_err(io::Error::other)?;
        let mut opened = self.open_entrances(&drafts)?;
        let mut entrances = self.entrances.lock();
        // Workers that drain would take clients again, and not end.
        let open =
            entrances.as_mut().ok_or_else(|| io::Error::other("this process is draining"))?;
        let sockets = sockets(&pools, &drafts, open, &opened)?;
        let (mut changes, mut next, mut open_then) = (Vec::new(), Vec::new(), Vec::new());
        for (draft, opened) in drafts.into_iter().zip(&mut opened) {
            let config = draft.config.clone();
            let place = open.iter().position(|entrance| entrance.is_of(&config));
            let kept = place.map(|place| open.swap_remove(place));
            if let Some(entrance) = &kept {
                changes.extend(entrance.suit(&config).err());
            }
            open_then.extend(kept.or_else(|| opened.take()));
            let settings = match pools.iter().find(|old| old.precedes(&draft)) {
                Some(old) => {
                    let name = config.name();
                    let directives = changed_directives(&old.config, &config);
                    changes.extend(directives.iter().map(|directive| {
                        format!("pool '{name}': directive \"{directive}\" has changed")
                    }));
                    let (settings, mut changed) = draft.into_successor(&old.settings, now());
                    changes.append(&mut changed);
                    settings
                }
                None => {
                    let (name, listen) = (config.name(), config.listen());
                    changes.push(format!("pool '{name}' listens on '{listen}'"));
                    draft.into_pool(RandomState::new().hash_one(name))
                }
            };
            next.push(Pool { config, settings: Arc::new(settings) });
        }
        for old in pools.iter() {
            let name = old.config.name();
            if next.iter().all(|new| new.config.name() != name) {
                changes.push(format!("pool '{name}' is gone"));
            }
        }
        let done = self.tell_pools(&next, sockets);
        (*pools, *open) = (next, open_then);
        Ok((changes, done))
    }

    /// Opens the sockets of those drafts that listen where nobody does; the others' are nothing here.
    fn open_entrances(&self, drafts: &[Draft]) -> io::Result<Vec<Option<Entrance>>> {
        let is_open = |config: &PoolConfig| {
            let entrances = self.entrances.lock();
            entrances.iter().flatten().any(|entrance| entrance.is_of(config))
        };
        let mut opened: Vec<_> = drafts.iter().map(|_| None).collect();
        // Unix sockets come last: they take the places of others, which a port that is in use would not give back.
        for is_last in [false, true] {
            for (draft, opened) in drafts.iter().zip(&mut opened) {
                let is_unix = matches!(draft.config.listen().address(), Address::Unix(_));
                if is_unix == is_last && !is_open(&draft.config) {
                    *opened = Some(Entrance::open(&draft.config, self.handles.len())?);
                }
            }
        }
        Ok(opened)
    }

    fn tell_pools(
        &self,
        pools: &[Pool],
        sockets: Vec<Option<Vec<Listening>>>,
    ) -> Receiver<Infallible> {
        let (sender, done) = mpsc::channel();
        let mut sockets: Vec<_> =
            sockets.into_iter().map(|sockets| sockets.map(Vec::into_iter)).collect();
        for handle in &self.handles {
            let listeners = sockets.iter_mut().zip(pools).map(|(sockets, Pool { config, .. })| {
                let listening = sockets.as_mut()?.next()?;
                Some(ListenerOrder { listening, keepalive: config.tcpkeepalive() })
            });
            let listeners = listeners.collect();
            let pools = pools.iter().map(|pool| Arc::clone(&pool.settings)).collect();
            handle.tell(Order::Pools { pools, listeners, done: sender.clone() });
        }
        done
    }

    /// Waits until all workers have ended, and answers whether all went well; a worker that panicked has said so.
    pub(super) fn finish(&self) -> bool {
        let mut is_well = true;
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            is_well &= thread.join().is_ok();
        }
        is_well
    }
}

/// What the workers are to listen on, where that is not what they do already.
fn sockets(
    pools: &[Pool],
    drafts: &[Draft],
    open: &[Entrance],
    opened: &[Option<Entrance>],
) -> io::Result<Vec<Option<Vec<Listening>>>> {
    let sockets = drafts.iter().zip(opened).map(|(draft, opened)| {
        let config = &draft.config;
        let stays = opened.is_none()
            && pools.iter().any(|old| {
                old.precedes(draft)
                    && old.config.listen().address() == config.listen().address()
                    && old.config.tcpkeepalive() == config.tcpkeepalive()
            });
        if stays {
            return Ok(None);
        }
        let kept = open.iter().find(|entrance| entrance.is_of(config));
        opened.as_ref().or(kept).map(|entrance| entrance.sockets(config)).transpose()
    });
    sockets.collect()
}

impl Workers for Crew {
    fn stats(&self) -> Stats {
        let ask = |handle: &Handle| {
            let (sender, answer) = mpsc::channel();
            handle.tell(Order::Stats(sender));
            answer
        };
        let answers: Vec<_> = self.handles.iter().map(ask).collect();
        let until = now() + PATIENCE;
        let answers = answers
            .into_iter()
            .map(|answer| answer.recv_timeout(until.saturating_duration_since(now())).ok());
        let answers = answers.collect();
        added_up(answers, &mut self.told.lock())
    }

    fn reload(&self, config: NutcrackerConfig) -> Result<Vec<String>, String> {
        let (changes, done) = self.put_in_force(&config).map_err(|error| error.to_string())?;
        // Who reads in the log that it is in force finds it so. A worker that has not come to it will.
        let Err(_) = done.recv_timeout(PATIENCE);
        Ok(changes)
    }

    fn drain(&self) {
        // The files of unix sockets go with them.
        let mut entrances = self.entrances.lock();
        *entrances = None;
        for handle in &self.handles {
            handle.tell(Order::Drain);
        }
    }

    fn is_finished(&self) -> bool {
        self.threads.lock().iter().all(JoinHandle::is_finished)
    }

    fn has_lost_one(&self) -> bool {
        self.threads.lock().iter().any(JoinHandle::is_finished)
    }
}

/// All that was counted. For a worker that does not answer now it is what it has told last: without, what is counted
/// would go backwards, and whoever watches it would see as much again when it answers. Nothing if none does.
fn added_up(answers: Vec<Option<Stats>>, told: &mut [Option<Stats>]) -> Stats {
    let mut all = Stats::default();
    if answers.iter().all(Option::is_none) {
        return all;
    }
    for (answer, told) in answers.into_iter().zip(told) {
        if answer.is_some() {
            *told = answer;
        }
        if let Some(stats) = told {
            all.add(stats.clone());
        }
    }
    all
}

#[expect(clippy::disallowed_methods, reason = "the control plane is where time enters")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Sender;

    use super::*;

    /// A crew of nothing but threads, which end when something is sent to them, or panic when nobody can any more.
    fn crew(count: usize) -> (Crew, Vec<Sender<()>>) {
        let (senders, threads) = (0..count)
            .map(|_| {
                let (sender, receiver) = mpsc::channel();
                let thread = std::thread::spawn(move || receiver.recv().expect("on purpose"));
                (sender, thread)
            })
            .unzip();
        let crew = Crew {
            handles: Vec::new(),
            threads: Mutex::new(threads),
            pools: Mutex::default(),
            entrances: Mutex::new(Some(Vec::new())),
            told: Mutex::default(),
        };
        (crew, senders)
    }

    #[test]
    fn one_worker_that_panics_is_noticed_among_others() {
        let (crew, mut senders) = crew(3);
        assert!(!crew.has_lost_one());
        drop(senders.remove(1));
        while !crew.has_lost_one() {
            std::thread::yield_now();
        }
        assert!(!crew.is_finished());
        for sender in senders {
            sender.send(()).unwrap();
        }
        assert!(!crew.finish(), "one has panicked");
    }

    #[test]
    fn workers_that_have_ended_went_well() {
        let (crew, senders) = crew(2);
        for sender in senders {
            sender.send(()).unwrap();
        }
        while !crew.is_finished() {
            std::thread::yield_now();
        }
        assert!(crew.finish());
    }

    #[test]
    fn counters_do_not_go_backwards_when_a_worker_hangs() {
        let counted = |total_connections| Some(Stats { total_connections, ..Stats::default() });
        let mut told = vec![None, None];
        let mut all = |answers| added_up(answers, &mut told).total_connections;
        assert_eq!(all(vec![counted(5), None]), 5);
        assert_eq!(all(vec![counted(6), counted(10)]), 16);
        assert_eq!(all(vec![counted(7), None]), 17);
        assert_eq!(all(vec![None, None]), 0);
        assert_eq!(all(vec![None, counted(12)]), 19);
    }

    #[test]
    fn nobody_listens_again_who_drains() {
        let (crew, _senders) = crew(0);
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let text = format!("a:\n  listen: {address}\n  servers:\n   - a:1:1\n");
        let config = NutcrackerConfig::parse(&text).unwrap();
        assert!(crew.reload(config.clone()).is_ok());
        crew.drain();
        assert_eq!(crew.reload(config), Err("this process is draining".to_owned()));
    }
}
