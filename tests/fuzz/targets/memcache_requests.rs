//! Requests to a memcached, behind the lengths of the pieces they come in, as a proxy reads them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let (sizes, bytes) = input.split_at(input.len().min(4));
    shardwright::fuzz::memcache_requests(bytes, sizes);
});
