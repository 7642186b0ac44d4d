//! URLs that name the nodes of a pool of memcacheds.
//!
//! ```text
//!   memcache://user:pass@a:11211?timeout=0.5,b,memcache+tls://c     a list: each item a URL of the memcache crate
//!   memcache:///run/a.sock,/run/b.sock      a:11211,b:11211
//!
//!   memcache+shard://user:pass@a:11211*2=first,b,[::1]:11212?hash=murmur&timeout=400ms
//!                    for all   host port weight name        for all: options
//! ```
//!
//! An item without a scheme has that of the item before it, the first one `memcache`. The options of an
//! item are the memcache crate's, and times in them are seconds (`0.5`):
//!
//! | option | value | without it |
//! |---|---|---|
//! | `timeout`, `connect_timeout` | seconds; 0 is never | the front end's |
//! | `protocol` | `auto`, `meta`, `ascii` | `auto` |
//! | `tcp_nodelay` | `true`, `false` | `true` |
//! | `verify_mode` | `peer`, `none` (TLS only) | `peer` |
//! | `ca_path`, `cert_path`, `key_path` | files in PEM (TLS only) | the system's, none, none |
//!
//! The first three concern all nodes: they may stand in any item, but items may not say different things.
//! In a `memcache+shard://` URL, or `memcache+tls+shard://`, there is one of each option, and those of a pool
//! besides, as in a `redis+shard://` URL; there a time has a unit.
//!
//! What the memcache crate (0.21) would do with the same URL is done, but for this: user names,
//! passwords and paths are percent-decoded; the port may be left out; a user name needs a password; a path
//! behind a host, an unknown option and a value that cannot be read are refused, not passed over; and so
//! are UDP and the binary protocol, which is the crate's default and is not spoken here.

use std::fmt;

use super::Limit;
use super::Reason;
use super::parts::Parts;
use crate::error::Result;
use crate::error::ShardError;
use crate::node::Node;
use crate::topology::Preset;
use crate::topology::Topology;

mod item;
mod options;
mod scheme;
mod shard;

use item::Item;

/// What a URL of memcacheds, or a list of them, says.
#[derive(Debug)]
pub(crate) struct MemcacheUrl {
    /// How to reach each node, in the order of the URL.
    pub(crate) nodes: Vec<MemcacheUrlNode>,
    /// The same nodes, and the rules by which they share the keys.
    pub(crate) topology: Topology,
    pub(crate) rules: Rules,
    /// The names of the options that are said, of a `memcache+shard` URL.
    pub(crate) said: Vec<String>,
    /// How long a request may take.
    pub(crate) timeout: Limit,
    /// How long opening a connection may take.
    pub(crate) connect_timeout: Limit,
    pub(crate) protocol: UrlProtocol,
}

/// How far a URL says how keys are shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    /// It is a list of nodes and nothing more.
    Unsaid,
    /// Those options that are said are as the topology has them.
    Said,
    /// As another client does. In the topology the nodes are named so.
    Preset(Preset),
}

/// A node and how to talk to it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct MemcacheUrlNode {
    pub(crate) node: Node,
    /// How the connection is secured, if it is.
    pub(crate) tls: Option<MemcacheTls>,
    /// There is a password too then. It has no space.
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    /// Whether small requests are sent at once. Of no meaning for a unix socket.
    pub(crate) nodelay: bool,
}

/// How a connection is secured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemcacheTls {
    /// Whether the certificate of the node is checked.
    pub(crate) verify: bool,
    /// The file with the certificates that the node's is checked against.
    pub(crate) ca_path: Option<String>,
    /// The files with our own certificate and its key: both or none.
    pub(crate) cert_path: Option<String>,
    pub(crate) key_path: Option<String>,
}

/// Which protocol is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum UrlProtocol {
    /// The meta protocol where a node has it, else the classic one.
    #[default]
    Auto,
    /// The classic one.
    Ascii,
    Meta,
}

impl MemcacheUrl {
    /// Whether one of these options is said.
    pub(crate) fn says(&self, names: &[&str]) -> bool {
        self.said.iter().any(|said| names.contains(&said.as_str()))
    }

    /// Reads a list of URLs with commas between them, or one `memcache+shard://` URL.
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ShardErrorKind::Configuration), naming the node and the part that is
    /// wrong, and never a password.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        if let Some(url) = shard::parse(text.trim()) {
            return url;
        }
        let items = item::parse_list(text.trim()).map_err(ShardError::configuration)?;
        Self::of_items(items)
    }

    /// Reads one URL for each node. A comma is nothing special here. A `memcache+shard://` URL may stand
    /// alone.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub(crate) fn from_urls<S: AsRef<str>>(urls: impl IntoIterator<Item = S>) -> Result<Self> {
        let urls: Vec<_> = urls.into_iter().collect();
        if let [url] = urls.as_slice()
            && let Some(url) = shard::parse(url.as_ref().trim())
        {
            return url;
        }
        let items = urls.iter().zip(1..).map(|(url, number)| {
            item::parse_one(url.as_ref().trim())
                .map_err(|reason| ShardError::configuration(format!("URL {number}: {reason}")))
        });
        Self::of_items(items.collect::<Result<_>>()?)
    }

    fn of_items(items: Vec<Item>) -> Result<Self> {
        let timeout = common(&items, "timeout", |item| item.timeout)?;
        let connect_timeout = common(&items, "connect_timeout", |item| item.connect_timeout)?;
        let protocol = common(&items, "protocol", |item| item.protocol)?;
        let nodes: Vec<_> = items.into_iter().map(|item| item.node).collect();
        Ok(Self {
            topology: Topology::new(nodes.iter().map(|node| node.node.clone()))?,
            rules: Rules::Unsaid,
            said: Vec::new(),
            nodes,
            timeout: timeout.unwrap_or_default(),
            connect_timeout: connect_timeout.unwrap_or_default(),
            protocol: protocol.unwrap_or_default(),
        })
    }
}

/// What the items say that say something about an option of all nodes.
fn common<T: Copy + PartialEq>(
    items: &[Item],
    name: &str,
    option: impl Fn(&Item) -> Option<T>,
) -> Result<Option<T>> {
    let mut said = items.iter().zip(1..).filter_map(|(item, number)| Some((option(item)?, number)));
    let Some((first, number)) = said.next() else { return Ok(None) };
    match said.find(|(other, _)| *other != first) {
        Some((_, other)) => Err(ShardError::configuration(format!(
            "node {other} of the URL: option \"{name}\" is for all nodes, and node {number} has another"
        ))),
        None => Ok(Some(first)),
    }
}

/// The user name and the password: both or none.
fn credentials(parts: &Parts<'_>) -> Result<(Option<String>, Option<String>), Reason> {
    match parts.credentials()? {
        (Some(name), Some(_)) if name.contains(' ') => {
            Err("there is a space in the user name, where memcached ends it".into())
        }
        (Some(name), Some(password)) => Ok((Some(name), Some(password))),
        (None, None) => Ok((None, None)),
        _ => Err("memcached takes a user name and a password, and one of them is missing; \
                  a comma in a password is written %2C"
            .into()),
    }
}

impl fmt::Debug for MemcacheUrlNode {
    /// All but the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemcacheUrlNode")
            .field("node", &self.node)
            .field("tls", &self.tls)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "redacted"))
            .field("nodelay", &self.nodelay)
            .finish()
    }
}

#[cfg(test)]
mod tests;
