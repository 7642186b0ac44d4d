//! Memcached's protocols from the server's side, as a proxy needs them: what a client asks is read, and it
//! is found where a node's reply ends.
//!
//! ```text
//!   from a client                 to a node               its reply
//!   set k 0 0 3 noreply / abc     set k 0 0 3 / abc       STORED, which is dropped
//!   mg k v q                      mg k v                  EN, which is dropped, or VA 3 / abc
//!   get a b c                     get a c   get b         VALUE a ... END   END
//! ```
//!
//! A node is always made to reply, and exactly once to each request: who counts replies then knows which
//! request one belongs to. So what would break the count is refused here, where memcached itself would
//! read a value as further requests, or close the connection.
//!
//! Nothing here owns a socket. The two scanners remember how far they have looked, and nothing else.

mod base64;
mod meta;
mod reply_end;
mod request;
mod retrieve;
mod scanner;
mod search;
mod store;
mod usual;
mod values;
mod words;

pub(crate) use meta::Meta;
pub(crate) use meta::Quiet;
pub(crate) use reply_end::Expected;
pub(crate) use reply_end::ReplyScanner;
pub(crate) use reply_end::is_error;
pub(crate) use request::Command;
pub(crate) use request::Refusal;
pub(crate) use request::Request;
pub(crate) use retrieve::Keys;
pub(crate) use retrieve::Retrieve;
pub(crate) use retrieve::RetrieveName;
pub(crate) use scanner::Arrival;
pub(crate) use scanner::BrokenRequest;
pub(crate) use scanner::RequestScanner;
pub(crate) use values::Values;

#[cfg(test)]
mod tests;
