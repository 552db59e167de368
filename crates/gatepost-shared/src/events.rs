//! Following a semaphore from outside: its events, and that something has changed.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::file::{Access, Opened, Place, open_existing, reopen};
use crate::futex;
use crate::liveness::fork::Registered;
use crate::map::Map;
use crate::options::Options;
use crate::protocol;
use crate::snapshot::{self, View};
use crate::status::{Event, Status};
use crate::table::{Table, read_event};

/// How often one looks who may not write the file, and so cannot ask to be woken.
const POLL: Duration = Duration::from_millis(200);
/// How often one looks who can: he is woken, unless the one who was to wake him died between leaving the lock and that.
const RECHECK: Duration = Duration::from_secs(1);

/// What is followed: the file, through a session or without one.
#[derive(Debug, Clone)]
enum Source {
    Session(Arc<Table>),
    Observer(Arc<Watched>),
}

#[derive(Debug)]
struct Watched {
    map: Map,
    probe: Registered,
    name: String,
    path: PathBuf,
    is_writable: bool,
}

impl Source {
    fn map(&self) -> &Map {
        match self {
            Self::Session(table) => table.map(),
            Self::Observer(watched) => &watched.map,
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Session(table) => table.name(),
            Self::Observer(watched) => &watched.name,
        }
    }

    fn is_writable(&self) -> bool {
        match self {
            Self::Session(_) => true,
            Self::Observer(watched) => watched.is_writable,
        }
    }

    /// Sleeps until something changes after `unless` was false, or until `deadline`. The last look at `unless`.
    fn sleep_unless(&self, deadline: Option<Instant>, mut unless: impl FnMut() -> bool) -> bool {
        let header = self.map().header();
        loop {
            let seen = protocol::heard(&header.changes);
            if self.is_writable() {
                // Asked for before the look: what the look does not see, wakes us. Once for any number of changes.
                protocol::watch(&header.lock);
            }
            if unless() {
                return true;
            }
            let most = if self.is_writable() { RECHECK } else { POLL };
            let left = deadline.map_or(most, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return false;
            }
            futex::wait(futex::of(&header.changes), seen, left.min(most));
        }
    }
}

/// Looks at a semaphore without being a session of it. The right to read its file is enough.
///
/// ```
/// # fn main() -> Result<(), gatepost_shared::Error> {
/// # let folder = tempfile::tempdir().expect("a folder");
/// # let options = gatepost_shared::Options::new().directory(folder.path());
/// use gatepost_shared::{Observer, Semaphore};
///
/// let build = Semaphore::open("build", &options.clone().limit(8))?;
/// let permit = build.acquire_many(3).label("linking").wait()?;
/// let status = Observer::open("build", &options)?.status()?;
/// assert_eq!((status.used, status.limit, status.holders[0].label.as_str()), (3, 8, "linking"));
/// # drop(permit);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Observer {
    watched: Arc<Watched>,
    /// `seq` at the last look.
    seen: std::sync::atomic::AtomicU32,
}

impl Observer {
    /// Opens the semaphore `name`, which exists.
    ///
    /// # Errors
    ///
    /// Those of [`Semaphore::open`](crate::Semaphore::open), but for those of limits.
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// use gatepost_shared::{Error, Observer};
    ///
    /// assert!(matches!(Observer::open("tests", &options), Err(Error::NotFound { .. })));
    /// assert_eq!(Observer::open("build", &options)?.status()?.sessions.len(), 1, "it is no session itself");
    /// # drop(build);
    /// # Ok(())
    /// # }
    /// ```
    pub fn open(name: &str, options: &Options) -> Result<Self, Error> {
        let place = Place::of(name, options)?;
        let Place { name, path, .. } = &place;
        let not_found = || Error::NotFound { name: name.clone(), path: path.clone() };
        // With the right to write one can ask to be woken; without it one looks now and then.
        let (opened, is_writable) = match open_existing(&place, options, Access::Write) {
            Ok(opened) => (opened, true),
            Err(Error::Io { source, .. }) if is_read_only(&source) => {
                (open_existing(&place, options, Access::Read)?, false)
            }
            Err(Error::Refused { .. } | Error::Format { .. }) => (open_existing(&place, options, Access::Read)?, false),
            Err(error) => return Err(error),
        };
        let Opened { file, fixed } = opened.ok_or_else(not_found)?;
        let access = if is_writable { Access::Write } else { Access::Read };
        let probe = reopen(file.as_fd(), path, access)?;
        let map = Map::new(file.as_fd(), fixed.geometry, is_writable).map_err(|errno| Error::Io {
            what: "map",
            path: path.clone(),
            source: errno.into(),
        })?;
        let watched = Watched { map, probe, name: name.clone(), path: path.clone(), is_writable };
        Ok(Self { watched: Arc::new(watched), seen: 0.into() })
    }

