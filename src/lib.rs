//! Client-side sharding for Redis and Memcached, in the application's own process.
//!
//! [`ShardedClient`] is `redis::Client` over many nodes: it spreads keys over plain servers exactly as
//! nutcracker (twemproxy) would, asks them at the same time where a command concerns several, and ejects,
//! probes and takes back nodes that fail. No proxy stands in between.
//!
//! ```text
//!                               ┌──► node 1: MGET a c ──► [1, 3] ──┐
//! con.mget(&["a", "b", "c"]) ───┤                                  ├──► [1, 2, 3]
//!                               └──► node 2: MGET b   ──► [2]    ──┘
//! ```
//!
//! For applications that are not in Rust there is `shardwright-proxy` (feature `proxy`), a program that
//! [takes nutcracker's place](guide::moving_from_nutcracker).
//!
//! With the feature `memcache` there is `ShardedMemcache`, which is to `memcache::Client` what this is to
//! redis-rs: [the guide has a page on it](guide::memcached).
//!
//! What it does not: it is no client for Redis Cluster, and it moves no data between nodes.
//!
//! # Getting started
//!
//! An application of redis-rs stays as it is, but for two lines in its Cargo.toml and its configuration:
//! `redis = { package = "shardwright", version = "0.1" }`, and a URL that names several nodes. All of redis-rs is
//! in the root of this crate, with our [`Client`], [`Connection`] and [`PubSub`] in place of its own.
//!
//! Or both stand side by side, and the construction is what changes:
//!
//! ```no_run
//! use redis::Commands;
//!
//! let client = shardwright::ShardedClient::open("redis://10.0.0.1:6379,redis://10.0.0.2:6379")?;
//! let mut connection = client.get_connection()?;
//! let _: () = connection.set("key", 42)?;
//! # Ok::<(), redis::RedisError>(())
//! ```
//!
//! [`ShardedClient::builder`] takes everything else: names and weights of nodes, hash, distribution, hash
//! tag, deadlines, what becomes of the keys of a dead node, whom to tell.
//!
//! Where a key lives needs no server and no client: [`Topology`] and [`Router`] tell.
//!
//! # The guide
//!
//! - [what happens to each command](guide::commands)
//! - [what happens when a node fails, and what to set](guide::failures)
//! - [what is as in nutcracker and redis-rs, and what is not](guide::compatibility)
//! - [Memcached](guide::memcached)
//! - [moving an application from redis-rs](guide::moving_from_redis)
//! - [`shardwright-proxy` in the place of nutcracker](guide::moving_from_nutcracker)
//! - [redis-rs's own tests, run against this crate](guide::redis_tests)
//! - [how the crate is built](guide::architecture)
//!
//! # Features
//!
//! | feature | gives | pulls in |
//! |---|---|---|
//! | `redis` (default) | [`ShardedClient`], and redis-rs's root with ours in it | redis, rustix, socket2, url |
//! | `acl`, `geospatial`, `num-bigint`, `script`, `streams` (default) | redis-rs's features of these names | as there |
//! | `memcache` | `ShardedMemcache`: `memcache::Client` over many nodes | memcache without its TLS, rustix, socket2 |
//! | `memcache-aio` | `ShardedAsyncMemcache`: the same on tokio | `memcache`, futures-util, tokio |
//! | `memcache-tls` | TLS to memcacheds: `memcache+tls://`, for both clients | `memcache`, rustls, rustls-native-certs |
//! | `config` | `NutcrackerConfig`: pools of a nutcracker.yml | libyaml-safer |
//! | `proxy` | the program `shardwright-proxy` | `config`, mio, rustix, signal-hook, slab, socket2, tz-rs; on Linux io-uring, scheduler |
//! | `proxy-tls` | TLS to its nodes and for its clients | `proxy`, rustls with ring, rustls-native-certs |
//! | `tokio-comp` | the asynchronous client, on tokio | futures-util, tokio, redis-rs's `tokio-comp` |
//! | `smol-comp` | the asynchronous client, on smol | futures-util, smol, redis-rs's `smol-comp`, and with it smol-timeout, whose licence is MPL-2.0 |
//! | `connection-manager` | `get_connection_manager` and its like | `tokio-comp`, redis-rs's `connection-manager` |
//! | `r2d2` | pools: `r2d2::ManageConnection` for `ShardedClient` | r2d2, redis-rs's `r2d2` |
//! | `bb8` | pools: `bb8::ManageConnection` for `ShardedClient` | `tokio-comp`, bb8, redis-rs's `bb8` |
//! | `deadpool` | pools: `deadpool::managed::Manager` | `tokio-comp`, deadpool |
//! | `tls-rustls`, `tls-rustls-insecure`, `tls-rustls-webpki-roots`, `tls-native-tls` | TLS to the nodes | what redis-rs's features of these names do |
//! | `tokio-rustls-comp`, `tokio-native-tls-comp`, `smol-rustls-comp`, `smol-native-tls-comp` | TLS for the asynchronous client | the runtime's feature, the TLS feature, and as in redis-rs |
//! | `ahash`, `bigdecimal`, `bloom`, `bytes`, `hashbrown`, `json`, `rust_decimal`, `search_unfinished`, `uuid`, `vector-sets` | commands and types of redis-rs | as there |
//! | `cluster`, `sentinel` | redis-rs's own clients for these; none of ours | as there |
//! | `cache-aio`, `cluster-async`, `entra-id`, `token-based-authentication` | redis-rs's features of these names | `tokio-comp`, and as there |
//! | none | placement: [`Topology`], [`Router`], hashes, rings | crc32fast, fnv, md-5, parking_lot, percent-encoding, sha1, thiserror |
//!
//! With `tls-rustls` the application chooses a crypto provider before it connects, as with redis-rs, and with `memcache-tls`
//! before it builds the client:
//! `rustls::crypto::ring::default_provider().install_default()`, or aws-lc's.

