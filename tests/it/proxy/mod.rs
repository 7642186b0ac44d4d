//! The program `shardwright-proxy`, and the real nutcracker beside it.

mod command_line;