    /// All that there is to see.
    ///
    /// # Errors
    ///
    /// [`Error::Forked`].
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// let status = gatepost_shared::Observer::open("build", &options)?.status()?;
    /// assert_eq!((status.used, status.limit), (0, 8));
    /// # drop(build);
    /// # Ok(())
    /// # }
    /// ```
    pub fn status(&self) -> Result<Status, Error> {
        let Watched { map, probe, name, path, .. } = &*self.watched;
        if !probe.mark().is_of_this_process() {
            return Err(Error::Forked { name: name.clone() });
        }
        // ORDERING: Acquire: as in `snapshot`; a change after this is seen, or is seen to have happened.
        self.seen.store(map.header().seq.load(Acquire), Relaxed);
        Ok(snapshot::status(&View { map, probe: probe.as_fd(), name, path }))
    }

    /// What was done by force, from the oldest event that the file still has.
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// build.pause()?;
    /// let observer = gatepost_shared::Observer::open("build", &options)?;
    /// assert_eq!(observer.events().count(), 2); // created, paused
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn events(&self) -> Events {
        Events::new(Source::Observer(Arc::clone(&self.watched)))
    }

    /// Blocks until something has changed since the last [`status`](Self::status), or until `time` is over; true: changed.
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// let observer = gatepost_shared::Observer::open("build", &options)?;
    /// observer.status()?;
    /// let permit = build.acquire().wait()?;
    /// assert!(observer.wait_change(std::time::Duration::from_secs(1)));
    /// # drop(permit);
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait_change(&self, time: Duration) -> bool {
        let source = Source::Observer(Arc::clone(&self.watched));
        let seq = &self.watched.map.header().seq;
        let seen = self.seen.load(Relaxed);
        // ORDERING: Acquire: as in `snapshot`.
        source.sleep_unless(Instant::now().checked_add(time), || seq.load(Acquire) != seen)
    }
}

fn is_read_only(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem)
}

/// Events from a number on: `next` gives those that are there, [`wait`](Self::wait) blocks for more. The file keeps the last 512.
///
/// ```
/// # fn main() -> Result<(), gatepost_shared::Error> {
/// # let folder = tempfile::tempdir().expect("a folder");
/// # let options = gatepost_shared::Options::new().directory(folder.path());
/// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
/// build.resize(4)?;
/// let mut events = build.events();
/// assert_eq!(events.next().map(|event| event.number), Some(0));
/// assert_eq!(events.next().map(|event| event.permits), Some(4));
/// assert_eq!(events.next(), None, "so far");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Events {
    source: Source,
    next: u64,
}

impl Events {
    fn new(source: Source) -> Self {
        let header = source.map().header();
        // ORDERING: Acquire pairs with the Release of an event's number.
        let next = header.next_event.load(Acquire).saturating_sub(source.map().geometry().events.into());
        Self { source, next }
    }

    pub(crate) fn of_session(table: Arc<Table>) -> Self {
        Self::new(Source::Session(table))
    }

    /// Starts at this number instead of at the oldest that is kept.
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// build.resize(4)?;
    /// assert_eq!(build.events().since(1).count(), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn since(mut self, number: u64) -> Self {
        self.next = self.next.max(number);
        self
    }

    /// Blocks until there is an event, or until `time` is over.
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// let mut events = build.events().since(1);
    /// assert_eq!(events.wait(std::time::Duration::from_millis(1)), None);
    /// build.pause()?;
    /// assert!(events.wait(std::time::Duration::from_secs(1)).is_some());
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait(&mut self, time: Duration) -> Option<Event> {
        let source = self.source.clone();
        let mut found = None;
        source.sleep_unless(Instant::now().checked_add(time), || {
            found = self.next();
            found.is_some()
        });
        found
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        let map = self.source.map();
        // ORDERING: Acquire pairs with the Release of an event's number.
        let end = map.header().next_event.load(Acquire);
        // What the ring has no more is skipped; the numbers tell the reader.
        self.next = self.next.max(end.saturating_sub(map.geometry().events.into()));
        while self.next < end {
            let event = read_event(map, self.source.name(), self.next);
            self.next += 1;
            if event.is_some() {
                return event;
            }
        }
        None
    }
}
