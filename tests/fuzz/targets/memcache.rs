//! Replies of memcached's, behind what was asked and the lengths of the pieces they come in.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let (head, bytes) = input.split_at(input.len().min(5));
    if let Some((kind, sizes)) = head.split_first() {
        shardwright::fuzz::memcache(kind % 14, bytes, sizes);
    }
});
