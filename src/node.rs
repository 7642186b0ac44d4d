//! Nodes: the server processes that requests are sent to, and the names that place them on a ring.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::Arc;

use crate::error::Result;
use crate::error::ShardError;

/// Index of a node in its topology: its place after sorting by ring name.
///
/// It is valid for the snapshot it came from, and only for that one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u16);

impl NodeId {
    /// The most nodes a topology may have.
    pub const LIMIT: usize = u16::MAX as usize;

    /// The id with this index, or `None` from [`LIMIT`](Self::LIMIT) on.
    pub fn new(index: usize) -> Option<Self> {
        u16::try_from(index).ok().filter(|&index| usize::from(index) < Self::LIMIT).map(Self)
    }

    /// The index, from 0.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    pub(crate) fn from_raw(raw: u16) -> Self {
        Self(raw)
    }

    pub(crate) fn as_raw(self) -> u16 {
        self.0
    }
}

/// Share of the keys that a node gets, relative to the other nodes. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(NonZeroU32);

impl Weight {
    /// The weight of a node that does not say otherwise.
    pub const ONE: Self = Self(NonZeroU32::MIN);

    /// A weight, or `None` for zero.
    pub const fn new(weight: u32) -> Option<Self> {
        match NonZeroU32::new(weight) {
            Some(weight) => Some(Self(weight)),
            None => None,
        }
    }

    /// The weight as a number, at least 1.
    pub const fn as_u32(self) -> u32 {
        self.0.get()
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self::ONE
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a node listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// A host name or IP address (IPv6 without brackets) and a port.
    Tcp {
        /// Host name or IP address, verbatim; it is resolved when a connection is opened.
        host: String,
        /// Port, 1 to 65535.
        port: u16,
    },
    /// The path of a unix socket.
    Unix(String),
}

impl Address {
    /// A TCP address.
    pub fn tcp(host: impl Into<String>, port: u16) -> Self {
        Self::Tcp { host: host.into(), port }
    }

    /// The name nutcracker gives a server that has none: `host:port`, `host` alone if the port is
    /// 11211, and the path with a colon behind it for a unix socket.
    ///
    /// Source: nutcracker 0.5.0 `nc_conf.c` `conf_add_server`; the colon is left over from cutting
    /// the weight off.
    pub fn ring_name(&self) -> String {
        match self {
            Self::Tcp { host, port: 11211 } => host.clone(),
            Self::Tcp { host, port } => format!("{host}:{port}"),
            Self::Unix(path) => format!("{path}:"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => f.write_str(path),
        }
    }
}

/// One server process that requests are sent to.
///
/// What places a node on a ring is its [`name`](Self::name): give a node a name of its own and its
/// address may change without moving a key.
///
/// # Examples
///
/// The text form is a line of a nutcracker `servers:` list, `host:port:weight [name]` or
/// `/path:weight [name]`:
///
/// ```
/// use shardwright::Node;
///
/// let node: Node = "10.0.0.1:6379:2 server1".parse()?;
/// assert_eq!(node.name(), "server1");
/// assert_eq!(node.weight().as_u32(), 2);
///
/// let node: Node = "10.0.0.1:6379:1".parse()?;
/// assert_eq!(node.name(), "10.0.0.1:6379");
/// # Ok::<(), shardwright::ShardError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Node {
    name: Arc<str>,
    address: Address,
    weight: Weight,
}

impl Node {
    /// A node at `address`, with weight 1 and the name nutcracker would give it
    /// ([`Address::ring_name`]).
    pub fn new(address: Address) -> Self {
        Self { name: address.ring_name().into(), address, weight: Weight::ONE }
    }

    /// The same node under another ring name. The name decides placement: changing it moves keys.
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ShardErrorKind::Configuration) if `name` is empty.
    pub fn with_name(self, name: impl Into<Arc<str>>) -> Result<Self> {
        let name = name.into();
        if name.is_empty() {
            return Err(ShardError::configuration(format!(
                "the name of node {} is empty",
                self.address
            )));
        }
        Ok(Self { name, ..self })
    }

    /// The same node with another weight. Changing it moves keys.
    pub fn with_weight(self, weight: Weight) -> Self {
        Self { weight, ..self }
    }

    /// The ring name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn shared_name(&self) -> &Arc<str> {
        &self.name
    }

    /// Where the node listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The node's weight.
    pub fn weight(&self) -> Weight {
        self.weight
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({self})")
    }
}

impl fmt::Display for Node {
    /// The name, and the address behind it in brackets if it says something else.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.address.to_string();
        if *self.name == address {
            f.write_str(&address)
        } else {
            write!(f, "{} ({address})", self.name)
        }
    }
}

/// Why a node line could not be read; the texts are nutcracker's (`conf: directive "servers" …`),
/// but for the last two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NodeLineError {
    #[error(
        "has an invalid \"hostname:port:weight [name]\"or \"/path/unix_socket:weight [name]\" format string"
    )]
    Format,
    #[error("has an invalid weight in \"hostname:port:weight [name]\" format string")]
    Weight,
    #[error("has a zero weight in \"hostname:port:weight [name]\" format string")]
    ZeroWeight,
    #[error("has an invalid port in \"hostname:port:weight [name]\" format string")]
    Port,
    #[error("has an empty host in \"hostname:port:weight [name]\" format string")]
    Host,
    #[error("has an empty name in \"hostname:port:weight [name]\" format string")]
    Name,
}

