//! The proxy's engine, played in memory.

use crate::proxy::rehearsal;

/// Whatever a client of the proxy sends: `bytes`, in pieces of `sizes`, to a pool of Redis or of memcached.
pub fn proxy_client(is_redis: bool, bytes: &[u8], sizes: &[u8]) {
    rehearsal::client_bytes(is_redis, bytes, sizes);
}

/// Whatever a node sends the proxy; `kind` says which protocol it is, and what it was asked.
pub fn proxy_node(kind: u8, bytes: &[u8], sizes: &[u8]) {
    rehearsal::node_bytes(kind, bytes, sizes);
}

/// Whatever happens to the proxy, one thing after the other: each byte chooses one.
pub fn proxy_walk(choices: &[u8]) {
    rehearsal::walk(Err(choices), 2000);
}
