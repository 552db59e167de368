//! A profile as a table of functions.

use super::sample::Totals;
use super::snapshot::Snapshot;
use std::collections::{HashMap, HashSet};
use std::format;
use std::io::{self, Write};
use std::string::String;
use std::vec::Vec;

/// A function's part.
#[derive(Clone, Copy, Default)]
struct Part {
    flat: Totals,
    cumulative: Totals,
}

/// See [`Snapshot::write_text`].
pub(super) fn write(snapshot: &Snapshot, mut to: impl Write) -> io::Result<()> {
    let mut parts: HashMap<&str, Part> = HashMap::new();
    for record in snapshot.all() {
        if let Some(first) = record.frames.first() {
            parts.entry(first.name()).or_default().flat += record.totals;
        }
        // A function that is there twice is counted once.
        for name in record.frames.iter().map(|frame| frame.name()).collect::<HashSet<_>>() {
            parts.entry(name).or_default().cumulative += record.totals;
        }
    }
    let mut parts: Vec<_> = parts.into_iter().collect();
    let rank = |part: &Part| (part.flat.nanos, part.cumulative.nanos);
    parts.sort_by(|(a, this), (b, other)| rank(other).cmp(&rank(this)).then_with(|| a.cmp(b)));

    let all = snapshot.nanos();
    writeln!(
        to,
        "{} profile: {} in {} contentions at {} stacks, within {} ({})",
        snapshot.kind.name(),
        delay(all),
        count(snapshot.count()),
        snapshot.records.len(),
        delay(u64::try_from(snapshot.elapsed.as_nanos()).unwrap_or(u64::MAX)),
        snapshot.setting(),
    )?;
    if snapshot.overflow.totals != Totals::default() {
        let Totals { count: n, nanos } = snapshot.overflow.totals;
        writeln!(to, "stacks that did not fit: {} in {} contentions", delay(nanos), count(n))?;
    }
    if snapshot.lost > 0 {
        writeln!(to, "lost: {} events that came while another was recorded", snapshot.lost)?;
    }
    writeln!(to, "{:>9} {:>6} {:>9} {:>6} {:>11}  function", "flat", "flat%", "cum", "cum%", "contentions")?;
    for (name, Part { flat, cumulative }) in parts {
        writeln!(
            to,
            "{:>9} {:>6} {:>9} {:>6} {:>11}  {name}",
            delay(flat.nanos),
            percent(flat.nanos, all),
            delay(cumulative.nanos),
            percent(cumulative.nanos, all),
            count(cumulative.count),
        )?;
    }
    to.flush()
}

/// A number of nanoseconds with a unit and three or four digits.
#[allow(clippy::cast_precision_loss)]
pub(super) fn delay(nanos: u64) -> String {
    let value = nanos as f64;
    match nanos {
        0 => "0".into(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{:.2}us", value / 1e3),
        1_000_000..1_000_000_000 => format!("{:.2}ms", value / 1e6),
        1_000_000_000..3_600_000_000_000 => format!("{:.2}s", value / 1e9),
        _ => format!("{:.2}h", value / 3.6e12),
    }
}

#[allow(clippy::cast_precision_loss)]
pub(super) fn percent(part: u64, of: u64) -> String {
    format!("{:.1}%", if of == 0 { 0.0 } else { part as f64 * 100.0 / of as f64 })
}

/// A number of contentions, which is an estimate where the profile samples.
pub(super) fn count(count: f64) -> String {
    if count.fract() == 0.0 { format!("{count:.0}") } else { format!("{count:.1}") }
}
