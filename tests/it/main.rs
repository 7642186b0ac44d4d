//! Integration tests: one binary, real servers on free ports.

mod support;

mod client;
mod commands;
mod golden;
mod layers;
mod model;
