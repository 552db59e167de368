//! A profile as it was at one moment, with names.

use super::sample::Totals;
use super::store::Recorded;
use super::symbols::Symbols;
use super::{Kind, flamegraph, pprof, text};
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use std::vec::Vec;

/// One function of a stack.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Frame {
    /// The instruction. Functions that were inlined into one another share it.
    pub(super) address: usize,
    pub(super) name: Arc<str>,
    pub(super) file: Option<Arc<str>>,
    pub(super) line: Option<u32>,
}

impl Frame {
    /// The function; its address in the program if it has no name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that it is in, if the program has that in its debug information.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The line of the call.
    pub fn line(&self) -> Option<u32> {
        self.line
    }
}

/// What was recorded at one stack.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub(super) frames: Vec<Frame>,
    pub(super) totals: Totals,
}

impl Record {
    /// The stack, the innermost function first: it begins with the caller of the library.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// How many waits (block profile), or how many waiters that were let go (mutex profile). An estimate if the profile
    /// samples: then it may have a fraction.
    pub fn count(&self) -> f64 {
        self.totals.count
    }

    /// How much waiting: an estimate if the profile samples.
    pub fn total(&self) -> Duration {
        Duration::from_nanos(self.totals.nanos)
    }
}

/// A profile as it was at one moment: [`block::snapshot`](super::block::snapshot),
/// [`mutex::snapshot`](super::mutex::snapshot).
///
/// # Examples
/// ```
/// use gatepost::{Semaphore, profile};
/// use std::time::Duration;
///
/// profile::block::start(1);
/// let before = profile::block::snapshot();
/// let semaphore = Semaphore::new(0);
/// assert!(semaphore.acquire().wait_timeout(Duration::from_millis(2)).is_err());
/// let waited = profile::block::snapshot().since(&before);
/// assert_eq!(waited.count(), 1.0);
/// assert!(waited.total() >= Duration::from_millis(1));
/// profile::block::stop();
/// ```
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(super) kind: Kind,
    /// The most waiting first.
    pub(super) records: Vec<Record>,
    pub(super) overflow: Record,
    pub(super) lost: u64,
    pub(super) rate: u64,
    pub(super) taken: Instant,
    pub(super) wall: SystemTime,
    pub(super) elapsed: Duration,
}

impl Snapshot {
    pub(super) fn new(kind: Kind, rate: u64, recorded: Recorded) -> Self {
        let mut symbols = Symbols::default();
        // Different ways through the library are one stack of the user's.
        let mut merged: HashMap<Vec<Frame>, Totals> = HashMap::with_capacity(recorded.stacks.len());
        for (stack, totals) in recorded.stacks {
            *merged.entry(symbols.frames(&stack)).or_default() += totals;
        }
        let taken = Instant::now();
        let overflow = Frame { address: 0, name: "(stacks that did not fit)".into(), file: None, line: None };
        let mut snapshot = Self {
            kind,
            records: merged.into_iter().map(|(frames, totals)| Record { frames, totals }).collect(),
            overflow: Record { frames: std::vec![overflow], totals: recorded.overflow },
            lost: recorded.lost,
            rate,
            taken,
            wall: SystemTime::now(),
            elapsed: recorded.since.map_or(Duration::ZERO, |since| taken.duration_since(since)),
        };
        snapshot.sort();
        snapshot
    }

    fn sort(&mut self) {
        self.records.sort_by(|a, b| b.totals.nanos.cmp(&a.totals.nanos).then_with(|| a.frames.cmp(&b.frames)));
    }

    /// What was recorded, by stack; the most waiting first.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// What was recorded at stacks for which the profile had no room.
    pub fn overflow(&self) -> &Record {
        &self.overflow
    }

    /// The records, and the overflow if there is any.
    pub(super) fn all(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().chain(Some(&self.overflow).filter(|overflow| overflow.totals != Totals::default()))
    }

    /// How many events were not recorded, since they happened while their thread was recording another: in the allocator,
    /// say.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// All that was recorded, overflow included: how many waits, or waiters.
    pub fn count(&self) -> f64 {
        self.all().fold(0.0, |sum, record| sum + record.totals.count)
    }

    /// All that was recorded, overflow included: how much waiting.
    pub fn total(&self) -> Duration {
        Duration::from_nanos(self.nanos())
    }

    pub(super) fn nanos(&self) -> u64 {
        self.all().fold(0, |sum, record| sum.saturating_add(record.totals.nanos))
    }

    /// For how long it was recorded: since the profile was first started or was reset, or since the earlier snapshot.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// The rate of the block profile, or the fraction of the mutex profile, when the snapshot was taken.
    pub fn rate(&self) -> u64 {
        self.rate
    }

    /// What was recorded after `earlier`, a snapshot of the same profile. (If the profile was reset in between, what it had
    /// before is not subtracted.)
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before: HashMap<&[Frame], Totals> =
            earlier.records.iter().map(|record| (&*record.frames, record.totals)).collect();
        let less = |now: Totals, before: Totals| match now.nanos.checked_sub(before.nanos) {
            Some(nanos) if now.count >= before.count => Totals { count: now.count - before.count, nanos },
            _ => now,
        };
        let mut later = self.clone();
        for record in &mut later.records {
            if let Some(&before) = before.get(&*record.frames) {
                record.totals = less(record.totals, before);
            }
        }
        later.records.retain(|record| record.totals != Totals::default());
        later.overflow.totals = less(later.overflow.totals, earlier.overflow.totals);
        later.lost = later.lost.saturating_sub(earlier.lost);
        later.elapsed = self.taken.saturating_duration_since(earlier.taken);
        later.sort();
        later
    }

    /// Writes the profile for `go tool pprof` and whatever else reads its format: a gzipped protocol buffer with the
    /// sample types `contentions` (count) and `delay` (nanoseconds), as Go's block and mutex profiles have them.
    ///
    /// # Errors
    /// Those of `to`.
    ///
    /// # Examples
    /// ```
    /// let mut file = Vec::new();
    /// gatepost::profile::block::snapshot().write_pprof(&mut file)?;
    /// assert_eq!(file[..2], [0x1f, 0x8b]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn write_pprof(&self, to: impl io::Write) -> io::Result<()> {
        pprof::write(self, to)
    }

    /// Writes a flame graph: one SVG that needs nothing else. Callers are below what they call, and as wide as their
    /// waiting; a pointer that rests on a frame shows its name, delay and number of contentions.
    ///
    /// # Errors
    /// Those of `to`.
    ///
    /// # Examples
    /// ```
    /// let mut svg = Vec::new();
    /// gatepost::profile::mutex::snapshot().write_flamegraph(&mut svg)?;
    /// assert!(svg.starts_with(b"<?xml"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn write_flamegraph(&self, to: impl io::Write) -> io::Result<()> {
        flamegraph::write(self, to)
    }

    /// Writes a table of functions: what was recorded at a function itself (flat: it called the library), and at it or
    /// what it called (cumulative).
    ///
    /// # Errors
    /// Those of `to`.
    ///
    /// # Examples
    /// ```
    /// gatepost::profile::block::snapshot().write_text(std::io::stdout())?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn write_text(&self, to: impl io::Write) -> io::Result<()> {
        text::write(self, to)
    }
}
