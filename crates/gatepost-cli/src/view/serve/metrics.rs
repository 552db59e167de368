//! `GET /metrics`: the text format of Prometheus, version 0.0.4.
//!
//! Names and labels are an interface (`docs/observing.md`). Labels are `sem` and `scope`, and what tells the series of one
//! metric apart; nothing whose values grow without bound, such as a label or a process.

use std::fmt::Write as _;

use gatepost_shared::{Histogram, Status};

use super::super::folder::Sight;
use super::super::why;

/// How the metric is meant to be read.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Gauge,
    Counter,
    Histogram,
}

/// A metric: its name, what it says, and its samples of one semaphore.
struct Metric {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    samples: fn(&Status, &mut Sink<'_>),
}

/// All metrics, in the order of the text.
const METRICS: [Metric; 12] = [
    Metric {
        name: "gatepost_limit",
        kind: Kind::Gauge,
        help: "Permits that may be in use at one time; 0 admits nobody.",
        samples: |status, sink| sink.sample("", "", status.limit),
    },
    Metric {
        name: "gatepost_permits",
        kind: Kind::Gauge,
        help: "Permits by state.",
        samples: |status, sink| {
            sink.sample("", "state=\"used\"", status.used);
            sink.sample("", "state=\"free\"", why::free(status));
        },
    },
    Metric {
        name: "gatepost_waiters",
        kind: Kind::Gauge,
        help: "Acquisitions that wait.",
        samples: |status, sink| sink.sample("", "", status.waiters.len()),
    },
    Metric {
        name: "gatepost_oldest_waiter_seconds",
        kind: Kind::Gauge,
        help: "How long the one that waits longest has waited; 0 if nobody does.",
        samples: |status, sink| {
            let longest = status.waiters.iter().map(|waiter| waiter.waited).max().unwrap_or_default();
            sink.sample("", "", longest.as_secs_f64());
        },
    },
    Metric {
        name: "gatepost_oldest_holder_seconds",
        kind: Kind::Gauge,
        help: "How long the oldest grant has been held; 0 if none is.",
        samples: |status, sink| {
            let longest = status.holders.iter().map(|holder| holder.held).max().unwrap_or_default();
            sink.sample("", "", longest.as_secs_f64());
        },
    },
    Metric {
        name: "gatepost_acquired_total",
        kind: Kind::Counter,
        help: "Grants.",
        samples: |status, sink| sink.sample("", "", status.statistics.acquired),
    },
    Metric {
        name: "gatepost_timeouts_total",
        kind: Kind::Counter,
        help: "Waiters that ran out of time.",
        samples: |status, sink| sink.sample("", "", status.statistics.timeouts),
    },
    Metric {
        name: "gatepost_cancelled_total",
        kind: Kind::Counter,
        help: "Waiters that went away.",
        samples: |status, sink| sink.sample("", "", status.statistics.cancelled),
    },
    Metric {
        name: "gatepost_lost_total",
        kind: Kind::Counter,
        help: "Grants taken from a living holder, by reason.",
        samples: |status, sink| sink.sample("", "why=\"revoked\"", status.statistics.revoked),
    },
    Metric {
        name: "gatepost_reclaimed_total",
        kind: Kind::Counter,
        help: "Grants taken back from the dead.",
        samples: |status, sink| sink.sample("", "", status.statistics.reclaimed),
    },
    Metric {
        name: "gatepost_wait_seconds",
        kind: Kind::Histogram,
        help: "How long grants had to be waited for, those that had to.",
        samples: |status, sink| sink.histogram(&status.statistics.wait),
    },
    Metric {
        name: "gatepost_hold_seconds",
        kind: Kind::Histogram,
        help: "How long grants were held.",
        samples: |status, sink| sink.histogram(&status.statistics.hold),
    },
];

/// Takes the samples of one metric of one semaphore.
struct Sink<'t> {
    text: &'t mut String,
    name: &'static str,
    labels: String,
}

impl Sink<'_> {
    fn sample(&mut self, suffix: &str, label: &str, value: impl std::fmt::Display) {
        let comma = if label.is_empty() { "" } else { "," };
        let _ = writeln!(self.text, "{}{suffix}{{{}{comma}{label}}} {value}", self.name, self.labels);
    }

    fn histogram(&mut self, histogram: &Histogram) {
        let mut sum = 0u64;
        // The last bucket holds whatever is longer, too: its bound is none.
        let bounded = histogram.buckets.len().saturating_sub(1);
        for (k, count) in histogram.buckets.iter().enumerate().take(bounded) {
            sum = sum.wrapping_add(*count);
            let bound = Histogram::bound_ns(k) as f64 / 1e9;
            self.sample("_bucket", &format!("le=\"{bound}\""), sum);
        }
        let count = histogram.count();
        self.sample("_bucket", "le=\"+Inf\"", count);
        self.sample("_sum", "", histogram.sum_ns as f64 / 1e9);
        self.sample("_count", "", count);
    }
}

