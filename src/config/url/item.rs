//! Items of a list: URLs as redis-rs takes them, each of one node.

use super::Family;
use super::Reason;
use super::Tls;
use super::UrlNode;
use super::list;
use super::options::is_resp3;
use super::options::pairs;
use super::parts::Parts;
use super::parts::address;
use super::parts::database;
use super::parts::decoded;
use super::parts::unix;
use super::scheme;
use super::scheme::Scheme;
use crate::node::Node;

/// Reads items with commas between them.
pub(super) fn parse_list(text: &str) -> Result<Vec<UrlNode>, Reason> {
    let mut inherited = None;
    let has_scheme = |item: &str| matches!(scheme::split(item), Ok(Some(_)));
    list::parse(text, has_scheme, |item| parse(item, &mut inherited))
}

/// Reads one item that has a scheme.
pub(super) fn parse_one(item: &str) -> Result<UrlNode, Reason> {
    parse(item, &mut None)
}

/// Reads one item. `inherited` is the scheme of the item before it, and becomes that of this one.
fn parse(item: &str, inherited: &mut Option<Scheme>) -> Result<UrlNode, Reason> {
    if item.is_empty() {
        return Err("it is empty".into());
    }
    let (scheme, rest) = match (scheme::split(item)?, *inherited) {
        (Some((scheme, rest)), _) => (scheme, rest.to_owned()),
        (None, None) => {
            return Err(format!("it begins with no scheme; there are {}", scheme::names()));
        }
        (None, Some(Scheme::Unix)) => (Scheme::Unix, item.to_owned()),
        (None, Some(scheme)) => {
            list::refuse_half_user(item)?;
            (scheme, format!("//{item}"))
        }
    };
    *inherited = Some(scheme);
    match scheme {
        Scheme::Tcp { is_tls } => tcp(&rest, is_tls),
        Scheme::Unix => socket(&rest),
        Scheme::Shard { .. } => Err("a redis+shard URL stands alone".into()),
    }
}

fn tcp(rest: &str, is_tls: bool) -> Result<UrlNode, Reason> {
    let parts = Parts::of(rest)?;
    let (username, password) = parts.credentials()?;
    let mut is_resp3 = false;
    for (name, value) in pairs(parts.query)? {
        match name.as_str() {
            "protocol" => is_resp3 = protocol(&value)?,
            _ => return Err(unknown(&name, "known is protocol")),
        }
    }
    Ok(UrlNode {
        node: Node::new(address(parts.hosts, Family::Redis)?),
        tls: parts.tls(is_tls)?,
        username,
        password,
        database: parts.database()?,
        is_resp3,
    })
}

fn socket(rest: &str) -> Result<UrlNode, Reason> {
    let rest = match rest.strip_prefix("//") {
        Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
        None => rest,
    };
    if rest.contains("://") {
        // With a password in it, perhaps.
        return Err(
            "there is another URL behind the path of the unix socket; a list of URLs is one \
                    text, or each is a text of its own"
                .into(),
        );
    }
    let parts = Parts::behind_authority(rest);
    if !parts.path.starts_with('/') {
        return Err("the path of a unix socket begins with a slash, the third one: \
                    unix:///run/redis.sock"
            .into());
    }
    if parts.fragment.is_some() {
        return Err("a unix socket has no #".into());
    }
    let path = decoded(parts.path).ok_or("the path is not UTF-8")?;
    let mut node = UrlNode {
        node: Node::new(unix(path)?),
        tls: Tls::Off,
        username: None,
        password: None,
        database: 0,
        is_resp3: false,
    };
    match set_options(&mut node, parts.query) {
        // What is wrong may be the rest of a password.
        Err(_) if parts.query.contains("pass") || rest.contains('@') => {
            Err(format!("its options are wrong; {SOCKET_OPTIONS}, and & in a password is %26"))
        }
        set => set.map(|()| node),
    }
}

const SOCKET_OPTIONS: &str = "known are db, user, pass and protocol";

fn set_options(node: &mut UrlNode, query: &str) -> Result<(), Reason> {
    for (name, value) in pairs(query)? {
        match name.as_str() {
            "db" => node.database = database(&value)?,
            "user" => node.username = Some(value).filter(|value| !value.is_empty()),
            "pass" => node.password = Some(value).filter(|value| !value.is_empty()),
            "protocol" => node.is_resp3 = protocol(&value)?,
            _ => return Err(unknown(&name, SOCKET_OPTIONS)),
        }
    }
    Ok(())
}

fn protocol(value: &str) -> Result<bool, Reason> {
    is_resp3(value).map_err(|reason| format!("option \"protocol\"{reason}"))
}

fn unknown(name: &str, known: &str) -> Reason {
    if super::Options::is_name(name) {
        format!("option \"{name}\" is for the whole pool; it goes into a redis+shard URL")
    } else {
        format!("option \"{name}\" is not known; {known}")
    }
}
