//! The command table against what real servers say of their commands.

mod generator;
mod golden;
mod live;
