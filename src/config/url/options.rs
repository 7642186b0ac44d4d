//! What stands behind the question mark.

use std::str::FromStr;
use std::time::Duration;

use super::Limit;
use super::Reason;
use super::parts::decoded;
use crate::distribution::DistributionKind;
use crate::distribution::NodeOrder;
use crate::error::ShardError;
use crate::hash::CharSign;
use crate::hash::HashKind;
use crate::health::EjectMode;
use crate::health::EjectPolicy;
use crate::key::HashTag;
use crate::node::decimal;
use crate::topology::Topology;

/// Options of a pool of Redis nodes.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) pool: PoolOptions,
    pub(super) is_resp3: bool,
}

/// Options of any pool.
#[derive(Debug, Default)]
pub(super) struct PoolOptions {
    distribution: DistributionKind,
    hash: HashKind,
    char_sign: CharSign,
    hash_tag: Option<HashTag>,
    node_order: Option<NodeOrder>,
    eject: EjectMode,
    failure_limit: Option<u32>,
    retry_timeout: Option<Duration>,
    max_retry_timeout: Option<Duration>,
    max_ejected_share: Option<f64>,
    pub(super) timeout: Limit,
    pub(super) connect_timeout: Limit,
}

/// How times are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Times {
    /// A number without a unit counts milliseconds.
    Milliseconds,
    /// There is always a unit.
    WithUnit,
}

