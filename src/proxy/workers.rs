//! The workers of the process: started, asked, told, and waited for.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use parking_lot::Mutex;

use super::control::Workers;
use super::driver::Handle;
use super::driver::ListenerOrder;
use super::driver::Listening;
use super::driver::Notes;
use super::driver::Order;
use super::driver::Worker;
use super::pools::Draft;
use super::pools::listen;
use super::settings::PoolSettings;
use super::stats::Stats;
use crate::config::NutcrackerConfig;
use crate::config::PoolConfig;

/// How long workers have to say what they have counted.
const PATIENCE: Duration = Duration::from_secs(1);

/// All workers.
pub(super) struct Crew {
    handles: Vec<Handle>,
    threads: Vec<JoinHandle<()>>,
    /// What is in force.
    pools: Mutex<Vec<(PoolConfig, Arc<PoolSettings>)>>,
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
        let (mut handles, mut threads, mut workers) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..count {
            let (worker, handle) =
                Worker::new(number as u32, Arc::clone(notes)).map_err(complain)?;
            workers.push(worker);
            handles.push(handle);
        }
        let crew = Self { handles, threads: Vec::new(), pools: Mutex::new(Vec::new()) };
        crew.put_in_force(config)?;
        for (number, worker) in workers.into_iter().enumerate() {
            let thread = std::thread::Builder::new().name(format!("worker-{number}"));
            threads.push(thread.spawn(move || worker.run()).map_err(complain)?);
        }
        Ok(Self { threads, ..crew })
    }

    /// Puts a configuration in force, whole or not at all; answers what has changed.
    fn put_in_force(&self, config: &NutcrackerConfig) -> Result<Vec<String>, String> {
        let mut pools = self.pools.lock();
        // All that can fail comes first.
        let drafts =
            config.pools().iter().cloned().map(Draft::new).collect::<Result<Vec<_>, _>>()?;
        let mut sockets: Vec<Option<Vec<Listening>>> = Vec::new();
        for draft in &drafts {
            let listens_already = pools.iter().any(|(old, settings)| {
                settings.protocol == draft.protocol()
                    && old.name() == draft.config.name()
                    && is_same_socket(old, &draft.config)
            });
            sockets.push(match listens_already {
                true => None,
                false => Some(listen(&draft.config, self.handles.len())?),
            });
        }
        let mut changes = Vec::new();
        let mut next = Vec::new();
        for draft in drafts {
            let config = draft.config.clone();
            let old = pools.iter().find(|(old, settings)| {
                old.name() == config.name() && settings.protocol == draft.protocol()
            });
            let settings = match old {
                Some((_, old)) => {
                    let (settings, mut changed) = draft.into_successor(old, now());
                    changes.append(&mut changed);
                    settings
                }
                None => {
                    changes.push(format!(
                        "pool '{}' listens on '{}'",
                        config.name(),
                        config.listen()
                    ));
                    draft.into_pool(RandomState::new().hash_one(config.name()))
                }
            };
            next.push((config, Arc::new(settings)));
        }
        for (old, _) in pools.iter() {
            if next.iter().all(|(new, _)| new.name() != old.name()) {
                changes.push(format!("pool '{}' is gone", old.name()));
            }
        }
        self.tell_pools(&next, sockets);
        *pools = next;
        Ok(changes)
    }

    fn tell_pools(
        &self,
        pools: &[(PoolConfig, Arc<PoolSettings>)],
        sockets: Vec<Option<Vec<Listening>>>,
    ) {
        let mut sockets: Vec<_> =
            sockets.into_iter().map(|sockets| sockets.map(Vec::into_iter)).collect();
        for handle in &self.handles {
            let listeners = sockets.iter_mut().zip(pools).map(|(sockets, (config, _))| {
                let listening = sockets.as_mut()?.next()?;
                Some(ListenerOrder { listening, keepalive: config.tcpkeepalive() })
            });
            let listeners = listeners.collect();
            let pools = pools.iter().map(|(_, settings)| Arc::clone(settings)).collect();
            handle.tell(Order::Pools { pools, listeners });
        }
    }

    /// Waits until all workers have ended.
    pub(super) fn join(self) {
        for thread in self.threads {
            // A worker that panicked has said so.
            let _ = thread.join();
        }
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
        self.put_in_force(&config)
    }

    fn drain(&self) {
        for handle in &self.handles {
            handle.tell(Order::Drain);
        }
    }

    fn is_finished(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }
}

#[expect(clippy::disallowed_methods, reason = "the control plane is where time enters")]
fn now() -> Instant {
    Instant::now()
}
