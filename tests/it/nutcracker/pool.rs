//! Pools of nutcracker.yml, and the topologies that we make of them.

use std::fmt;

use shardwright::Address;
use shardwright::DistributionKind;
use shardwright::HashKind;
use shardwright::HashTag;
use shardwright::Node;
use shardwright::Topology;

pub(crate) struct Pool {
    pub(crate) hash: HashKind,
    pub(crate) distribution: DistributionKind,
    pub(crate) hash_tag: Option<HashTag>,
    pub(crate) servers: Vec<Server>,
    /// Or memcached.
    pub(crate) is_redis: bool,
    /// Whether one failure ejects a server, for good.
    pub(crate) ejects: bool,
}

pub(crate) struct Server {
    /// Number of the witness behind it.
    pub(crate) witness: usize,
    /// As in a `servers:` list.
    pub(crate) line: String,
}

impl Server {
    pub(crate) fn new(
        witness: usize,
        address: &Address,
        weight: usize,
        name: Option<&str>,
    ) -> Self {
        let mut line = match address {
            // nutcracker knows IPv6 addresses only without brackets.
            Address::Tcp { host, port } => format!("{host}:{port}:{weight}"),
            other => format!("{other}:{weight}"),
        };
        if let Some(name) = name {
            line.push(' ');
            line.push_str(name);
        }
        Self { witness, line }
    }

    pub(crate) fn node(&self) -> Node {
        self.line.parse().expect("nutcracker takes the line, so we do")
    }
}

impl Default for Pool {
    /// nutcracker's defaults, for redis, without servers.
    fn default() -> Self {
        Self {
            hash: HashKind::default(),
            distribution: DistributionKind::default(),
            hash_tag: None,
            servers: Vec::new(),
            is_redis: true,
            ejects: false,
        }
    }
}

impl Pool {
    pub(crate) fn topology(&self) -> Topology {
        let topology = Topology::new(self.servers.iter().map(Server::node))
            .expect("nutcracker takes the pool, so we do")
            .with_hash(self.hash)
            .with_distribution(self.distribution);
        match self.hash_tag {
            Some(tag) => topology.with_hash_tag(tag),
            None => topology,
        }
    }
}

impl fmt::Display for Pool {
    /// The lines of nutcracker.yml, but its name and where it listens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  hash: {}\n  distribution: {}", self.hash, self.distribution)?;
        writeln!(f, "  redis: {}\n  auto_eject_hosts: {}", self.is_redis, self.ejects)?;
        writeln!(f, "  server_failure_limit: 1\n  server_retry_timeout: 3600000")?;
        if let Some(tag) = self.hash_tag {
            let tag = [tag.open(), tag.close()];
            writeln!(f, "  hash_tag: '{}'", std::str::from_utf8(&tag).expect("ours are text"))?;
        }
        writeln!(f, "  servers:")?;
        for server in &self.servers {
            writeln!(f, "    - '{}'", server.line.replace('\'', "''"))?;
        }
        Ok(())
    }
}
