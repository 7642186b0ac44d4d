//! Names of hosts, looked up without holding a worker up.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Sender;

use mio::Waker;

use super::Order;

/// So many names are looked up at a time; a lookup may hang as long as the system lets it.
const MOST: usize = 32;

/// Looks names up for one worker, each on a thread of its own.
#[derive(Clone, Debug)]
pub(super) struct Resolver {
    orders: Sender<Order>,
    waker: Arc<Waker>,
    running: Arc<AtomicUsize>,
}

impl Resolver {
    pub(super) fn new(orders: Sender<Order>, waker: Arc<Waker>) -> Self {
        Self { orders, waker, running: Arc::default() }
    }

    /// Looks `host` up; the worker is told as [`Order::Resolved`].
    ///
    /// # Errors
    ///
    /// If too many names are being looked up, or there is no thread.
    pub(super) fn resolve(
        &self,
        backend: usize,
        attempt: u64,
        host: &str,
        port: u16,
    ) -> io::Result<()> {
        if self.running.fetch_add(1, Relaxed) >= MOST {
            self.running.fetch_sub(1, Relaxed);
            // It is we who are out of something, and not the node that has failed.
            return Err(rustix::io::Errno::NOBUFS.into());
        }
        let resolver = self.clone();
        let host = host.to_string();
        let started = std::thread::Builder::new().name("resolver".into()).spawn(move || {
            let addresses: VecDeque<SocketAddr> =
                (host.as_str(), port).to_socket_addrs().map(Iterator::collect).unwrap_or_default();
            resolver.running.fetch_sub(1, Relaxed);
            // A worker that has ended needs no address.
            let _ = resolver.orders.send(Order::Resolved { backend, attempt, addresses });
            let _ = resolver.waker.wake();
        });
        started.map(drop).inspect_err(|_| {
            self.running.fetch_sub(1, Relaxed);
        })
    }
}
