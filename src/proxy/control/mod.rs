//! The control plane: everything about the proxy that is not traffic, on a thread of its own.
//!
//! ```text
//!   stats port ──┐                   ┌──► Workers::stats ──► stats_json, prometheus
//!   HTTP port  ──┼──► desk ──────────┼──► Workers::reload ◄── reload: the file
//!   signals    ──┘    (one thread)   └──► the log
//!      └── SIGINT, SIGTERM ──► Workers::drain, and at the second one the end
//! ```
//!
//! The workers are reached through [`Workers`] alone; nothing here is on the way of a request.

mod clock;
mod connection;
mod desk;
mod http;
mod listener;
mod process;
mod prometheus;
mod reload;
mod reports;
mod signals;
mod stats_json;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use mio::Poll;
use mio::Waker;
use parking_lot::Mutex;
use slab::Slab;

pub(super) use signals::Mailbox;

use super::socket_file::SocketFile;
use super::stats::Stats;
use crate::config::NutcrackerConfig;
use desk::Desk;
use desk::Door;
use desk::Order;
use desk::Service;
use listener::Listener;
use reload::ConfigFile;
use reports::Reports;
use signals::Ear;
use signals::Signal;

/// An order to end that comes so soon after the first is that one once more: `timeout` signals its child and then the
/// group that the child is in.
const ECHO: Duration = Duration::from_millis(200);

/// What the control plane asks of the workers.
pub(super) trait Workers: Send + Sync {
    /// What all workers have counted, added up. Waits for the workers, a second at the longest; what has not
    /// answered is left out.
    fn stats(&self) -> Stats;

    /// Puts another configuration in place; nothing changes on an error. Returns what changed, for the log.
    fn reload(&self, config: NutcrackerConfig) -> Result<Vec<String>, String>;

    /// Stop accepting, answer what is owed, then end. Returns at once.
    fn drain(&self);

    /// Whether every worker has ended.
    fn is_finished(&self) -> bool;

    /// Whether one of them has, be the others at work.
    fn has_lost_one(&self) -> bool;
}

/// Takes a line for the log, at one of nutcracker's levels.
pub(super) type Log = Arc<dyn Fn(u8, &str) + Send + Sync>;

/// What the control plane is told when it starts.
pub(super) struct ControlSettings {
    pub(super) places: Places,
    /// The file with the configuration, and what was in it when the workers got theirs.
    pub(super) config: PathBuf,
    pub(super) config_text: Vec<u8>,
    /// Whether to reload the file when it changes, without being told.
    pub(super) is_watching: bool,
    /// The signals of the process, if they are orders.
    pub(super) signals: Option<Mailbox>,
    pub(super) log: Log,
    /// Opens the file of the log again.
    pub(super) reopen_log: Box<dyn Fn() + Send + Sync>,
    /// Raises the level of the log by this, or lowers it.
    pub(super) change_level: Box<dyn Fn(i8) + Send + Sync>,
    /// Lets a process that follows this one have what else it needs: this one drains.
    pub(super) give_up: Box<dyn Fn() + Send + Sync>,
}

/// Where the control plane is reached, once it has started.
pub(super) struct Places {
    stats: Option<Place>,
    http: Option<Place>,
}

type Place = (Listener, Option<SocketFile>);

impl Places {
    /// Takes a host and a port for nutcracker's report, and others for HTTP; a host that begins with `/` is the path of
    /// a unix socket.
    ///
    /// # Errors
    ///
    /// One could not be had; its address is in the text.
    pub(super) fn open(stats: Option<(&str, u16)>, http: Option<(&str, u16)>) -> io::Result<Self> {
        let open = |service: Service, place: Option<(&str, u16)>| {
            place.map(|(host, port)| Listener::bind(service.name(), host, port)).transpose()
        };
        Ok(Self { stats: open(Service::Stats, stats)?, http: open(Service::Http, http)? })
    }
}

/// Why the control plane has ended.
#[derive(Debug)]
pub(super) enum ExitReason {
    /// The workers were told to drain, and have.
    Drained,
    /// It was said a second time to end. The workers may still be at work.
    Forced,
    /// A worker has ended, and nobody had told it.
    WorkersEnded,
    /// The control plane itself cannot go on.
    Failed(io::Error),
    /// It was dropped.
    Stopped,
}

/// The running control plane. It ends when this is dropped; the workers do not.
pub(super) struct Control {
    common: Arc<Common>,
    reasons: Receiver<ExitReason>,
    thread: Option<JoinHandle<()>>,
    stats_address: Option<SocketAddr>,
    http_address: Option<SocketAddr>,
    _ear: Option<Ear>,
}

