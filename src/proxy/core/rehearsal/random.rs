//! Choices: from a seed, or from the bytes of a fuzzer.

/// Where choices come from, the same ones from the same beginning.
#[derive(Clone, Debug)]
pub(crate) enum Random {
    /// SplitMix64 (Steele, Lea, Flood 2014).
    Seed(u64),
    /// What a fuzzer has thought of, and its place there.
    Bytes(Vec<u8>, usize),
}

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        match self {
            Self::Seed(seed) => {
                *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let number = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                number ^ (number >> 31)
            }
            Self::Bytes(bytes, place) => {
                let two = [0, 1].map(|next| bytes.get(*place + next).copied().unwrap_or_default());
                *place += if two[0] < 0xf0 { 1 } else { 2 };
                if two[0] < 0xf0 { u64::from(two[0]) } else { u64::from(u16::from_be_bytes(two)) }
            }
        }
    }

    /// A number from 0 up to and without `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub(super) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }

    pub(super) fn pick<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.below(of.len())]
    }

    /// Whether nothing is left to choose by.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Seed(_) => false,
            Self::Bytes(bytes, place) => *place >= bytes.len(),
        }
    }
}
