//! The room of the crate that knows memcached's protocols. It is not public; it is pure, and so can be had without the
//! crate, under the name it has there.

#[path = "../../src/protocol/memcache/mod.rs"]
#[allow(dead_code, unused_imports, reason = "not all of it is for these tests")]
pub(crate) mod memcache;
