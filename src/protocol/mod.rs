//! Bytes on the wire, without a socket.

#[cfg_attr(
    not(feature = "memcache"),
    allow(dead_code, unused_imports, reason = "the memcached client speaks it")
)]
pub(crate) mod memcache;
pub(crate) mod resp;