/// The text for `sights`. What cannot be read has no series, but a comment that says why.
pub(crate) fn text(sights: &[Sight]) -> String {
    let mut text = String::new();
    for Metric { name, kind, help, samples } in METRICS {
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::Histogram => "histogram",
        };
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for sight in sights {
            if let Ok(status) = &sight.seen {
                let labels = format!("sem=\"{}\",scope=\"process\"", escaped(&sight.name));
                samples(status, &mut Sink { text: &mut text, name, labels });
            }
        }
    }
    for sight in sights {
        if let Err(error) = &sight.seen {
            let line = format!("unreadable: {}: {error}", sight.name);
            let _ = writeln!(text, "# {}", line.replace(|c: char| c.is_control(), " "));
        }
    }
    text
}

/// The value of a label.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::super::super::samples;
    use super::*;

    fn sights() -> Vec<Sight> {
        let mut odd = samples::idle();
        odd.name = "a\"b\\c".to_owned();
        let sight = |status: Status| Sight { name: status.name.clone(), path: status.path.clone(), seen: Ok(status) };
        let bad = Sight { name: "bad".into(), path: "/x".into(), seen: Err("no\nsemaphore".to_owned()) };
        vec![bad, sight(samples::build()), sight(odd)]
    }

    #[test]
    fn the_whole_text() {
        samples::is_as_in("metrics.txt", &text(&sights()));
    }

    #[test]
    fn buckets_add_up_and_the_last_is_the_count() {
        let text = text(&sights());
        let of = |name: &str| -> Vec<u64> {
            let lines = text.lines().filter(|line| line.starts_with(name) && line.contains("sem=\"build\""));
            lines.map(|line| line.rsplit_once(' ').expect("a value").1.parse().expect("a count")).collect()
        };
        let buckets = of("gatepost_hold_seconds_bucket");
        assert!(buckets.is_sorted() && buckets.len() == 40, "{buckets:?}");
        assert_eq!(buckets.last(), of("gatepost_hold_seconds_count").first());
    }

    /// Reads the text as strictly as its grammar is, and returns every series with its value.
    fn read(text: &str) -> Vec<(String, f64)> {
        assert!(text.ends_with('\n'));
        let is_name = |name: &str| {
            !name.starts_with(|c: char| c.is_ascii_digit())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        let (mut series, mut seen, mut current) = (Vec::new(), Vec::new(), String::new());
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                current = help.split(' ').next().expect("a name").to_owned();
                assert!(is_name(&current) && !seen.contains(&current), "{line}");
                seen.push(current.clone());
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("a name and a type");
                assert_eq!(name, current);
                assert!(["gauge", "counter", "histogram"].contains(&kind), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            } else if !line.starts_with('#') {
                let (left, value) = line.rsplit_once(' ').expect("a value");
                let (name, labels) = left.strip_suffix('}').and_then(|left| left.split_once('{')).expect("labels");
                let suffix = name.strip_prefix(current.as_str()).expect("a sample stands below its HELP");
                assert!(["", "_bucket", "_sum", "_count"].contains(&suffix), "{line}");
                let mut rest = labels;
                while !rest.is_empty() {
                    let (label, value) = rest.split_once("=\"").expect("a label");
                    assert!(is_name(label.trim_start_matches(',')), "{line}");
                    let unescaped = value.replace("\\\\", "..").replace("\\\"", "..").replace("\\n", "..");
                    rest = &value[unescaped.find('"').expect("the value ends") + 1..];
                }
                series.push((left.to_owned(), value.parse().expect("a number")));
            }
        }
        let mut names: Vec<_> = series.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "no series twice");
        series
    }

    #[test]
    fn the_text_is_well_formed_and_has_as_many_series_for_each() {
        let series = read(&text(&sights()));
        let of = |name: &str| series.iter().filter(|(series, _)| series.contains(name)).count();
        assert_eq!(of("sem=\"build\""), of("sem=\"a\\\"b\\\\c\""));
        assert_eq!(of("scope=\"process\""), series.len());
    }
}
