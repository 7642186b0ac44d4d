//! Lines as people type them to a Redis.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &[u8]| shardwright::fuzz::inline_command(line));
