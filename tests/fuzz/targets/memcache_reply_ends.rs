//! Replies of memcached's, behind what was asked and the lengths of the pieces they come in, as a proxy finds
//! their ends.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let (head, bytes) = input.split_at(input.len().min(5));
    if let Some((expected, sizes)) = head.split_first() {
        shardwright::fuzz::memcache_reply_ends(*expected, bytes, sizes);
    }
});
