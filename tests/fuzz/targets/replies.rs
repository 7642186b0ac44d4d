//! Replies, cut into pieces whose lengths stand in front: our reader against redis-rs's.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let (sizes, bytes) = input.split_at(input.len().min(4));
    shardwright::fuzz::replies(bytes, sizes);
});
