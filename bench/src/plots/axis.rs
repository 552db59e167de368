//! An axis: which range, which ticks, and how a quantity is written.

use super::Scale;

/// Values to positions between 0 and 1.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    scale: Scale,
    min: f64,
    max: f64,
    pub(super) ticks: Vec<f64>,
}

impl Axis {
    /// An axis on which all of `values` lie; those that a logarithm has no place for lie at its lower end.
    pub(super) fn over(values: impl Iterator<Item = f64>, scale: Scale) -> Self {
        let usable = values.filter(|value| value.is_finite() && (scale == Scale::Linear || *value > 0.0));
        let (min, max) = usable.fold((f64::MAX, f64::MIN), |(min, max), value| (min.min(value), max.max(value)));
        let (min, max) = if min > max { (1.0, 10.0) } else { (min, max) };
        match scale {
            Scale::Linear => {
                let step = nice(max.max(f64::MIN_POSITIVE) / 5.0);
                let count = (max / step).ceil().max(1.0);
                let ticks = (0..=count as u32).map(|n| f64::from(n) * step).collect();
                Self { scale, min: 0.0, max: count * step, ticks }
            }
            Scale::Log => {
                let (min, max) = (min / 1.35, max * 1.35);
                Self { scale, min, max, ticks: decades(min, max) }
            }
        }
    }

    /// The same with these ticks.
    pub(super) fn with_ticks(mut self, ticks: &[f64]) -> Self {
        self.ticks = ticks.to_vec();
        self
    }

    /// Whether a value is beyond the upper end.
    pub(super) fn is_above(&self, value: f64) -> bool {
        value > self.max
    }

    /// Where a value lies: 0 at the lower end, 1 at the upper.
    pub(super) fn place(&self, value: f64) -> f64 {
        let at = match self.scale {
            Scale::Linear => (value - self.min) / (self.max - self.min),
            Scale::Log => (value.max(self.min) / self.min).ln() / (self.max / self.min).ln(),
        };
        at.clamp(0.0, 1.0)
    }
}

/// The powers of ten in a range; with their doubles and fivefolds where those are few.
fn decades(min: f64, max: f64) -> Vec<f64> {
    let exponents = min.log10().floor() as i32..=max.log10().ceil() as i32;
    let few = (max / min).log10() < 2.5;
    let factors: &[f64] = if few { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let all = exponents.flat_map(|exponent| factors.iter().map(move |factor| factor * 10_f64.powi(exponent)));
    all.filter(|tick| (min..=max).contains(tick)).collect()
}

/// The next of 1, 2, 5, 10 … that is not below `step`.
fn nice(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|&nice| nice >= step * 0.999).unwrap_or(step)
}

/// The unit in words.
pub(super) fn unit_name(unit: &str) -> &str {
    match unit {
        "ns" => "ns, µs or ms",
        other => other,
    }
}

/// A quantity in at most three digits: `8.76 ns`, `1.2 µs`, `26.6 M/s`, `40 B`, `0.95`.
pub(super) fn quantity(value: f64, unit: &str) -> String {
    let steps: &[(f64, &str)] = match unit {
        "ns" => &[(1e9, " s"), (1e6, " ms"), (1e3, " µs"), (0.0, " ns")],
        "1/s" => &[(1e9, " G/s"), (1e6, " M/s"), (1e3, " k/s"), (0.0, " /s")],
        "B" => &[(1e9, " GB"), (1e6, " MB"), (1e3, " kB"), (0.0, " B")],
        _ => &[(1e6, "M"), (1e3, "k"), (0.0, "")],
    };
    let (step, suffix) = steps.iter().find(|(step, _)| value.abs() >= *step * 0.9995).copied().unwrap_or((0.0, ""));
    format!("{}{suffix}", digits(value / if step == 0.0 { 1.0 } else { step }))
}

/// Three digits that count, without zeros behind the point; a share far below one by its power of ten.
fn digits(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && size < 0.0095 {
        return format!("{value:.0e}");
    }
    let decimals = match size {
        s if s >= 99.95 => 0,
        s if s >= 9.995 => 1,
        _ => 2,
    };
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_have_three_digits_and_a_unit() {
        let written = [(8.764, "ns"), (999.6, "ns"), (26_640_000.0, "1/s"), (40.0, "B"), (0.951, ""), (0.001, "")];
        let written = written.map(|(value, unit)| quantity(value, unit));
        assert_eq!(written, ["8.76 ns", "1 µs", "26.6 M/s", "40 B", "0.95", "1e-3"]);
        assert_eq!(quantity(0.0, "ns"), "0 ns");
        assert_eq!([1000.0, 100_000.0, 1e6].map(|n| quantity(n, "")), ["1k", "100k", "1M"]);
    }

    #[test]
    fn every_value_lies_on_its_axis_and_ticks_do_too() {
        for scale in [Scale::Linear, Scale::Log] {
            let values = [0.3, 17.0, 123_456.0];
            let axis = Axis::over(values.into_iter(), scale);
            for value in values.iter().chain(&axis.ticks) {
                let at = axis.place(*value);
                assert!((0.0..=1.0).contains(&at), "{value} at {at}");
            }
            assert!((2..=12).contains(&axis.ticks.len()), "{:?}", axis.ticks);
            assert!(axis.place(0.3) < axis.place(17.0));
        }
    }

    #[test]
    fn an_axis_over_nothing_or_zero_is_still_one() {
        assert_eq!(Axis::over([].into_iter(), Scale::Log).place(0.0), 0.0);
        assert!(Axis::over([0.0].into_iter(), Scale::Linear).place(0.0).is_finite());
        assert_eq!(Axis::over([0.0, 100.0].into_iter(), Scale::Log).place(0.0), 0.0);
    }
}