impl Options {
    /// Reads a query.
    pub(super) fn parse(query: &str) -> Result<Self, Reason> {
        let mut options = Self::default();
        for (name, value) in pairs(query)? {
            options.set(&name, &value).map_err(|reason| format!("option \"{name}\"{reason}"))?;
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Reason> {
        match name {
            "protocol" => self.is_resp3 = is_resp3(value)?,
            _ if PoolOptions::is_name(name) => {
                self.pool.set(name, value, Times::Milliseconds)?;
            }
            _ => {
                let known = PoolOptions::NAMES.join(", ");
                return Err(format!(" is not known; known are {known}, protocol"));
            }
        }
        Ok(())
    }

    /// Whether there is an option of this name.
    pub(super) fn is_name(name: &str) -> bool {
        name == "protocol" || PoolOptions::is_name(name)
    }
}

impl PoolOptions {
    pub(super) const NAMES: [&str; 12] = [
        "distribution",
        "hash",
        "hash_tag",
        "char_sign",
        "node_order",
        "eject",
        "failure_limit",
        "retry_timeout",
        "max_retry_timeout",
        "max_ejected_share",
        "timeout",
        "connect_timeout",
    ];

    /// Sets the option of this name, one of [`NAMES`](Self::NAMES).
    pub(super) fn set(&mut self, name: &str, value: &str, times: Times) -> Result<(), Reason> {
        match name {
            "distribution" => self.distribution = kind(value)?,
            "hash" => self.hash = kind(value)?,
            "hash_tag" => self.hash_tag = Some(kind(value)?),
            "char_sign" => {
                let signs = [("signed", CharSign::Signed), ("unsigned", CharSign::Unsigned)];
                self.char_sign = one_of(&signs, value)?;
            }
            "node_order" => {
                let orders = [("by_name", NodeOrder::ByName), ("as_listed", NodeOrder::AsListed)];
                self.node_order = Some(one_of(&orders, value)?);
            }
            "eject" => self.eject = kind(value)?,
            "failure_limit" => {
                let limit = decimal(value).ok_or_else(|| format!(": \"{value}\" is not a number"));
                self.failure_limit = Some(limit?);
            }
            "retry_timeout" => self.retry_timeout = Some(duration(value, times)?),
            "max_retry_timeout" => self.max_retry_timeout = Some(duration(value, times)?),
            "max_ejected_share" => self.max_ejected_share = Some(share(value)?),
            "timeout" => self.timeout = limit(value, times)?,
            "connect_timeout" => self.connect_timeout = limit(value, times)?,
            _ => return Err(" is not known".into()),
        }
        Ok(())
    }

    /// The names of those that say which node a hash belongs to.
    pub(super) const PLACEMENT: [&str; 4] = ["distribution", "hash", "char_sign", "node_order"];

    /// Whether there is an option of this name.
    pub(super) fn is_name(name: &str) -> bool {
        Self::NAMES.contains(&name)
    }

    /// `topology` with these options.
    pub(super) fn apply(&self, topology: Topology) -> Topology {
        let topology = topology
            .with_hash(self.hash.with_char_sign(self.char_sign))
            .with_distribution(self.distribution);
        let topology = match self.node_order {
            Some(order) => topology.with_node_order(order),
            None => topology,
        };
        self.apply_but_placement(topology)
    }

    /// `topology` with those of these options that are not [`PLACEMENT`](Self::PLACEMENT).
    pub(super) fn apply_but_placement(&self, topology: Topology) -> Topology {
        let mut policy = EjectPolicy::new(self.eject);
        if let Some(limit) = self.failure_limit {
            policy = policy.failure_limit(limit);
        }
        if let Some(timeout) = self.retry_timeout {
            policy = policy.retry_timeout(timeout);
        }
        if let Some(timeout) = self.max_retry_timeout {
            policy = policy.max_retry_timeout(timeout);
        }
        if let Some(share) = self.max_ejected_share {
            policy = policy.max_ejected_share(share);
        }
        let topology = topology.with_eject_policy(policy);
        match self.hash_tag {
            Some(tag) => topology.with_hash_tag(tag),
            None => topology,
        }
    }
}

/// The names and values of a query, decoded as the `url` crate does for redis-rs: `+` is a space. No
/// name comes twice.
pub(super) fn pairs(query: &str) -> Result<Vec<(String, String)>, Reason> {
    let form_decoded = |text: &str| decoded(&text.replace('+', " "));
    let mut pairs: Vec<(String, String)> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = form_decoded(name).ok_or("the name of an option is not UTF-8")?;
        let Some(value) = form_decoded(value) else {
            return Err(format!("the value of option \"{name}\" is not UTF-8"));
        };
        if pairs.iter().any(|(earlier, _)| *earlier == name) {
            return Err(format!("option \"{name}\" is there twice"));
        }
        pairs.push((name, value));
    }
    Ok(pairs)
}

/// Reads the value of `protocol`, as redis-rs does.
pub(super) fn is_resp3(value: &str) -> Result<bool, Reason> {
    let protocols = [("resp2", false), ("resp3", true), ("2", false), ("3", true)];
    one_of(&protocols, value)
}

/// Reads what has names of its own.
fn kind<T: FromStr<Err = ShardError>>(value: &str) -> Result<T, Reason> {
    value.parse().map_err(|error: ShardError| format!(": {}", error.message()))
}

pub(super) fn one_of<T: Copy>(known: &[(&str, T)], value: &str) -> Result<T, Reason> {
    match known.iter().find(|(name, _)| *name == value) {
        Some((_, meaning)) => Ok(*meaning),
        None => {
            let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
            Err(format!(": \"{value}\" is not one of {}", names.join(", ")))
        }
    }
}

/// Reads `400ms`, `2s`, or if it may be a number of milliseconds, as nutcracker.yml has them.
fn duration(value: &str, times: Times) -> Result<Duration, Reason> {
    let (digits, unit) = match (value.strip_suffix("ms"), value.strip_suffix('s')) {
        (Some(digits), _) => (digits, 1),
        (None, Some(digits)) => (digits, 1000),
        (None, None) => (value, 1),
    };
    match decimal(digits) {
        Some(_) if digits == value && times == Times::WithUnit => {
            Err(format!(": \"{value}\" has no unit; write {value}ms or {value}s"))
        }
        Some(count) => Ok(Duration::from_millis(u64::from(count) * unit)),
        None => Err(format!(": \"{value}\" is not a time such as 400ms or 2s")),
    }
}

fn limit(value: &str, times: Times) -> Result<Limit, Reason> {
    Ok(Limit::of(duration(value, times)?))
}

fn share(value: &str) -> Result<f64, Reason> {
    let share = value.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!(": \"{value}\" is not a number between 0 and 1"))
}
