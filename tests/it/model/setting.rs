//! The topology of a case.

use redis::RedisResult;
use shardwright::ConnectMode;
use shardwright::DistributionKind;
use shardwright::HashKind;
use shardwright::HashTag;
use shardwright::NodeConfig;
use shardwright::NodeOrder;
use shardwright::ShardedClient;

use super::random::Random;

/// How the pool of a case is made; the same for the same seed.
#[derive(Clone, Debug)]
pub struct Setting {
    pub seed: u64,
    /// Of each node.
    names: Vec<Option<String>>,
    weights: Vec<u32>,
    hash: HashKind,
    distribution: DistributionKind,
    order: Option<NodeOrder>,
    /// Whether the pool looks at the hash tags that the keys have.
    is_tagged: bool,
    /// The two bytes of the tag.
    pub tag: (u8, u8),
    is_resp3: bool,
    mode: ConnectMode,
    /// Whether the steps use several databases.
    pub has_databases: bool,
    /// Whether the pool is asked over the asynchronous connection.
    pub is_shared: bool,
}

impl Setting {
    /// Makes one for `seed`, of at most `most` nodes.
    pub fn new(seed: u64, most: usize) -> Self {
        let mut random = Random::new(seed ^ 0x5e77_1296);
        let random = &mut random;
        let count = 1 + random.below(most);
        let kinds: Vec<_> = DistributionKind::ALL
            .into_iter()
            // It has another node for the same key each time.
            .filter(|kind| *kind != DistributionKind::Random)
            .collect();
        let named = random.chance(70);
        let name = |index| named.then(|| format!("{}node{index}", ["", "a ", "é"][index % 3]));
        Self {
            seed,
            names: (0..count).map(name).collect(),
            weights: (0..count).map(|_| *random.pick(&[1, 1, 1, 2, 5])).collect(),
            hash: *random.pick(&HashKind::ALL),
            distribution: *random.pick(&kinds),
            order: *random.pick(&[None, Some(NodeOrder::ByName), Some(NodeOrder::AsListed)]),
            is_tagged: random.chance(75),
            tag: *random.pick(&[(b'{', b'}'), (b'{', b'}'), (b'$', b'$'), (b'<', b'>')]),
            is_resp3: random.chance(40),
            mode: *random.pick(&[ConnectMode::Any, ConnectMode::All, ConnectMode::Lazy]),
            has_databases: random.chance(15),
            is_shared: random.chance(40),
        }
    }

    /// How many nodes the pool has.
    pub fn count(&self) -> usize {
        self.weights.len()
    }

    /// The URL of the server on `port`.
    pub fn url(&self, port: u16) -> String {
        let protocol = if self.is_resp3 { "?protocol=resp3" } else { "" };
        format!("redis://127.0.0.1:{port}/{protocol}")
    }

    /// A client of the pool of the servers on `ports`.
    pub fn client(&self, ports: &[u16]) -> RedisResult<ShardedClient> {
        let mut builder = ShardedClient::builder()
            .hash(self.hash)
            .distribution(self.distribution)
            .connect_mode(self.mode);
        if self.is_tagged {
            builder = builder.hash_tag(HashTag::new(self.tag.0, self.tag.1));
        }
        if let Some(order) = self.order {
            builder = builder.node_order(order);
        }
        for ((port, name), weight) in ports.iter().zip(&self.names).zip(&self.weights) {
            let node = NodeConfig::new(self.url(*port))?.weight(*weight)?;
            builder = builder.node(match name {
                Some(name) => node.name(name),
                None => node,
            });
        }
        builder.build()
    }
}
