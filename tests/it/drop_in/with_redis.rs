//! The application with redis-rs.

/// What the application takes for the crate `redis`.
pub(super) use ::redis;

#[path = "app/mod.rs"]
pub(super) mod app;
