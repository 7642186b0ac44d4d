//! Bytes on the wire, without a socket.

#[allow(dead_code, unused_imports, reason = "the memcached client is still to come")]
pub(crate) mod memcache;
pub(crate) mod resp;
