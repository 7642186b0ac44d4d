//! `nutcracker.yml`: the configuration of nutcracker (twemproxy) 0.5.0, and its errors word for word.
//!
//! ```text
//!   text ── yaml ──► events ── structure ──► events ── draft ──► pools ── here ──► NutcrackerConfig
//!           libyaml's tokens,     depths       directives      each pool      pools among themselves
//!           less the disallowed
//! ```
//!
//! Each step goes over the whole file before the next begins, as in nutcracker (`nc_conf.c`), because
//! that decides which fault of several is reported.

use crate::error::Result;

mod complaint;
mod credentials;
mod draft;
mod listen;
mod needs;
mod pool;
mod structure;
mod yaml;

pub use credentials::ServerCredentials;
pub use listen::Listen;
pub use pool::PoolConfig;

use complaint::Complaint;
use complaint::Position;

/// The pools of a `nutcracker.yml`.
///
/// What nutcracker 0.5.0 accepts is accepted, and means the same; what it refuses is refused, with
/// its own words behind the place in the file, also where it says nothing. On purpose different are:
///
/// * numbers that would wrap around are refused: nutcracker takes `4294967297` for 1;
/// * a server without a host, one with an empty name (a space at the end of a quoted line), values
///   that contain a NUL, and weights that sum up to 2^32 or more are refused;
/// * a file whose last line belongs to a block scalar (`|`, `>`) must end with a line break;
/// * IPv6 addresses may stand in brackets, with the meaning they have without;
/// * `reuseport`, of nutcracker's next version, is accepted;
/// * the host of `listen` is not resolved here.
///
/// Beyond nutcracker's a pool may have these directives, all of them for a proxy; without them it is as
/// nutcracker has it:
///
/// | directive | values | meaning |
/// |---|---|---|
/// | `eject_mode` | `rebuild` (default), `successor`, `fail_fast` | [what becomes of the keys](crate::EjectMode) of a node that `auto_eject_hosts: true` ejects |
/// | `admin_commands` | `true`, `false` (default) | whether commands pass that change or show servers as a whole |
/// | `failed_reads` | `error` (default), `miss` | of a memcached pool: what a client that asks for several keys gets for [those of a node that fails](crate::FailedReads) |
/// | `client_idle_timeout` | milliseconds; 0 (default) is never | when the connection of a client that says nothing is closed |
/// | `server_user`, `server_auth` | a name, a password | what is said to the nodes: to those of Redis in place of `redis_auth`, to memcacheds by their ASCII authentication |
/// | `server_tls` | `true`, `false` (default) | whether nodes are spoken to over TLS |
/// | `server_tls_ca` | a file | the authorities that may vouch for nodes |
/// | `server_tls_cert`, `server_tls_key` | files | the certificate that nodes are shown, and its key |
/// | `server_tls_name` | a name | what the certificates of nodes are to be for, if not for their hosts |
/// | `listen_tls_cert`, `listen_tls_key` | files | the certificate that clients are shown, and its key; clients have to speak TLS then |
/// | `listen_tls_client_ca` | a file | the authorities of which clients have to show a certificate |
///
/// And an item of `servers` may begin with the credentials for that node alone: `user:password@`, or
/// `:password@`. A colon in the user is written as `%3A`, a space as `%20`, a percent sign as `%25`. They are no
/// part of the node's name. Files are not opened here.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use shardwright::{EjectMode, HashKind, NutcrackerConfig};
///
/// let config = NutcrackerConfig::parse(
///     r#"
/// sessions:                            # a pool: any name
///   listen: 127.0.0.1:22121            # or: /run/nutcracker/sessions.sock 0660
///   redis: true
///   redis_auth: correct-horse
///   redis_db: 0
///   hash: murmur
///   hash_tag: "{}"                     # quoted, or YAML takes it for a mapping
///   distribution: ketama
///   timeout: 400                       # milliseconds
///   preconnect: true
///   server_connections: 1
///   auto_eject_hosts: false            # a store: its keys must not move
///   servers:
///    - 10.0.0.1:6379:1 sessions-1      # host:port:weight name
///    - 10.0.0.2:6379:1 sessions-2
///    - 10.0.0.3:6379:2 sessions-3      # gets twice as many keys
///
/// pages:
///   listen: 127.0.0.1:22122
///   timeout: 250
///   auto_eject_hosts: true             # a cache: the others take over
///   server_retry_timeout: 2000
///   server_failure_limit: 3
///   eject_mode: successor              # ours: and only its keys move
///   servers:
///    - 10.0.1.1:11211:1
///    - proxy:correct-horse@10.0.1.2:11211:1   # ours: its own credentials
/// "#,
/// )?;
///
/// let names: Vec<_> = config.pools().iter().map(|pool| pool.name()).collect();
/// assert_eq!(names, ["pages", "sessions"]);
///
/// let sessions = config.pool("sessions").expect("it is in the file");
/// assert_eq!(sessions.hash(), HashKind::Murmur);
/// assert_eq!(sessions.timeout(), Some(Duration::from_millis(400)));
///
/// let router = sessions.topology()?.router();
/// assert_eq!(router.node_for_key(b"user:{42}:name"), router.node_for_key(b"42"));
///
/// let pages = config.pool("pages").expect("it is in the file");
/// assert_eq!(pages.eject_mode(), EjectMode::Successor);
/// assert_eq!(pages.servers()[1].name(), "10.0.1.2");
///
/// let error = NutcrackerConfig::parse("pages:\n  timeout: 4oo\n  servers:\n   - a:1:1\n").unwrap_err();
/// assert_eq!(error.to_string(), "line 2, column 12: directive \"timeout\" is not a number");
/// # Ok::<(), shardwright::ShardError>(())
/// ```
#[derive(Clone, Debug)]
pub struct NutcrackerConfig {
    /// By length of the name, then bytewise; no two of one name.
    pools: Vec<PoolConfig>,
}

