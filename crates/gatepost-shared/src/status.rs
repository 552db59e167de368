//! What can be seen of a semaphore: typed, and as JSON with a stated schema.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize, Serializer};

/// The name of the form of every JSON object that comes from here.
pub const SCHEMA: &str = "gatepost/1";

/// The identity of a permit: the semaphore's own number for it, never used again.
///
/// ```
/// use gatepost_shared::PermitId;
///
/// let id: PermitId = "17".parse().expect("a number");
/// assert_eq!((id, id.to_string().as_str()), (PermitId::from(17), "17"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PermitId(pub(crate) u64);

impl PermitId {
    /// The number.
    ///
    /// ```
    /// assert_eq!(gatepost_shared::PermitId::from(17).get(), 17);
    /// ```
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

impl From<u64> for PermitId {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

impl FromStr for PermitId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl fmt::Display for PermitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A moment: for people as the wall clock had it, to compute with as the time since the machine started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// As the wall clock stands now: a clock that was set since moves all moments with it.
    #[serde(with = "rfc3339")]
    pub at: SystemTime,
    /// Nanoseconds of `CLOCK_BOOTTIME`, which counts through suspension and which nobody sets.
    pub boot_ns: u64,
}

mod rfc3339 {
    use std::time::SystemTime;

    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_rfc3339_micros(*at))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_rfc3339(&text).map_err(D::Error::custom)
    }
}

/// All that there is to see of a semaphore at one moment.
///
/// ```
/// # fn main() -> Result<(), gatepost_shared::Error> {
/// # let folder = tempfile::tempdir().expect("a folder");
/// # let options = gatepost_shared::Options::new().directory(folder.path());
/// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
/// let json = serde_json::to_value(build.status()?).expect("JSON");
/// assert_eq!((&json["schema"], &json["limit"]), (&"gatepost/1".into(), &8.into()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Status {
    /// [`SCHEMA`].
    pub schema: String,
    /// The name.
    pub name: String,
    /// The file. In JSON, what is no Unicode is U+FFFD.
    #[serde(serialize_with = "as_text")]
    pub path: PathBuf,
    /// When this was seen.
    pub now: Moment,
    /// Permits that may be in use at one time; 0 admits nobody until it is raised.
    pub limit: u32,
    /// Permits in use. More than `limit` only after a limit was lowered.
    pub used: u32,
    /// Whether it admits nobody, whatever the limit, until it is resumed.
    pub paused: bool,
    /// In which order waiters are served.
    pub policy: Policy,
    /// Whether each permit has a slot of its own, with an epoch.
    pub slots: bool,
    /// What the file has room for.
    pub capacity: Capacity,
    /// Who holds permits, the oldest first.
    pub holders: Vec<Holder>,
    /// Who waits, the first in line first.
    pub waiters: Vec<Waiter>,
    /// Processes that have it open, the dead ones that nobody has cleared yet included.
    pub sessions: Vec<Session>,
    /// The session in the critical section, if one was there during the whole look; one that stays there is stopped or dead.
    pub locked_by: Option<Session>,
    /// What has happened since the file was created.
    pub statistics: Statistics,
    /// Why nobody is admitted until it is repaired, if so.
    pub damage: Option<String>,
}

/// In which order waiters are served.
///
/// ```
/// use gatepost_shared::Policy;
///
/// assert_eq!(Policy::default(), Policy::Fifo);
/// assert_eq!(Policy::Overtaking.to_string(), "overtaking");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Policy {
    /// Strictly as they came: a large request at the head makes the others wait.
    #[default]
    Fifo,
    /// As they came, but while the head does not fit, later ones that do may pass it, at most 16 times.
    Overtaking,
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fifo => "fifo",
            Self::Overtaking => "overtaking",
        })
    }
}

/// What the file has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Capacity {
    /// The greatest limit.
    pub limit: u32,
    /// Processes that have it open.
    pub sessions: u32,
    /// Grants held at one time.
    pub grants: u32,
    /// Waiters at one time.
    pub waiters: u32,
}

