//! Median, spread and paired ratios: all the statistics there are.

use crate::result::{Better, Row};

/// The middle value and the two ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

/// The middle of `values`: of an even number the mean of the two in the middle. Nothing of none.
pub fn median(values: &[f64]) -> Option<f64> {
    spread(values).map(|spread| spread.median)
}

/// Median, smallest and largest of `values`; nothing of none. Values that are no number do not count.
pub fn spread(values: &[f64]) -> Option<Spread> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    sorted.sort_by(f64::total_cmp);
    let (min, max) = (*sorted.first()?, *sorted.last()?);
    let half = sorted.len() / 2;
    let median = if sorted.len() % 2 == 1 { sorted[half] } else { f64::midpoint(sorted[half - 1], sorted[half]) };
    Some(Spread { median, min, max })
}

/// How many times better `ours` is than `theirs`: of each round of both its own ratio, since what disturbs a round
/// disturbs both. Above 1 ours is better, whichever way is. Nothing if no round can be compared.
pub fn times_better(ours: &Row, theirs: &Row, metric: &str, better: Better) -> Option<Spread> {
    let pairs = ours.rounds.iter().zip(&theirs.rounds);
    let ratios = pairs.filter_map(|(ours, theirs)| {
        let (ours, theirs) = (*ours.get(metric)?, *theirs.get(metric)?);
        let ratio = match better {
            Better::Lower => theirs / ours,
            Better::Higher => ours / theirs,
        };
        ratio.is_finite().then_some(ratio)
    });
    spread(&ratios.collect::<Vec<_>>())
}

/// A metric of each round of a row.
pub fn values(row: &Row, metric: &str) -> Vec<f64> {
    row.rounds.iter().filter_map(|round| round.get(metric).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::{Kind, Metrics};

    fn row(values: &[f64]) -> Row {
        let rounds = values.iter().map(|&ns| Metrics::from([("ns".to_owned(), ns)])).collect();
        Row {
            peer: String::new(),
            kind: Kind::Fair,
            version: String::new(),
            rounds,
            histogram: Vec::new(),
            missing: None,
        }
    }

    #[test]
    fn the_median_is_the_middle_or_the_mean_of_the_two_middle_ones() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[f64::NAN]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
    }

    #[test]
    fn a_ratio_is_taken_round_by_round() {
        // The second round was disturbed for both: the ratio does not see it.
        let (ours, theirs) = (row(&[10.0, 100.0, 10.0]), row(&[20.0, 200.0, 40.0]));
        let lower = times_better(&ours, &theirs, "ns", Better::Lower);
        assert_eq!(lower, Some(Spread { median: 2.0, min: 2.0, max: 4.0 }));
        let higher = times_better(&ours, &theirs, "ns", Better::Higher);
        assert_eq!(higher, Some(Spread { median: 0.5, min: 0.25, max: 0.5 }));
    }

    #[test]
    fn rounds_without_a_partner_are_left_out() {
        let (ours, theirs) = (row(&[10.0, 100.0]), row(&[20.0]));
        assert_eq!(times_better(&ours, &theirs, "ns", Better::Lower).map(|s| (s.min, s.max)), Some((2.0, 2.0)));
        assert_eq!(times_better(&ours, &row(&[]), "ns", Better::Lower), None);
        assert_eq!(times_better(&ours, &theirs, "share", Better::Lower), None);
        assert_eq!(times_better(&row(&[0.0]), &theirs, "ns", Better::Lower), None);
    }
}
