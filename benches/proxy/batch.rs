//! The requests that a connection sends at once. They are made once; after that only the digits of keys change.

use std::ops::Deref;
use std::ops::DerefMut;
use std::ops::Range;

use crate::workload::Protocol;
use crate::workload::Request;
use crate::workload::Workload;

/// What every key and every value begins with; the digits of a number follow.
const PREFIX: &[u8] = b"bench:key:";
const DIGITS: usize = 10;

/// Bytes of a key.
pub const KEY: usize = PREFIX.len() + DIGITS;

/// Requests with their keys.
pub struct Batch {
    bytes: Aligned,
    places: Vec<Place>,
}

/// Where a key stands, and its value if it has one.
struct Place {
    key: usize,
    value: Option<usize>,
}

/// Bytes that begin where a line of the processor's cache does. The kernel's copies to and from other places
/// take up to three times as long on some processors.
pub struct Aligned {
    bytes: Vec<u8>,
    range: Range<usize>,
}

/// Numbers that are random enough for keys (splitmix64).
pub struct Numbers(u64);

impl Batch {
    pub fn new(workload: &Workload) -> Self {
        let mut writer = Writer { bytes: Vec::new(), places: Vec::new() };
        for _ in 0..workload.pipeline {
            match workload.protocol {
                Protocol::Redis => writer.add_redis(workload),
                Protocol::Memcached => writer.add_memcached(workload),
            }
        }
        let mut bytes = Aligned::new(writer.bytes.len());
        bytes.copy_from_slice(&writer.bytes);
        Self { bytes, places: writer.places }
    }

    /// Gives the keys their numbers.
    pub fn number(&mut self, mut next: impl FnMut() -> u32) {
        for place in &self.places {
            let digits = digits(next());
            for start in [Some(place.key), place.value].into_iter().flatten() {
                let start = start + PREFIX.len();
                self.bytes[start..start + DIGITS].copy_from_slice(&digits);
            }
        }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The key at that place among all of the batch.
    pub fn key(&self, place: usize) -> &[u8] {
        let start = self.places[place].key;
        &self.bytes[start..start + KEY]
    }
}

struct Writer {
    bytes: Vec<u8>,
    places: Vec<Place>,
}

impl Writer {
    fn add_redis(&mut self, workload: &Workload) {
        let keys = workload.request.keys();
        let (name, words) = match workload.request {
            Request::Get => ("GET", 2),
            Request::Set => ("SET", 3),
            Request::MultiGet(_) => ("MGET", 1 + keys),
            Request::MultiSet(_) => ("MSET", 1 + 2 * keys),
        };
        self.add(&format!("*{words}\r\n${}\r\n{name}\r\n", name.len()));
        for _ in 0..keys {
            self.add(&format!("${KEY}\r\n"));
            self.add_key();
            self.add("\r\n");
            if workload.request.is_storing() {
                self.add(&format!("${}\r\n", workload.value));
                self.add_value(workload.value);
                self.add("\r\n");
            }
        }
    }

    fn add_memcached(&mut self, workload: &Workload) {
        if workload.request.is_storing() {
            self.add("set ");
            self.add_key();
            self.add(&format!(" 0 0 {}\r\n", workload.value));
            self.add_value(workload.value);
        } else {
            self.add("get");
            for _ in 0..workload.request.keys() {
                self.add(" ");
                self.add_key();
            }
        }
        self.add("\r\n");
    }

    fn add(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn add_key(&mut self) {
        self.places.push(Place { key: self.bytes.len(), value: None });
        self.bytes.extend_from_slice(PREFIX);
        self.bytes.extend_from_slice(&digits(0));
    }

    /// The value of the last key: begins with that key.
    fn add_value(&mut self, size: usize) {
        let start = self.bytes.len();
        if let Some(place) = self.places.last_mut() {
            place.value = Some(start);
        }
        self.bytes.extend_from_slice(PREFIX);
        self.bytes.extend_from_slice(&digits(0));
        self.bytes.resize(start + size, b'x');
    }
}

impl Aligned {
    pub fn new(size: usize) -> Self {
        const LINE: usize = 64;
        let bytes = vec![0; size + LINE];
        let start = bytes.as_ptr().align_offset(LINE);
        Self { bytes, range: start..start + size }
    }
}

impl Deref for Aligned {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.range.clone()]
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.range.clone()]
    }
}

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % u64::from(bound)) as u32
    }
}

fn digits(mut number: u32) -> [u8; DIGITS] {
    let mut digits = [b'0'; DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit += (number % 10) as u8;
        number /= 10;
    }
    digits
}
