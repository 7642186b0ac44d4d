//! Integration tests: one binary, real servers on free ports.

#[cfg_attr(
    not(all(feature = "redis", feature = "config", feature = "memcache", feature = "proxy")),
    allow(dead_code, reason = "some servers are for the tests of a feature")
)]
mod support;

#[cfg(feature = "tokio-comp")]
mod aio;
#[cfg(feature = "tokio-comp")]
mod aio_channels;
#[cfg(feature = "tokio-comp")]
mod aio_failures;
#[cfg(feature = "redis")]
mod client;
mod commands;
#[cfg(feature = "redis")]
mod drop_in;
#[cfg(feature = "redis")]
mod examples;
#[cfg(feature = "redis")]
mod facade;
#[cfg(feature = "redis")]
mod failures;
mod golden;
mod guide_figures;
mod layers;
mod memcache_protocol;
#[cfg(feature = "memcache")]
mod memcached;
#[cfg(feature = "memcache-aio")]
mod memcached_aio;
#[cfg(feature = "redis")]
mod model;
mod nutcracker;
#[cfg(feature = "config")]
mod nutcracker_config;
#[cfg(feature = "redis")]
mod opening;
#[cfg(feature = "r2d2")]
mod pools;
mod presets;
mod protocol;
#[cfg(feature = "proxy")]
mod proxy;
#[cfg(feature = "redis")]
mod redis_tests;
