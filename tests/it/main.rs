//! Integration tests: one binary, real servers on free ports.

mod support;

#[cfg(feature = "redis")]
mod client;
mod commands;
mod golden;
mod layers;
#[cfg(feature = "config")]
mod nutcracker_config;
#[cfg(feature = "redis")]
mod opening;
