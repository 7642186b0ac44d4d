//! Names of hosts, resolved without blocking whoever asks.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::sync::OnceLock;
use std::thread;

use parking_lot::Mutex;

/// The addresses of a name, when they are known.
pub(super) type Resolved = OnceLock<Result<Vec<SocketAddr>, (io::ErrorKind, String)>>;

/// The names that are being resolved.
static RESOLVING: Mutex<BTreeMap<(String, u16), Arc<Resolved>>> = Mutex::new(BTreeMap::new());

/// Resolves a name in a thread of its own: the system's resolver cannot be told when to give up. Whoever
/// wants the same name meanwhile waits for the same thread, so that a resolver that hangs costs one thread
/// and not one a request.
pub(super) fn resolve(host: &str, port: u16) -> io::Result<Arc<Resolved>> {
    resolve_with(look_up, host, port)
}

fn resolve_with(
    look_up: fn(&str, u16) -> io::Result<Vec<SocketAddr>>,
    host: &str,
    port: u16,
) -> io::Result<Arc<Resolved>> {
    let name = (host.to_owned(), port);
    let mut resolving = RESOLVING.lock();
    if let Some(resolved) = resolving.get(&name) {
        return Ok(Arc::clone(resolved));
    }
    let resolved = Arc::new(Resolved::new());
    let (ours, key) = (Arc::clone(&resolved), name.clone());
    thread::Builder::new().name("shardwright-resolve".into()).spawn(move || {
        let addresses = look_up(&key.0, key.1);
        // From here on who asks gets a new answer.
        RESOLVING.lock().remove(&key);
        let _ = ours.set(addresses.map_err(|error| (error.kind(), error.to_string())));
    })?;
    resolving.insert(name, Arc::clone(&resolved));
    Ok(resolved)
}

fn look_up(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    (host, port).to_socket_addrs().map(Iterator::collect)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolver_that_hangs_costs_one_thread() {
        static HANGING: Mutex<u32> = Mutex::new(0);
        let hang = |_: &str, _| {
            *HANGING.lock() += 1;
            Ok(Vec::new())
        };
        let mut hanging = HANGING.lock();
        let all = [(); 10].map(|()| resolve_with(hang, "hung.invalid", 1).unwrap());
        assert!(all.iter().all(|resolved| Arc::ptr_eq(resolved, &all[0])));
        assert!(!Arc::ptr_eq(&resolve_with(hang, "hung.invalid", 2).unwrap(), &all[0]));
        assert_eq!(*hanging, 0);
        *hanging = 1;
        drop(hanging);
        assert_eq!(all[0].wait(), &Ok(Vec::new()));
        // What comes later is asked for anew.
        let later = resolve_with(hang, "hung.invalid", 1).unwrap();
        assert!(!Arc::ptr_eq(&later, &all[0]));
        later.wait();
    }
}
