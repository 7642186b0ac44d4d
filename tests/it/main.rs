//! Integration tests: one binary, real servers on free ports.

mod support;

mod commands;
mod golden;
mod layers;
