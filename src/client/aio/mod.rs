//! The asynchronous front end: redis-rs's multiplexed connections, one or more a node, behind one handle.

mod runtime;