/// What the thread of the desk, that of the signals and the one that waits have in common.
struct Common {
    workers: Arc<dyn Workers>,
    is_draining: AtomicBool,
    /// When it was first said to end.
    told_to_end: Mutex<Option<Instant>>,
    orders: Sender<Order>,
    reasons: Sender<ExitReason>,
    waker: Waker,
    log: Log,
    reopen_log: Box<dyn Fn() + Send + Sync>,
    change_level: Box<dyn Fn(i8) + Send + Sync>,
    give_up: Box<dyn Fn() + Send + Sync>,
    /// Of the listeners.
    files: Mutex<Vec<SocketFile>>,
}

/// Starts the thread of the control plane.
///
/// # Errors
///
/// What the system says against a thread.
pub(super) fn start(settings: ControlSettings, workers: Arc<dyn Workers>) -> io::Result<Control> {
    let poll = Poll::new()?;
    let (order_sender, orders) = mpsc::channel();
    let (reason_sender, reasons) = mpsc::channel();
    let common = Arc::new(Common {
        workers: Arc::clone(&workers),
        is_draining: AtomicBool::new(false),
        told_to_end: Mutex::new(None),
        orders: order_sender,
        reasons: reason_sender,
        waker: Waker::new(poll.registry(), desk::WAKER)?,
        log: settings.log,
        reopen_log: settings.reopen_log,
        change_level: settings.change_level,
        give_up: settings.give_up,
        files: Mutex::default(),
    });
    // Before anybody is let in, who may take this for the sign that orders are heard.
    let hearer = Arc::clone(&common);
    let open = |mailbox| Ear::open(mailbox, move |signal| hearer.hear(signal));
    let ear = settings.signals.map(open).transpose()?;
    let mut doors = Vec::new();
    let mut addresses = [None, None];
    let Places { stats, http } = settings.places;
    let places = [(stats, Service::Stats), (http, Service::Http)];
    for ((place, service), address) in places.into_iter().zip(&mut addresses) {
        let Some((mut listener, file)) = place else { continue };
        listener.listen()?;
        *address = listener.address();
        listener.register(poll.registry(), desk::door(doors.len()))?;
        doors.push(Some(Door { listener, service, retry: None }));
        common.files.lock().extend(file);
    }
    let desk = Desk {
        common: Arc::clone(&common),
        poll,
        orders,
        doors,
        connections: Slab::new(),
        reports: Reports::new(workers),
        file: ConfigFile::new(settings.config, settings.config_text, clock::now()),
        is_watching: settings.is_watching,
    };
    let last_words = LastWords(Arc::clone(&common));
    let thread = thread::Builder::new().name("control".into()).spawn(move || {
        let reason = desk.run();
        // Nobody may wait any more.
        let _ = last_words.0.reasons.send(reason);
    })?;
    let [stats_address, http_address] = addresses;
    let thread = Some(thread);
    Ok(Control { common, reasons, thread, stats_address, http_address, _ear: ear })
}

impl Control {
    /// Waits until it is time for the process to end.
    pub(super) fn wait(mut self) -> ExitReason {
        let reason = self.reasons.recv().unwrap_or(ExitReason::Stopped);
        if !matches!(reason, ExitReason::Forced)
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
        reason
    }

    /// Where the stats port is, unless that is a unix socket.
    pub(super) fn stats_address(&self) -> Option<SocketAddr> {
        self.stats_address
    }

    /// Where the HTTP port is, unless that is a unix socket.
    pub(super) fn http_address(&self) -> Option<SocketAddr> {
        self.http_address
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.common.order(Order::Stop);
        self.common.files.lock().clear();
    }
}

impl Common {
    /// Obeys at once what is about the end: the desk may be waiting for workers that hang. The rest is the desk's.
    fn hear(&self, signal: Signal) {
        (self.log)(level::NOTICE, &signal.text());
        if signal.is_end() {
            let now = clock::now();
            let first = *self.told_to_end.lock().get_or_insert(now);
            if !self.is_draining.swap(true, Ordering::SeqCst) {
                self.workers.drain();
            } else if now.saturating_duration_since(first) >= ECHO {
                let _ = self.reasons.send(ExitReason::Forced);
                return;
            }
        }
        self.order(Order::Signal(signal));
    }

    fn order(&self, order: Order) {
        // The desk may have ended; then nothing is to be ordered any more.
        let _ = self.orders.send(order);
        let _ = self.waker.wake();
    }
}

/// Says that the thread has panicked, if it has: whoever waits would wait for ever.
struct LastWords(Arc<Common>);

impl Drop for LastWords {
    fn drop(&mut self) {
        if thread::panicking() {
            let error = io::Error::other("the thread of the control plane has panicked");
            let _ = self.0.reasons.send(ExitReason::Failed(error));
        }
    }
}

/// nutcracker's levels of the log (0.5.0 `nc_log.h`), those that are used here.
mod level {
    pub(super) const ERROR: u8 = 3;
    pub(super) const WARN: u8 = 4;
    pub(super) const NOTICE: u8 = 5;
}

#[cfg(test)]
mod fake;

#[cfg(test)]
mod tests;