/// One grant: some permits, taken together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Holder {
    /// Its identity.
    pub id: PermitId,
    /// How many permits.
    pub permits: u32,
    /// Which ones, where permits have slots.
    pub slots: Vec<Slot>,
    /// What its owner calls it; `run` gives the command.
    pub label: String,
    /// Since when.
    pub since: Moment,
    /// For how long.
    #[serde(with = "nanoseconds", rename = "held_ns")]
    pub held: Duration,
    /// The process that took it.
    pub session: Session,
    /// The process that keeps it when the session ends: the command of `run`, or a script.
    pub keep: Option<Process>,
    /// When it ends by itself once its session is gone.
    pub expires: Option<Moment>,
    /// Why it is held.
    pub state: HolderState,
}

/// Why a grant is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum HolderState {
    /// Its session lives.
    Alive,
    /// Its session is gone, and the process that keeps it lives.
    Kept,
    /// Its session is gone, and whether the process that keeps it lives cannot be seen from here (another PID namespace).
    Unknown,
    /// Its session is gone, and its time has not run out.
    Leased,
    /// Nobody holds it any more: the next one who needs it takes it back.
    Dead,
}

/// One in the queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Waiter {
    /// Its place in the order of arrival: a number that grows with each acquisition, not a position.
    pub ticket: u64,
    /// How many permits it asks for.
    pub permits: u32,
    /// What its owner calls it.
    pub label: String,
    /// Since when.
    pub since: Moment,
    /// For how long.
    #[serde(with = "nanoseconds", rename = "waited_ns")]
    pub waited: Duration,
    /// The process that waits.
    pub session: Session,
}

/// One permit's number, from 0 to the limit less one, and how often that number has been given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Slot {
    /// The number: no two permits in use at one time have the same.
    pub index: u32,
    /// Grows with each grant of this number: a resource that keeps the highest one it saw refuses a late holder.
    pub epoch: u64,
}

/// A process that has the semaphore open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Session {
    /// Its number in the file.
    pub index: u32,
    /// How often that number has been used.
    pub generation: u32,
    /// The process, as it said itself.
    pub process: Process,
    /// Its user.
    pub uid: u32,
    /// Its name.
    pub name: String,
    /// Whether it lives, as the kernel says.
    pub alive: bool,
}

/// A process, named so that no other one can be mistaken for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Process {
    /// Its number, in its own namespace.
    pub pid: u32,
    /// When it started, in clock ticks since the machine did; 0 if the system did not say.
    pub start: u64,
    /// Which PID namespace it is in; 0 if the system did not say.
    pub namespace: u64,
}

/// What has happened since the file was created.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Statistics {
    /// Grants.
    pub acquired: u64,
    /// Grants given back by their owner.
    pub released: u64,
    /// Grants that had to wait.
    pub waited: u64,
    /// Waiters that ran out of time.
    pub timeouts: u64,
    /// Waiters that went away.
    pub cancelled: u64,
    /// Grants taken back from the dead.
    pub reclaimed: u64,
    /// Grants taken back by force.
    pub revoked: u64,
    /// Critical sections taken over from a dead owner.
    pub takeovers: u64,
    /// How long waiters that were granted waited.
    pub wait: Histogram,
    /// How long grants were held.
    pub hold: Histogram,
}

/// Durations, in buckets of powers of two.
///
/// ```
/// # fn main() -> Result<(), gatepost_shared::Error> {
/// # let folder = tempfile::tempdir().expect("a folder");
/// # let options = gatepost_shared::Options::new().directory(folder.path());
/// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
/// for _ in 0..10 {
///     drop(build.acquire().wait()?);
/// }
/// let held = build.status()?.statistics.hold;
/// assert_eq!(held.count(), 10);
/// println!("nine of ten were held for less than {:?}", held.quantile(0.9));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Histogram {
    /// Bucket `k` counts durations of less than 2^(k + 10) ns and not less than half of that (the first: any less).
    pub buckets: Vec<u64>,
    /// The sum of all.
    pub sum_ns: u64,
}

impl Histogram {
    /// The upper bound of bucket `k`, in nanoseconds.
    ///
    /// ```
    /// assert_eq!(gatepost_shared::Histogram::bound_ns(0), 1024);
    /// ```
    #[must_use]
    pub fn bound_ns(k: usize) -> u64 {
        1 << k.saturating_add(10).min(63)
    }

