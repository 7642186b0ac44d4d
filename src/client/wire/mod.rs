//! The wire: one connection to one node, and many of them at the same time.
//!
//! ```text
//!   Connecting ──► Link ──► exchange
//!   resolve, dial,  one node: bytes out,     several nodes at the same time, one deadline:
//!   greet           replies in               each link connects, writes and reads as its socket allows
//! ```
//!
//! redis-rs's own connection cannot keep a deadline (its timeout starts anew with each byte) and cannot
//! be waited for together with others, so TCP and unix sockets are ours. TLS is redis-rs's, in a
//! [`Delegate`](delegate::Delegate), with what that implies.
//!
//! A link that failed in any way is dropped and never used again: an unread reply would answer the next
//! request.

mod connecting;
mod delegate;
mod direct;
mod exchange;
mod greeting;
mod link;
mod listening;
mod value;

pub(crate) use connecting::Connecting;
pub(crate) use connecting::Progress;
#[cfg(feature = "tokio-comp")]
pub(crate) use direct::Direct;
pub(crate) use exchange::Job;
pub(crate) use exchange::exchange;
#[cfg(feature = "_aio")]
pub(crate) use greeting::LIBRARY_NAME;
#[cfg(feature = "_aio")]
pub(crate) use greeting::LIBRARY_VERSION;
#[cfg(feature = "_aio")]
pub(crate) use greeting::without_arguments;
pub(crate) use link::Link;
#[cfg(feature = "_aio")]
pub(crate) use link::Refusal;
pub(crate) use link::WireError;
pub(crate) use listening::Listening;
pub(crate) use listening::Order;
pub(crate) use listening::OrderWord;
pub(crate) use listening::Said;
pub(crate) use value::error_value;
#[cfg(feature = "_fuzz")]
pub(crate) use value::read as read_reply;
