//! A trace as text.

use super::lanes::{Doing, Segment};
use super::plan::ThreadId;
use super::trace::{On, Trace};
use core::fmt;
use std::io;
use std::string::String;

/// Columns of a lane.
const COLUMNS: u64 = 80;

/// So many nanoseconds, in the unit that suits them.
pub(super) struct Nanoseconds(pub(super) u64);

impl fmt::Display for Nanoseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, name) = match self.0 {
            0..1_000 => (1, "ns"),
            1_000..1_000_000 => (1_000, "µs"),
            1_000_000..1_000_000_000 => (1_000_000, "ms"),
            _ => (1_000_000_000, "s"),
        };
        let (whole, thousandths) = (self.0 / unit, self.0 % unit * 1_000 / unit);
        let said = match thousandths {
            0 => format!("{whole} {name}"),
            _ => {
                let digits = format!("{thousandths:03}");
                format!("{whole}.{} {name}", digits.trim_end_matches('0'))
            }
        };
        f.pad(&said)
    }
}

impl Segment {
    fn letter(&self) -> char {
        match self.doing {
            Doing::Runs { .. } if self.boosted() => '^',
            Doing::Runs { .. } => '#',
            Doing::Ready => '.',
            Doing::Blocked(On::Sleep) => ' ',
            Doing::Blocked(On::Mutex(_)) => 'x',
            Doing::Blocked(_) => '-',
            Doing::Stopped => 's',
        }
    }
}

impl Trace {
    /// Writes a lane for each thread, a column for each span of time, and the marks below. A column has the letter of what the thread did
    /// for the longest time in it.
    ///
    /// # Errors
    /// Those of `to`.
    pub fn write_timeline(&self, to: &mut impl io::Write) -> io::Result<()> {
        let name = |lane: &super::trace::Lane| format!("{} ({})", lane.name, lane.weight);
        let names: Vec<String> = self.lanes.iter().map(name).collect();
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let column = self.end().div_ceil(COLUMNS).max(1);
        for (index, name) in names.iter().enumerate() {
            let segments = self.segments(ThreadId(index));
            let longest = |from: u64| {
                let within = |segment: &Segment| segment.to.min(from + column).saturating_sub(segment.from.max(from));
                let best = segments.iter().max_by_key(|segment| within(segment));
                best.filter(|best| within(best) > 0).map_or(' ', Segment::letter)
            };
            let lane: String = (0..self.end().div_ceil(column)).map(|at| longest(at * column)).collect();
            writeln!(to, "{name:width$} |{lane}|")?;
        }
        let end = format!("{}", Nanoseconds(self.end()));
        let columns = usize::try_from(self.end().div_ceil(column)).unwrap_or(0);
        writeln!(to, "{:width$} 0{end:>columns$}", "")?;
        writeln!(to, "{:width$} # runs  ^ runs, boosted  . ready  x waits for a mutex  - waits otherwise", "")?;
        for (at, thread, label) in self.marks() {
            writeln!(to, "{:>width$} * {:>10} {label}", self.lanes[thread.0].name, Nanoseconds(at))?;
        }
        Ok(())
    }
}
