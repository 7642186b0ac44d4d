//! Whatever happens to the proxy.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|choices: &[u8]| shardwright::fuzz::proxy_walk(choices));
