//! `redis+shard://`: several nodes and the rules of their pool in one URL.

use super::Family;
use super::Options;
use super::Reason;
use super::ShardUrl;
use super::Tls;
use super::UrlNode;
use super::parts::Parts;
use super::parts::address;
use super::parts::decoded;
use super::parts::unix;
use super::scheme;
use super::scheme::Scheme;
use crate::error::Result;
use crate::error::ShardError;
use crate::node::Address;
use crate::node::Node;
use crate::node::Weight;
use crate::node::decimal;

/// Reads a URL of several nodes; `None` if `text` begins with another scheme, or with none.
pub(super) fn parse(text: &str) -> Option<Result<ShardUrl>> {
    match scheme::split(text) {
        Ok(Some((Scheme::Shard { is_tls }, rest))) => Some(
            nodes(rest, is_tls)
                .map_err(ShardError::configuration)
                .and_then(|(nodes, options)| ShardUrl::new(nodes, &options)),
        ),
        _ => None,
    }
}

fn nodes(rest: &str, is_tls: bool) -> Result<(Vec<UrlNode>, Options), Reason> {
    let whole = |reason: Reason| format!("the URL: {reason}");
    let parts = Parts::of(rest).map_err(whole)?;
    one_user(&parts).map_err(whole)?;
    let (username, password) = parts.credentials().map_err(whole)?;
    let tls = parts.tls(is_tls).map_err(whole)?;
    let database = parts.database().map_err(whole)?;
    let options = Options::parse(parts.query).map_err(whole)?;
    let nodes = hosts(parts.hosts, tls != Tls::Off, Family::Redis)?;
    let nodes = nodes.into_iter().map(|node| UrlNode {
        node,
        tls,
        username: username.clone(),
        password: password.clone(),
        database,
        is_resp3: options.is_resp3,
    });
    Ok((nodes.collect(), options))
}

/// Refuses a user for each node.
pub(super) fn one_user(parts: &Parts<'_>) -> Result<(), Reason> {
    if parts.user.is_some_and(|user| user.contains('@')) {
        return Err("there is more than one @; it has one user for all nodes, and an @ in a user \
                    name or a password is written %40"
            .into());
    }
    if parts.user.is_some_and(|user| user.contains(',')) {
        return Err("there is a comma before the @; it has one user for all nodes, who stands first, and a \
                    comma in a user name or a password is written %2C"
            .into());
    }
    Ok(())
}

/// Reads nodes with commas between them.
pub(super) fn hosts(text: &str, is_tls: bool, family: Family) -> Result<Vec<Node>, Reason> {
    let nodes = text.split(',').zip(1..).map(|(text, number)| {
        let node = node(text.trim(), family).and_then(|node| match node.address() {
            Address::Unix(_) if is_tls => Err("a unix socket has no TLS".into()),
            _ => Ok(node),
        });
        node.map_err(|reason| format!("node {number} of the URL: {reason}"))
    });
    nodes.collect()
}

/// Reads `host[:port][*weight][=name]`.
fn node(text: &str, family: Family) -> Result<Node, Reason> {
    if text.is_empty() {
        return Err("it is empty".into());
    }
    let (place, name) = match text.split_once('=') {
        Some((place, name)) => (place, Some(name)),
        None => (text, None),
    };
    let (place, weight) = match place.split_once('*') {
        Some((place, weight)) => (place, Some(weight)),
        None => (place, None),
    };
    let is_unix = place.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("%2F"));
    let mut node = Node::new(if is_unix { socket(place)? } else { address(place, family)? });
    if let Some(text) = weight {
        let weight = decimal(text).and_then(Weight::new);
        let weight = weight
            .ok_or_else(|| format!("weight \"{text}\" is not a number between 1 and 2147483647"))?;
        node = node.with_weight(weight);
    }
    if let Some(text) = name {
        if text.contains(['*', '=']) {
            return Err(format!(
                "\"{text}\" is not a name; a weight stands before the name, as in host:port*2=name, \
                 and * and = in a name are written %2A and %3D"
            ));
        }
        let name = decoded(text).ok_or("the name is not UTF-8")?;
        node = node.with_name(name).map_err(|_| "the name is empty")?;
    }
    Ok(node)
}

/// Reads the encoded path of a unix socket.
fn socket(text: &str) -> Result<Address, Reason> {
    if text.contains(':') {
        return Err("a unix socket has no port; a colon in its path is written %3A".into());
    }
    unix(decoded(text).ok_or("the path is not UTF-8")?)
}
