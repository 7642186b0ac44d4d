//! Clients come in, as many as there are descriptors for.

use std::io;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use super::Worker;
use super::now;
use super::pipes;
use super::socket::Socket;
use super::spare_descriptor;
use super::stream::Stream;
use crate::proxy::core::Link;
use crate::proxy::settings::PoolSettings;
use crate::proxy::tls::ListenerTls;

/// Descriptors that are left for what is neither a client nor a node.
const RESERVED: usize = 32;
/// How long to wait before accepting again when there are no descriptors left.
const NO_DESCRIPTORS: Duration = Duration::from_millis(100);

impl Worker {
    /// Takes the clients in that wait.
    pub(super) fn accept(&mut self, key: usize) {
        loop {
            let Some(Some(listener)) = self.listeners.get_mut(key) else {
                return;
            };
            match listener.accept() {
                Ok(socket) => self.take_client(key, socket),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    listener.is_ready = false;
                    return;
                }
                Err(error) if is_of_client(&error) => {}
                Err(error) => {
                    let pool = listener.pool;
                    listener.is_ready = true;
                    self.accept_again = Some(now() + NO_DESCRIPTORS);
                    self.refuse_one(key, pool);
                    return self.note(4, format!("a client could not be accepted: {error}"));
                }
            }
        }
    }

    /// How many clients this worker may have so that descriptors are left for connections to all nodes, for those who
    /// look at the proxy, and for files (as in nutcracker 0.5.0 `nc_core.c` `core_calc_connections`).
    pub(super) fn room_for_clients(&self, pools: &[Arc<PoolSettings>]) -> usize {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) else {
            return usize::MAX;
        };
        let of_pool = |pool: &Arc<PoolSettings>| {
            // A listener is in the crew's hands too.
            2 + pool.topology.current().members().len() * pool.server_connections
        };
        let nodes: usize = pools.iter().map(of_pool).sum();
        // And the ring.
        let own = nodes + 2 * pipes::MOST + 1;
        (limit.saturating_sub(RESERVED) / self.workers.max(1)).saturating_sub(own)
    }

    fn take_client(&mut self, listener: usize, mut socket: Socket) {
        let Some(Some(listener)) = self.listeners.get(listener) else {
            return;
        };
        // Those that linger have descriptors too.
        let clients = self.core.session_count() + self.sockets.lingering.len();
        let opened = if clients < self.room {
            self.core.session_opened(listener.pool)
        } else {
            self.core.session_refused(listener.pool);
            None
        };
        let Some(key) = opened else {
            // It is told once; a new socket takes that little. Who waits for a handshake would not understand it.
            if listener.tls.is_none() {
                let _ = socket.write(self.core.refusal(listener.pool));
            }
            return;
        };
        let _ = socket.set_no_delay();
        if listener.keepalive {
            let _ = socket.set_keepalive();
        }
        let added = match listener.tls.as_ref().map(ListenerTls::session).transpose() {
            Ok(tls) => self.sockets.add_session(key, Stream::new(socket, tls)),
            Err(error) => Err(error),
        };
        match added {
            Ok(()) => self.begin_handshake(Link::Session(key)),
            Err(_) => self.core.session_broken(&mut self.sockets, key),
        }
    }

    /// Tells a client that waits that there is no descriptor for it, with the one that is held for this.
    fn refuse_one(&mut self, key: usize, pool: usize) {
        if self.spare.take().is_some()
            && let Some(Some(listener)) = self.listeners.get(key)
            && let Ok(mut socket) = listener.accept()
            && listener.tls.is_none()
        {
            let _ = socket.write(self.core.refusal(pool));
        }
        self.spare = spare_descriptor();
    }

    /// Accepts what could not be accepted before.
    pub(super) fn accept_late(&mut self) {
        if self.accept_again.is_some_and(|when| when <= now()) {
            self.accept_again = None;
            for key in 0..self.listeners.len() {
                if self.listeners[key].as_ref().is_some_and(|listener| listener.is_ready) {
                    self.accept(key);
                }
            }
        }
    }
}

/// An error of accepting that is the client's, which has gone again.
fn is_of_client(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted)
}