impl NutcrackerConfig {
    /// Reads the text of a `nutcracker.yml`.
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ShardErrorKind::Configuration), beginning with the place in the text:
    /// `line 7, column 12: directive "timeout" is not a number`. Passwords are never in it.
    pub fn parse(text: &str) -> Result<Self> {
        read(text).map_err(Complaint::into_error)
    }

    /// The pools in nutcracker's order: by name, shorter names first, then bytewise.
    pub fn pools(&self) -> &[PoolConfig] {
        &self.pools
    }

    /// The pool of this name.
    pub fn pool(&self, name: &str) -> Option<&PoolConfig> {
        self.pools.iter().find(|pool| pool.name() == name)
    }
}

fn read(text: &str) -> Result<NutcrackerConfig, Complaint> {
    let events = yaml::events(text)?;
    structure::check(&events)?;
    let drafts = draft::drafts(events)?;
    let pools = drafts.into_iter().map(draft::Draft::finish);
    let mut pools = pools.collect::<Result<Vec<_>, _>>()?;
    if let Some([(first, _), (second, at)]) = twins(&mut pools, |pool| pool.listen().as_str()) {
        let (first, second, listen) = (first.name(), second.name(), second.listen());
        let reason =
            format!("pools '{first}' and '{second}' have the same listen address '{listen}'");
        return Err(Complaint::new(*at, reason));
    }
    if let Some([_, (pool, at)]) = twins(&mut pools, PoolConfig::name) {
        // The quotation mark without a partner is nutcracker's.
        return Err(Complaint::new(*at, format!("has pools with same name {}'", pool.name())));
    }
    Ok(NutcrackerConfig { pools: pools.into_iter().map(|(pool, _)| pool).collect() })
}

/// Sorts pools by one of their texts, and answers the first two that are alike in it.
fn twins(
    pools: &mut [(PoolConfig, Position)],
    text: impl Fn(&PoolConfig) -> &str,
) -> Option<&[(PoolConfig, Position); 2]> {
    pools.sort_by(|(a, _), (b, _)| in_order(text(a)).cmp(&in_order(text(b))));
    let mut pairs = pools.windows(2).filter_map(|pair| pair.first_chunk());
    pairs.find(|[(a, _), (b, _)]| text(a) == text(b))
}

/// What nutcracker sorts texts by (0.5.0 `nc_string.c` `string_compare`): shorter ones come first.
fn in_order(text: &str) -> (usize, &str) {
    (text.len(), text)
}

#[cfg(test)]
mod tests;
