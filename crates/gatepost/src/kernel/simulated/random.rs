//! Chance that can be repeated.

/// Numbers that follow from a seed (splitmix64); or no chance at all.
#[derive(Clone, Debug)]
pub(super) struct Random {
    state: u64,
    orderly: bool,
}

impl Random {
    /// Chance, unless `orderly`: then the first is always chosen.
    pub(super) fn new(seed: u64, orderly: bool) -> Self {
        Self { state: seed, orderly }
    }

    /// Any number; 0 without chance.
    pub(super) fn next(&mut self) -> u64 {
        if self.orderly {
            return 0;
        }
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of `n` numbers from 0, for an `n` above 0.
    pub(super) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}