// There is one place with unsafe code, src/proxy/driver/ring/linux.rs, and only the proxy has it.
#![cfg_attr(not(all(feature = "proxy", target_os = "linux")), forbid(unsafe_code))]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(feature = "redis"),
    allow(dead_code, unused_imports, reason = "the pure floors serve front ends")
)]
#![warn(missing_docs, unreachable_pub, clippy::exhaustive_enums, clippy::exhaustive_structs)]
#![warn(clippy::disallowed_methods)]

// Floor 0: words.
mod error;
mod key;
mod node;
// Floor 1: arithmetic and grammar.
mod command;
mod hash;
mod protocol;
// Floor 2: one policy each.
mod distribution;
mod health;
// Floor 3: what readers share.
mod config;
mod topology;
// Floor 4: one request.
mod plan;
// What front ends with sockets share.
#[cfg(feature = "_net")]
mod net;
// Floor 5: the front ends.
#[cfg(feature = "redis")]
mod client;
#[cfg(feature = "memcache")]
mod memcached;
#[cfg(feature = "proxy")]
#[doc(hidden)]
pub mod proxy;

// The place of redis-rs.
#[cfg(feature = "_aio")]
pub mod aio;
#[cfg(feature = "redis")]
pub mod guide;

#[cfg(feature = "_fuzz")]
#[doc(hidden)]
pub mod fuzz;

// The public interface is:
#[cfg(feature = "deadpool")]
pub use client::DeadpoolManager;
#[cfg(feature = "connection-manager")]
pub use client::ShardedConnectionManager;
#[cfg(feature = "_aio")]
pub use client::{AsyncConnectionConfig, ShardedMultiplexedConnection};
#[cfg(feature = "redis")]
pub use client::{
    ConnectMode, IntoTopology, NodeConfig, NodeConnection, PartialFailure, ShardedClient,
    ShardedClientBuilder, ShardedConnection, ShardedPubSub,
};
#[cfg(feature = "_aio")]
pub use client::{ShardedAsyncPubSub, ShardedMonitor, ShardedPubSubSink, ShardedPubSubStream};
#[cfg(feature = "redis")]
pub use client::{
    ShardedClient as Client, ShardedConnection as Connection, ShardedPubSub as PubSub,
};
pub use command::{Blocking, CommandRule, CommandTable, Gather, KeySpec};
#[cfg(any(feature = "config", feature = "memcache"))]
pub use config::FailedReads;
#[cfg(feature = "config")]
pub use config::{Listen, NutcrackerConfig, PoolConfig, ServerCredentials};
pub use distribution::{Distribution, DistributionKind, NodeOrder, NodeSet, Point, Ring, RingNode};
pub use error::{Result, ShardError, ShardErrorKind};
pub use hash::{CharSign, ClientHashKind, HashFn, HashKind, NutcrackerHash};
pub use health::{EjectMode, EjectPolicy, NodeState};
pub use key::HashTag;
#[cfg(feature = "memcache")]
pub use memcache;
#[cfg(feature = "memcache-tls")]
pub use memcached::MemcacheTlsOptions;
#[cfg(feature = "memcache-aio")]
pub use memcached::ShardedAsyncMemcache;
#[cfg(feature = "memcache")]
pub use memcached::{
    IntoMemcacheTopology, MemcacheNodeConfig, MemcacheProtocol, ShardedMemcache,
    ShardedMemcacheBuilder,
};
pub use node::{Address, Node, NodeId, Weight};
#[cfg(feature = "redis")]
pub use redis;
// All of redis-rs, so that this crate can stand in the place of it: what is named here hides what the glob brings.
#[cfg(feature = "redis")]
pub use redis::*;
pub use topology::{Event, Move, Movement, NodeMetrics, Preset, Router, Topology};

// The examples in the README are compiled with those of the code.
#[cfg(all(doctest, feature = "tokio-comp"))]
#[doc = include_str!("../README.md")]
struct Readme;