impl Node {
    /// Reads `host:port:weight [name]` or `/path:weight [name]` from the end, as nutcracker does: a
    /// name is what follows the last space, a weight what follows the last colon before it, a port
    /// what follows the colon before that; the rest is the host. Without a name the text before the
    /// weight is the ring name, leading zeros of the port included.
    ///
    /// Where nutcracker would go on with nonsense this says no: an empty host, an empty name behind a
    /// trailing space, and numbers that wrap around. An IPv6 host may stand in brackets.
    pub(crate) fn parse_line(line: &str) -> Result<Self, NodeLineError> {
        let (place, name) = match line.rsplit_once(' ') {
            Some((place, name)) => (place, Some(name)),
            None => (line, None),
        };
        let (place, weight) = place.rsplit_once(':').ok_or(NodeLineError::Format)?;
        let host_and_port = if !place.starts_with('/') {
            Some(place.rsplit_once(':').ok_or(NodeLineError::Format)?)
        } else if place.contains(':') {
            return Err(NodeLineError::Format);
        } else {
            None
        };
        // In nutcracker's order, so that a line with two faults is refused for the same one.
        let weight = decimal(weight).ok_or(NodeLineError::Weight)?;
        let weight = Weight::new(weight).ok_or(NodeLineError::ZeroWeight)?;
        let node = match host_and_port {
            None => Self::new(Address::Unix(place.to_owned())),
            Some((host, digits)) => {
                let port = decimal(digits).and_then(|port| u16::try_from(port).ok());
                let port = port.filter(|&port| port > 0).ok_or(NodeLineError::Port)?;
                let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
                let host = bare.unwrap_or(host);
                if host.is_empty() {
                    return Err(NodeLineError::Host);
                }
                let node = Self::new(Address::tcp(host, port));
                if digits.starts_with('0') && port != 11211 {
                    Self { name: format!("{host}:{digits}").into(), ..node }
                } else {
                    node
                }
            }
        };
        let node = node.with_weight(weight);
        match name {
            None => Ok(node),
            Some("") => Err(NodeLineError::Name),
            Some(name) => Ok(Self { name: name.into(), ..node }),
        }
    }
}

/// Decimal digits only, up to the largest C `int`, as nutcracker's `nc_atoi`, but without its
/// wrap-around.
pub(crate) fn decimal(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|number| i32::try_from(*number).is_ok())
}

impl FromStr for Node {
    type Err = ShardError;

    /// Reads `host:port:weight [name]` or `/path:weight [name]`, the lines of a nutcracker.yml (nutcracker
    /// 0.5.0 `nc_conf.c` `conf_add_server`): a port of 1 to 65535, a weight of 1 to 2147483647. Without a
    /// name the node's name is `host:port` as written, or the host alone on port 11211.
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ShardErrorKind::Configuration), saying which part is wrong.
    fn from_str(line: &str) -> Result<Self> {
        Self::parse_line(line)
            .map_err(|error| ShardError::configuration(format!("node \"{line}\" {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_of(line: &str) -> String {
        line.parse::<Node>().unwrap().name().to_owned()
    }

    #[test]
    fn an_unnamed_node_is_named_as_nutcracker_names_it() {
        assert_eq!(name_of("127.0.0.1:6379:1"), "127.0.0.1:6379");
        assert_eq!(name_of("127.0.0.1:11211:1"), "127.0.0.1");
        assert_eq!(name_of("/run/a.sock:1"), "/run/a.sock:");
        assert_eq!(name_of("::1:6379:1"), "::1:6379");
        assert_eq!(name_of("[::1]:6379:1"), "::1:6379");
        assert_eq!(name_of("10.0.0.1:11211:3 server:1"), "server:1");
        // The stats of nutcracker 0.5.0 show these names.
        assert_eq!(name_of("a:06379:1"), "a:06379");
        assert_eq!(name_of("b:011211:1"), "b");
    }

    #[test]
    fn a_bad_line_says_which_part_is_bad() {
        use NodeLineError::*;
        for (line, error) in [
            ("", Format),
            ("127.0.0.1", Format),
            ("127.0.0.1:6379", Format),
            (":6379:1", Host),
            ("/a:b:1", Format),
            ("127.0.0.1:6379:", Weight),
            ("127.0.0.1:6379:-1", Weight),
            ("127.0.0.1:6379:1\tname", Weight),
            ("127.0.0.1:6379:1  name", Weight),
            ("127.0.0.1:6379:2147483648", Weight),
            ("127.0.0.1:6379:4294967297", Weight),
            ("127.0.0.1:x:y", Weight),
            ("127.0.0.1:x:0", ZeroWeight),
            ("127.0.0.1:6379:0", ZeroWeight),
            ("127.0.0.1:0:1", Port),
            ("127.0.0.1:65536:1", Port),
            ("127.0.0.1:x:1", Port),
            ("127.0.0.1:6379:1 ", Name),
        ] {
            assert_eq!(Node::parse_line(line), Err(error), "{line:?}");
        }
        let error = "127.0.0.1:6379:0".parse::<Node>().unwrap_err().to_string();
        assert!(error.contains("127.0.0.1:6379:0") && error.contains("zero weight"), "{error}");
    }

    #[test]
    fn ids_stop_at_the_limit() {
        assert_eq!(NodeId::new(3).unwrap().index(), 3);
        assert!(NodeId::new(NodeId::LIMIT - 1).is_some());
        assert!(NodeId::new(NodeId::LIMIT).is_none());
    }

    #[test]
    fn a_node_shows_its_address_only_where_the_name_differs() {
        assert_eq!("10.0.0.1:6379:1".parse::<Node>().unwrap().to_string(), "10.0.0.1:6379");
        assert_eq!("10.0.0.1:6379:1 a".parse::<Node>().unwrap().to_string(), "a (10.0.0.1:6379)");
    }
}
