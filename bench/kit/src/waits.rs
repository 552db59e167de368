//! How long waits took: a histogram whose buckets are eighths of a power of two.

/// Buckets for every number of nanoseconds: eight single ones, then eight for each power of two.
const BUCKETS: usize = 8 + 8 * 61;

/// A histogram of durations in nanoseconds.
#[derive(Clone, Debug)]
pub struct Waits {
    counts: Box<[u64]>,
    max: u64,
}

impl Default for Waits {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS].into_boxed_slice(), max: 0 }
    }
}

#[inline]
fn bucket(ns: u64) -> usize {
    if ns < 8 {
        return ns as usize;
    }
    let power = 63 - ns.leading_zeros() as usize;
    8 * (power - 2) + ((ns >> (power - 3)) & 7) as usize
}

/// The first number that is above the bucket.
fn upper(bucket: usize) -> u64 {
    if bucket < 8 {
        return bucket as u64 + 1;
    }
    let power = bucket / 8 + 2;
    let width = 1_u64 << (power - 3);
    (1_u64 << power).saturating_add(width.saturating_mul(bucket as u64 % 8 + 1))
}

impl Waits {
    /// Counts one wait.
    #[inline]
    pub fn record(&mut self, ns: u64) {
        self.counts[bucket(ns)] += 1;
        self.max = self.max.max(ns);
    }

    /// Takes over what another has counted.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.max = self.max.max(other.max);
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The longest, exactly.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// What `share` of the waits did not exceed, by the upper bound of its bucket; 0 if there were none.
    pub fn quantile(&self, share: f64) -> u64 {
        let rank = ((self.count() as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper(index).min(self.max);
            }
        }
        0
    }

    /// Upper bounds and counts of the buckets that are not empty, ascending.
    pub fn buckets(&self) -> Vec<(u64, u64)> {
        let filled = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        filled.map(|(index, count)| (upper(index), *count)).collect()
    }
}

/// Adds up two lists of buckets.
pub fn merge_buckets(into: &mut Vec<(u64, u64)>, more: &[(u64, u64)]) {
    for &(bound, count) in more {
        match into.binary_search_by_key(&bound, |bucket| bucket.0) {
            Ok(at) => into[at].1 += count,
            Err(at) => into.insert(at, (bound, count)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_is_below_its_bound_and_an_eighth_more_is_another() {
        for ns in (0..5000).chain((0..57).map(|n| 127 << n)).chain([u64::MAX >> 1]) {
            let bound = upper(bucket(ns));
            assert!(ns < bound, "{ns} in the bucket below {bound}");
            assert!(bound - ns <= ns / 8 + 1, "{ns} in the bucket below {bound}");
        }
        assert_eq!((upper(bucket(127)), upper(bucket(128))), (128, 144));
        assert!(bucket(u64::MAX) < BUCKETS);
    }

    #[test]
    fn quantiles_and_the_longest() {
        let mut waits = Waits::default();
        assert_eq!(waits.quantile(0.5), 0);
        (1..=100).for_each(|ns| waits.record(ns * 10));
        assert_eq!(waits.max(), 1000);
        assert!((500..=576).contains(&waits.quantile(0.5)), "{}", waits.quantile(0.5));
        assert!((990..=1000).contains(&waits.quantile(0.99)), "{}", waits.quantile(0.99));
        let mut twice = waits.clone();
        twice.merge(&waits);
        assert_eq!(twice.count(), 200);
        let mut merged = waits.buckets();
        merge_buckets(&mut merged, &waits.buckets());
        assert_eq!(merged, twice.buckets());
    }
}