    /// How many durations there are.
    ///
    /// ```
    /// use gatepost_shared::Histogram;
    ///
    /// assert_eq!(Histogram { buckets: vec![3, 1], sum_ns: 4000 }.count(), 4);
    /// ```
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, count| sum.wrapping_add(*count))
    }

    /// An upper bound of the duration that the share `q` (0 to 1) of all does not exceed; nothing without durations.
    ///
    /// ```
    /// use std::time::Duration;
    /// use gatepost_shared::Histogram;
    ///
    /// let held = Histogram { buckets: vec![3, 1], sum_ns: 4000 };
    /// assert_eq!(held.quantile(0.5), Some(Duration::from_nanos(1024)));
    /// assert_eq!(held.quantile(1.0), Some(Duration::from_nanos(2048)));
    /// assert_eq!(Histogram::default().quantile(0.5), None);
    /// ```
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let count = self.count();
        let rank = (q.clamp(0.0, 1.0) * count as f64).ceil().max(1.0) as u64;
        let mut seen = 0u64;
        self.buckets.iter().enumerate().find_map(|(k, bucket)| {
            seen = seen.saturating_add(*bucket);
            (count > 0 && seen >= rank).then(|| Duration::from_nanos(Self::bound_ns(k)))
        })
    }
}

/// Any path can be told: one that is no Unicode is no reason to tell nothing.
fn as_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

mod nanoseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_nanos)
    }
}

/// One thing that was done by force, or that a person may want to know afterwards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// [`SCHEMA`].
    pub schema: String,
    /// The name of the semaphore.
    pub semaphore: String,
    /// Its number: they have no gaps, so a reader knows what it missed.
    pub number: u64,
    /// When.
    pub when: Moment,
    /// What.
    pub kind: EventKind,
    /// The permit concerned.
    pub permit: Option<PermitId>,
    /// Its number of permits, or the new limit.
    pub permits: u32,
    /// The process that did it.
    pub by: Process,
    /// The process that it was done to.
    pub to: Option<Process>,
    /// Why, in words.
    pub why: String,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EventKind {
    /// The file was created.
    Created,
    /// The machine has started since the file was last used: all that was held is free.
    Rebooted,
    /// A dead process's grant was taken back.
    Reclaimed,
    /// A dead process's place in the queue was taken away.
    Abandoned,
    /// A grant was taken back by force.
    Revoked,
    /// The limit was changed.
    Resized,
    /// Nobody is admitted any more.
    Paused,
    /// Waiters are admitted again.
    Resumed,
    /// A process died in the critical section, and another one finished what it had begun.
    TakenOver,
    /// A broken invariant was found: nobody is admitted.
    Poisoned,
    /// The file was repaired.
    Repaired,
    /// A waiter was sent away, since it asks for more than the new limit.
    Refused,
    /// A grant that outlived its session, as it was meant to, has ended: the process that kept it has, or its time is over.
    Ended,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bucket_that_one_can_ask_for_has_a_bound() {
        assert_eq!([0, 1, 31].map(Histogram::bound_ns), [1 << 10, 1 << 11, 1 << 41]);
        assert_eq!([53, 54, usize::MAX].map(Histogram::bound_ns), [1 << 63; 3]);
    }

    #[test]
    fn a_quantile_is_a_bound_of_its_bucket_whatever_is_counted() {
        let histogram = |buckets: &[u64]| Histogram { buckets: buckets.to_vec(), sum_ns: 0 };
        assert_eq!(histogram(&[]).quantile(0.5), None);
        assert_eq!(histogram(&[9, 1]).quantile(0.9), Some(Duration::from_nanos(1 << 10)));
        assert_eq!(histogram(&[9, 1]).quantile(1.0), Some(Duration::from_nanos(1 << 11)));
        for q in [f64::NAN, -1.0, 2.0, f64::INFINITY] {
            assert!(histogram(&[u64::MAX, u64::MAX, 7]).quantile(q).is_some());
        }
    }
}
