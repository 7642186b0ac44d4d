//! Items of a list: URLs as the memcache crate takes them, each of one node.

use std::time::Duration;

use super::super::Family;
use super::super::list;
use super::super::options::PoolOptions;
use super::super::options::one_of;
use super::super::options::pairs;
use super::super::parts::address;
use super::super::parts::decoded;
use super::super::parts::unix;
use super::Limit;
use super::MemcacheUrlNode;
use super::Parts;
use super::Reason;
use super::UrlProtocol;
use super::credentials;
use super::options::ConnectionOptions;
use super::options::TRUTHS;
use super::scheme;
use super::scheme::Scheme;
use crate::node::Address;
use crate::node::Node;

/// A node, and what its URL says of all nodes.
pub(super) struct Item {
    pub(super) node: MemcacheUrlNode,
    pub(super) timeout: Option<Limit>,
    pub(super) connect_timeout: Option<Limit>,
    pub(super) protocol: Option<UrlProtocol>,
}

/// Reads items with commas between them.
pub(super) fn parse_list(text: &str) -> Result<Vec<Item>, Reason> {
    let mut inherited = None;
    let has_scheme = |item: &str| matches!(scheme::split(item), Ok(Some(_)));
    list::parse(text, has_scheme, |item| parse(item, &mut inherited))
}

/// Reads one item.
pub(super) fn parse_one(item: &str) -> Result<Item, Reason> {
    parse(item, &mut None)
}

/// Reads one item. `inherited` is the scheme of the item before it, and becomes that of this one.
fn parse(item: &str, inherited: &mut Option<Scheme>) -> Result<Item, Reason> {
    if item.is_empty() {
        return Err("it is empty".into());
    }
    let (scheme, rest) = match (scheme::split(item)?, *inherited) {
        (Some((scheme, rest)), _) => (scheme, rest.to_owned()),
        (None, Some(Scheme::Unix)) => (Scheme::Unix, item.to_owned()),
        (None, scheme) => {
            list::refuse_half_user(item)?;
            (scheme.unwrap_or(Scheme::Any), format!("//{item}"))
        }
    };
    *inherited = Some(scheme);
    match scheme {
        Scheme::Any if has_no_host(&rest) => socket(&rest),
        Scheme::Any | Scheme::Tcp => tcp(&rest, false),
        Scheme::Tls => tcp(&rest, true),
        Scheme::Unix => socket(&rest),
        Scheme::Udp => Err(NO_UDP.into()),
        Scheme::Shard { .. } => Err("a memcache+shard URL stands alone".into()),
    }
}

const NO_UDP: &str = "memcached is not spoken to over UDP; use memcache:// or memcache+tcp://";

/// Whether a path follows the scheme at once.
fn has_no_host(rest: &str) -> bool {
    rest.strip_prefix("//").unwrap_or(rest).starts_with('/')
}

fn tcp(rest: &str, is_tls: bool) -> Result<Item, Reason> {
    let parts = Parts::of(rest)?;
    no_rest(&parts)?;
    item(address(parts.hosts, Family::Memcache)?, &parts, is_tls)
}

/// Refuses a path and a fragment, which mean nothing. Perhaps they are the rest of a password.
pub(super) fn no_rest(parts: &Parts<'_>) -> Result<(), Reason> {
    if !parts.path.is_empty() {
        return Err("something stands behind the slash, and memcached has no databases".into());
    }
    if parts.fragment.is_some() {
        return Err("there is a #, which a memcached has no use for".into());
    }
    Ok(())
}

fn socket(rest: &str) -> Result<Item, Reason> {
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    if !["", "localhost"].contains(&host) || path.is_empty() {
        return Err("the path of a unix socket begins with a slash, the third one: \
                    memcache+unix:///run/memcached.sock"
            .into());
    }
    if path.contains('@') {
        // Perhaps the rest of a password, or another URL behind a comma.
        return Err("there is an @ in the path or behind it; in a user name or a password write \
                    / ? # @ as %2F %3F %23 %40, and in the path %40"
            .into());
    }
    let parts = Parts { user, ..Parts::behind_authority(path) };
    if parts.fragment.is_some() {
        return Err("a unix socket has no #".into());
    }
    let path = decoded(parts.path).ok_or("the path is not UTF-8")?;
    item(unix(path)?, &parts, false)
}

fn item(address: Address, parts: &Parts<'_>, is_tls: bool) -> Result<Item, Reason> {
    let (username, password) = credentials(parts)?;
    let mut options = ConnectionOptions::default();
    let (mut timeout, mut connect_timeout) = (None, None);
    for (name, value) in pairs(parts.query)? {
        let set = match name.as_str() {
            "timeout" => seconds(&value).map(|limit| timeout = Some(limit)),
            "connect_timeout" => seconds(&value).map(|limit| connect_timeout = Some(limit)),
            "udp" => match one_of(&TRUTHS, &value) {
                Ok(true) => return Err(NO_UDP.into()),
                Ok(false) => Ok(()),
                Err(reason) => Err(reason),
            },
            name if ConnectionOptions::NAMES.contains(&name) => options.set(name, &value),
            name => Err(unknown(name)),
        };
        set.map_err(|reason| format!("option \"{name}\"{reason}"))?;
    }
    let (tls, nodelay) = (options.tls(is_tls)?, options.nodelay());
    let node = MemcacheUrlNode { node: Node::new(address), tls, username, password, nodelay };
    Ok(Item { node, timeout, connect_timeout, protocol: options.protocol })
}

fn unknown(name: &str) -> Reason {
    if PoolOptions::is_name(name) {
        " is for the whole pool; it goes into a memcache+shard URL".into()
    } else {
        let known = ConnectionOptions::NAMES.join(", ");
        format!(" is not known; known are timeout, connect_timeout, {known}")
    }
}

/// Reads a number of seconds, which may have a fraction.
fn seconds(value: &str) -> Result<Limit, Reason> {
    let seconds = value.parse().ok().and_then(|it| Duration::try_from_secs_f64(it).ok());
    seconds.map(Limit::of).ok_or_else(|| {
        format!(": \"{value}\" is not a number of seconds such as 2 or 0.4; units are for memcache+shard URLs")
    })
}
