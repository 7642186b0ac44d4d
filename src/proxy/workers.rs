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
use super::control::Workers;
use super::driver::Handle;
use super::driver::ListenerOrder;
use super::driver::Listening;
use super::driver::Notes;
use super::driver::Order;
use super::driver::Worker;
use super::pools::Draft;
use super::pools::Entrance;
use super::pools::listen;
use super::settings::PoolSettings;
use super::socket_file::SocketFile;
use super::stats::Stats;
use crate::config::NutcrackerConfig;
use crate::config::PoolConfig;

/// How long workers have to say what they have counted, or that a configuration is in force.
const PATIENCE: Duration = Duration::from_secs(1);

/// All workers.
pub(super) struct Crew {
    handles: Vec<Handle>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// What is in force.
    pools: Mutex<Vec<Pool>>,
}

/// A pool that is in force.
struct Pool {
    config: PoolConfig,
    settings: Arc<PoolSettings>,
    /// Of the unix socket on which it listens, if it is one.
    file: Option<SocketFile>,
}

impl Pool {
    /// Whether this is the pool that `draft` is to follow.
    fn precedes(&self, draft: &Draft) -> bool {
        self.config.name() == draft.config.name() && self.settings.protocol == draft.protocol()
    }
}

impl Crew {
    /// Starts `count` workers for the pools of `config`; their sockets listen when this returns.
    ///
    /// # Errors
    ///
    /// Where a pool cannot listen, or what the system says against a thread.
    pub(super) fn start(
        count: usize,
        config: &NutcrackerConfig,
        notes: &Notes,
    ) -> Result<Self, String> {
        let complain = |error: io::Error| format!("a worker cannot be started: {error}");
        let (mut handles, mut workers) = (Vec::new(), Vec::new());
        for number in 0..count {
            let (worker, handle) =
                Worker::new(number as u32, count, Arc::clone(notes)).map_err(complain)?;
            workers.push(worker);
            handles.push(handle);
        }
        let crew = Self { handles, threads: Mutex::default(), pools: Mutex::default() };
        crew.put_in_force(config)?;
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
    ) -> Result<(Vec<String>, Receiver<Infallible>), String> {
        let mut pools = self.pools.lock();
        // All that can fail comes first.
        let drafts =
            config.pools().iter().cloned().map(Draft::new).collect::<Result<Vec<_>, _>>()?;
        let mut entrances = Vec::new();
        for draft in &drafts {
            let listens_already = pools
                .iter()
                .any(|old| old.precedes(draft) && is_same_socket(&old.config, &draft.config));
            entrances.push(match listens_already {
                true => None,
                false => Some(listen(&draft.config, self.handles.len())?),
            });
        }
        let mut changes = Vec::new();
        let (mut next, mut sockets) = (Vec::new(), Vec::new());
        for (draft, entrance) in drafts.into_iter().zip(entrances) {
            let config = draft.config.clone();
            let (new_sockets, new_file) =
                entrance.map(|Entrance { sockets, file }| (sockets, file)).unzip();
            let (settings, file) = match pools.iter_mut().find(|old| old.precedes(&draft)) {
                Some(old) => {
                    let name = config.name();
                    let directives = changed_directives(&old.config, &config);
                    changes.extend(directives.iter().map(|directive| {
                        format!("pool '{name}': directive \"{directive}\" has changed")
                    }));
                    let (settings, mut changed) = draft.into_successor(&old.settings, now());
                    changes.append(&mut changed);
                    (settings, new_file.unwrap_or_else(|| old.file.take()))
                }
                None => {
                    let (name, listen) = (config.name(), config.listen());
                    changes.push(format!("pool '{name}' listens on '{listen}'"));
                    (draft.into_pool(RandomState::new().hash_one(name)), new_file.flatten())
                }
            };
            sockets.push(new_sockets);
            next.push(Pool { config, settings: Arc::new(settings), file });
        }
        for old in pools.iter() {
            let name = old.config.name();
            if next.iter().all(|new| new.config.name() != name) {
                changes.push(format!("pool '{name}' is gone"));
            }
        }
        let done = self.tell_pools(&next, sockets);
        *pools = next;
        Ok((changes, done))
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

    /// Waits until all workers have ended and takes away the files of the sockets that they listened on. Answers
    /// whether all went well; a worker that panicked has said so.
    pub(super) fn finish(&self) -> bool {
        let mut is_well = true;
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            is_well &= thread.join().is_ok();
        }
        // Dropping the crew would not do: the control plane may still have it.
        self.pools.lock().clear();
        is_well
    }
}

/// Whether two configurations of a pool listen on the same socket.
fn is_same_socket(old: &PoolConfig, new: &PoolConfig) -> bool {
    old.listen() == new.listen()
        && old.backlog() == new.backlog()
        && old.tcpkeepalive() == new.tcpkeepalive()
        && old.reuseport() == new.reuseport()
}

impl Workers for Crew {
    fn stats(&self) -> Stats {
        let (sender, answers) = mpsc::channel();
        let asked =
            self.handles.iter().filter(|handle| handle.tell(Order::Stats(sender.clone()))).count();
        drop(sender);
        let mut all = Stats::default();
        let until = now() + PATIENCE;
        for _ in 0..asked {
            match answers.recv_timeout(until.saturating_duration_since(now())) {
                Ok(stats) => all.add(stats),
                Err(_) => break,
            }
        }
        all
    }

    fn reload(&self, config: NutcrackerConfig) -> Result<Vec<String>, String> {
        let (changes, done) = self.put_in_force(&config)?;
        // Who reads in the log that it is in force finds it so. A worker that has not come to it will.
        let Err(_) = done.recv_timeout(PATIENCE);
        Ok(changes)
    }

    fn drain(&self) {
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
        let crew =
            Crew { handles: Vec::new(), threads: Mutex::new(threads), pools: Mutex::default() };
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
}
