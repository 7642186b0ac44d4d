//! `memcache+shard://`: several nodes and the rules of their pool in one URL.

use super::super::Family;
use super::super::options::PoolOptions;
use super::super::options::Times;
use super::super::options::pairs;
use super::super::shard::hosts;
use super::super::shard::one_user;
use super::MemcacheUrl;
use super::MemcacheUrlNode;
use super::Parts;
use super::Reason;
use super::Rules;
use super::credentials;
use super::item::no_rest;
use super::options::ConnectionOptions;
use super::scheme;
use super::scheme::Scheme;
use crate::error::Result;
use crate::error::ShardError;
use crate::topology::Preset;
use crate::topology::Topology;

/// Reads a URL of several nodes; `None` if `text` begins with another scheme, or with none.
pub(super) fn parse(text: &str) -> Option<Result<MemcacheUrl>> {
    match scheme::split(text) {
        Ok(Some((Scheme::Shard { is_tls }, rest))) => {
            let read = read(rest, is_tls).map_err(ShardError::configuration);
            Some(read.and_then(|(nodes, options)| url(nodes, &options)))
        }
        _ => None,
    }
}

/// Options of the pool, and of each connection.
#[derive(Debug, Default)]
struct Options {
    pool: PoolOptions,
    connection: ConnectionOptions,
    preset: Option<Preset>,
    said: Vec<String>,
}

/// The option that says at once what several others say.
const PRESET: &str = "preset";

impl Options {
    /// Reads a query.
    fn parse(query: &str) -> Result<Self, Reason> {
        let mut options = Self::default();
        let pairs = pairs(query)?;
        for (name, value) in &pairs {
            options.set(name, value).map_err(|reason| format!("option \"{name}\"{reason}"))?;
        }
        let is_placement =
            |(name, _): &&(_, _)| PoolOptions::PLACEMENT.contains(&String::as_str(name));
        match pairs.iter().find(is_placement) {
            Some((name, _)) if options.preset.is_some() => {
                Err(format!("option \"{name}\" is part of what \"{PRESET}\" says: leave one out"))
            }
            _ => {
                options.said = pairs.into_iter().map(|(name, _)| name).collect();
                Ok(options)
            }
        }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Reason> {
        if name == PRESET {
            let preset =
                value.parse().map_err(|error: ShardError| format!(": {}", error.message()));
            self.preset = Some(preset?);
            Ok(())
        } else if PoolOptions::is_name(name) {
            self.pool.set(name, value, Times::WithUnit)
        } else if ConnectionOptions::NAMES.contains(&name) {
            self.connection.set(name, value)
        } else {
            let known = PoolOptions::NAMES.into_iter().chain(ConnectionOptions::NAMES);
            let known: Vec<_> = known.chain([PRESET]).collect();
            Err(format!(" is not known; known are {}", known.join(", ")))
        }
    }
}

fn read(rest: &str, is_tls: bool) -> Result<(Vec<MemcacheUrlNode>, Options), Reason> {
    let whole = |reason: Reason| format!("the URL: {reason}");
    let parts = Parts::of(rest).map_err(whole)?;
    one_user(&parts).map_err(whole)?;
    let (username, password) = credentials(&parts).map_err(whole)?;
    no_rest(&parts).map_err(whole)?;
    let options = Options::parse(parts.query).map_err(whole)?;
    let tls = options.connection.tls(is_tls).map_err(whole)?;
    let nodes = hosts(parts.hosts, is_tls, Family::Memcache)?;
    let nodes = nodes.into_iter().map(|node| MemcacheUrlNode {
        node,
        tls: tls.clone(),
        username: username.clone(),
        password: password.clone(),
        nodelay: options.connection.nodelay(),
    });
    Ok((nodes.collect(), options))
}

fn url(nodes: Vec<MemcacheUrlNode>, options: &Options) -> Result<MemcacheUrl> {
    let listed = nodes.iter().map(|node| node.node.clone());
    let (topology, rules) = match options.preset {
        Some(preset) => {
            let topology = preset.topology(listed)?;
            (options.pool.apply_but_placement(topology), Rules::Preset(preset))
        }
        None => (options.pool.apply(Topology::new(listed)?), Rules::Said),
    };
    Ok(MemcacheUrl {
        nodes,
        topology,
        rules,
        said: options.said.clone(),
        timeout: options.pool.timeout,
        connect_timeout: options.pool.connect_timeout,
        protocol: options.connection.protocol.unwrap_or_default(),
    })
}
