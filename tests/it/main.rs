//! Integration tests: one binary, real servers on free ports.

#![allow(clippy::disallowed_methods, reason = "real servers take real time")]

mod support;

#[cfg(feature = "redis")]
mod client;
mod commands;
#[cfg(feature = "redis")]
mod drop_in;
mod golden;
mod layers;
#[cfg(feature = "config")]
mod nutcracker_config;
#[cfg(feature = "redis")]
mod opening;
