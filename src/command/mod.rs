//! The command table: where a command's keys are, how it fans out, how its replies become one.
//!
//! A [`CommandRule`] is what the rest of the crate knows of a command; this is the only room that
//! knows commands by name. The rows in `table/` are Redis's own key specifications, checked against
//! what real servers answer to `COMMAND` and `COMMAND GETKEYS`.
//!
//! Not here: which node owns a key, and what is sent there (`plan`).

mod key_spec;
mod keys;
mod lookup;
mod options;
mod proxied;
mod rule;
mod table;
mod waiting;

pub use key_spec::KeySpec;
pub(crate) use keys::Keys;
pub(crate) use keys::Units;
pub use lookup::CommandTable;
pub(crate) use lookup::Found;
#[cfg_attr(not(feature = "proxy"), allow(unused_imports, reason = "the proxy reads them"))]
pub(crate) use proxied::ProxyCommand;
#[cfg_attr(not(feature = "proxy"), allow(unused_imports, reason = "the proxy reads them"))]
pub(crate) use proxied::SubscriptionCommand;
pub use rule::Blocking;
pub use rule::CommandRule;
pub(crate) use rule::Effect;
pub(crate) use rule::FanOut;
pub use rule::Gather;
pub(crate) use rule::LocalReply;
pub(crate) use rule::SessionCommand;
pub(crate) use rule::Special;
pub(crate) use rule::TransactionCommand;
pub(crate) use waiting::Waiting;
