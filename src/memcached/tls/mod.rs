//! TLS between a link and its socket, by rustls.
//!
//! ```text
//!   MemcacheTlsOptions ──► TlsConfigs ──► TlsTarget       once, when the client is built: files, roots
//!                                             │
//!                          Channel ──► TlsChannel         for each connection
//! ```
//!
//! rustls does no input and output: what it wants to send goes through the [`Channel`](crate::net::Channel)
//! below, and what arrives there is given to it, within the same deadlines.

mod any_certificate;
mod channel;
mod config;
mod options;

pub(super) use channel::TlsChannel;
pub(super) use config::TlsConfigs;
pub(super) use config::TlsTarget;
pub use options::MemcacheTlsOptions;
