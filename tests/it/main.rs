//! Integration tests: one binary, real servers on free ports.

mod support;

mod golden;
mod layers;
mod nutcracker;
