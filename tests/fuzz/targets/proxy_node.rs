//! Any bytes from a node of the proxy; the first says what it was asked, the next where they are cut.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let (first, bytes) = input.split_at(input.len().min(5));
    let Some((kind, sizes)) = first.split_first() else {
        return;
    };
    shardwright::fuzz::proxy_node(*kind, bytes, sizes);
});
