//! The proxy as its clients see it, in front of real servers: what nutcracker does is run on the real
//! one as well and compared, and what we do otherwise on purpose is asserted of each.
//!
//! Numbers of rows are those of the table of behaviours in `guide/moving_from_nutcracker.md`.

mod redis_local;
mod support;
