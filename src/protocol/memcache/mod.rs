//! Memcached's protocols: requests of one key and of a whole node, written; their replies, read.
//!
//! ```text
//!            classic                          meta
//!   get      gets key                         mg key v f c O7
//!            VALUE key 5 3 41 / abc / END     VA 3 f5 c41 O7 / abc
//!   store    set key 5 60 3 / abc             ms key 3 F5 T60 MS O7 / abc
//!            STORED                           HD O7
//! ```
//!
//! A meta request carries a number, its opaque, which its reply repeats: a reply that is not the one of its
//! request shows. In the classic protocol only a value says what it belongs to, by its key.
//!
//! Nothing here owns a socket or remembers anything: a reader is given what has arrived of a reply, and
//! says what the reply is or how much is missing at least.

mod classic;
mod key;
mod line;
mod meta;
mod node_wide;
mod reply;
mod request;
#[cfg(any(feature = "proxy", feature = "_fuzz"))]
pub(crate) mod serving;

pub(crate) use classic::Found;
pub(crate) use classic::read_found;
pub(crate) use classic::write_gets;
pub(crate) use key::BadKey;
pub(crate) use key::check_key;
pub(crate) use line::BrokenReply;
pub(crate) use line::ProgressOf;
pub(crate) use node_wide::read_auth;
pub(crate) use node_wide::read_flush;
pub(crate) use node_wide::read_meta_noop;
pub(crate) use node_wide::read_stat;
pub(crate) use node_wide::read_version;
pub(crate) use node_wide::write_auth;
pub(crate) use node_wide::write_flush;
pub(crate) use node_wide::write_meta_noop;
pub(crate) use node_wide::write_stats;
pub(crate) use node_wide::write_version;
pub(crate) use reply::ErrorReply;
pub(crate) use reply::Progress;
pub(crate) use reply::Reply;
pub(crate) use reply::read;
pub(crate) use request::Kind;
pub(crate) use request::Request;
pub(crate) use request::StoreMode;
pub(crate) use request::write;

/// Which of memcached's protocols is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// The one with `get` and `set`. Every memcached speaks it.
    Classic,
    /// The one with `mg` and `ms`, of memcached 1.6. The classic one is spoken on the same connection.
    Meta,
}

#[cfg(test)]
mod tests;
