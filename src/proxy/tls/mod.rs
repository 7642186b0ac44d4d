//! TLS to nodes and with clients, by rustls with ring.
//!
//! ```text
//!   PoolConfig ──► PoolTls ──► NodeTls, ListenerTls     when the configuration is put in force: files, roots
//!                                      │
//!                        Socket ──► TlsSession          for each connection
//! ```
//!
//! rustls does no input and output, and neither does this without being given a socket; the core sees what is in the
//! records and knows nothing of them.

mod arriving;
mod listener;
mod node;
mod pem;
mod pool;
mod records;
mod session;

pub(super) use listener::ListenerTls;
pub(super) use node::NodeTls;
pub(super) use pool::PoolTls;
pub(super) use session::TlsSession;
