//! Integration tests: one binary, real servers on free ports.

#![allow(clippy::disallowed_methods, reason = "real servers take real time")]

mod support;

mod client;
mod commands;
mod failures;
mod golden;
mod layers;
