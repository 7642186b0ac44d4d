//! The guide: what one wants to know before, and at three in the morning.

/// How the crate is built, and why so.
#[doc = include_str!("architecture.md")]
pub mod architecture {}

/// What happens to each command of Redis.
#[doc = include_str!("commands.md")]
pub mod commands {}

/// What is as in nutcracker and in redis-rs, and what is not.
#[doc = include_str!("compatibility.md")]
pub mod compatibility {}

/// What happens when a node fails, and what to set.
#[doc = include_str!("failures.md")]
pub mod failures {}

/// Memcached over many nodes: what is as in the crate memcache, and what is not.
#[cfg(feature = "memcache-aio")]
#[doc = include_str!("memcached.md")]
pub mod memcached {}

/// `shardwright-proxy` in the place of nutcracker: what stays, and what differs on purpose.
#[doc = include_str!("moving_from_nutcracker.md")]
pub mod moving_from_nutcracker {}

/// Moving an application from redis-rs.
#[doc = include_str!("moving_from_redis.md")]
pub mod moving_from_redis {}

/// Which of redis-rs's own tests pass, and why the others do not.
#[doc = include_str!("redis_tests.md")]
pub mod redis_tests {}
