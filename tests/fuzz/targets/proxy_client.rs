//! Any bytes from a client of the proxy; the first says which protocol it speaks, the next where they are cut.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let (first, bytes) = input.split_at(input.len().min(5));
    let Some((kind, sizes)) = first.split_first() else {
        return;
    };
    shardwright::fuzz::proxy_client(kind % 2 == 0, bytes, sizes);
});
