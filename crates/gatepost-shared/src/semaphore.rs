//! The semaphore, as its users have it.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use crate::clock;
use crate::error::Error;
use crate::events::Events;
use crate::file::{self, Access, Opened, examine, reopen};
use crate::options::Options;
use crate::permit::{Permit, Released};
use crate::session::{Purpose, Session};
use crate::snapshot;
use crate::status::{PermitId, Status};
use crate::wait::Acquire;

/// What one without a name is called.
pub(crate) const ANONYMOUS: &str = "anonymous";

/// A semaphore that every process of the machine can open by its name.
///
/// A value is a *session*: while its process lives, what it holds is held; when the process ends, however it ends, that comes
/// back. Clones are the same session, for other threads and tasks.
///
/// *Errors of all operations.* [`Error::Poisoned`] if the file is damaged, [`Error::Forked`] in a child of the process that opened
/// it, [`Error::SessionLost`] if something has closed its descriptors.
///
/// *Memory ordering.* What a holder did before it gave permits back happens before what the next holder of those permits does.
///
/// *Cost.* Free permits: a critical section to take them and one to give them back, each a CAS, a few stores to shared memory
/// and a CAS, and no system call. An `open` takes a dozen system calls, and one for each session before it.
///
/// ```
/// # fn main() -> Result<(), gatepost_shared::Error> {
/// # let folder = tempfile::tempdir().expect("a folder");
/// # let options = gatepost_shared::Options::new().directory(folder.path());
/// use gatepost_shared::Semaphore;
///
/// let build = Semaphore::open("build", &options.clone().limit(8))?;
/// let same = Semaphore::open("build", &options)?; // in another process, perhaps
/// let permit = build.acquire_many(8).wait()?;
/// assert!(same.try_acquire().is_err());
/// drop(permit);
/// assert!(same.try_acquire().is_ok());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Semaphore {
    session: Arc<Session>,
}

impl Semaphore {
    /// Opens the semaphore `name`, or creates it: see [`Options`]. A name with a slash in it is the path of a file.
    ///
    /// # Errors
    ///
    /// [`Error::Name`], [`Error::NotFound`], [`Error::LimitDiffers`], [`Error::Capacity`], [`Error::SessionsFull`],
    /// [`Error::Format`], [`Error::Refused`], [`Error::FileSystem`], [`Error::Io`].
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// use gatepost_shared::{Error, Semaphore};
    ///
    /// let build = Semaphore::open("build", &options.clone().limit(8))?;
    /// let other = Semaphore::open("build", &options.clone().limit(4));
    /// assert!(matches!(other, Err(Error::LimitDiffers { asked: 4, there: 8, .. })));
    /// # drop(build);
    /// # Ok(())
    /// # }
    /// ```
    pub fn open(name: &str, options: &Options) -> Result<Self, Error> {
        Session::open(name, options, Purpose::Use).map(Self::of)
    }

    /// Creates one without a name, for child processes that get its descriptor ([`as_fd`](AsFd::as_fd)).
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open); [`Error::NotFound`] without a limit.
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// use gatepost_shared::{Options, Semaphore};
    ///
    /// let workers = Semaphore::anonymous(&Options::new().limit(4))?;
    /// assert_eq!(workers.limit(), 4);
    /// # Ok(())
    /// # }
    /// ```
    pub fn anonymous(options: &Options) -> Result<Self, Error> {
        let name = ANONYMOUS.to_owned();
        let limit = options.limit.ok_or_else(|| Error::NotFound { name, path: ANONYMOUS.into() })?;
        Self::from_fd(file::create_anonymous(options, limit)?, options)
    }

    /// Opens the semaphore behind a descriptor that another process passed on. The session has descriptions of its own: `fd` is
    /// closed.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// use std::os::fd::AsFd;
    /// use gatepost_shared::{Options, Semaphore};
    ///
    /// let workers = Semaphore::anonymous(&Options::new().limit(4))?;
    /// let passed_on = workers.as_fd().try_clone_to_owned().expect("a descriptor is free");
    /// let same = Semaphore::from_fd(passed_on, &Options::new())?;
    /// let permit = same.acquire_many(4).wait()?;
    /// assert!(workers.try_acquire().is_err());
    /// # drop(permit);
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_fd(fd: OwnedFd, options: &Options) -> Result<Self, Error> {
        let path = Path::new(ANONYMOUS);
        let fixed = examine(fd.as_fd(), path, options, Access::Write)?;
        let file = reopen(fd.as_fd(), path, Access::Write)?;
        let session = Session::attach(Opened { file, fixed }, ANONYMOUS, path, options, Purpose::Use)?;
        session.map(Self::of).ok_or_else(|| Error::NotFound { name: ANONYMOUS.to_owned(), path: path.to_owned() })
    }

    fn of(session: Session) -> Self {
        Self { session: Arc::new(session) }
    }

    /// The file, for tests.
    #[cfg(test)]
    pub(crate) fn table(&self) -> &Arc<crate::table::Table> {
        &self.session.table
    }

    /// The name.
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// assert_eq!(build.name(), "build");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn name(&self) -> &str {
        self.session.table.name()
    }

    /// The file.
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// assert!(build.path().ends_with("build.gate"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn path(&self) -> &Path {
        self.session.table.path()
    }

    /// The limit, at this moment.
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// build.resize(3)?;
    /// assert_eq!(build.limit(), 3);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.session.table.config().limit()
    }

    /// Takes a permit; see [`Acquire`].
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// let permit = build.acquire().label("cargo test").wait()?;
    /// assert_eq!(permit.permits(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn acquire(&self) -> Acquire {
        self.acquire_many(1)
    }

    /// Takes `n` permits at once; see [`Acquire`].
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// let permit = build.acquire_many(5).wait()?;
    /// assert_eq!(permit.permits(), 5);
    /// # Ok(())
    /// # }
    /// ```
    pub fn acquire_many(&self, n: u32) -> Acquire {
        Acquire::new(Arc::clone(&self.session), n)
    }

    /// Takes a permit, if one is free and nobody waits.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_many`](Self::try_acquire_many).
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// let permits: Vec<_> = (0..8).map(|_| build.try_acquire()).collect::<Result<_, _>>()?;
    /// assert!(build.try_acquire().is_err());
    /// # drop(permits);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_acquire(&self) -> Result<Permit, Error> {
        self.try_acquire_many(1)
    }

    /// Takes `n` permits at once, if they are free and nobody waits. It says that they are not only after it has taken back what
    /// the dead hold.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`], [`Error::Zero`], [`Error::ExceedsLimit`], [`Error::GrantsFull`].
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// use gatepost_shared::Error;
    ///
    /// let permit = build.try_acquire_many(6)?;
    /// assert!(matches!(build.try_acquire_many(3), Err(Error::Busy { used: 6, limit: 8, .. })));
    /// # drop(permit);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_acquire_many(&self, n: u32) -> Result<Permit, Error> {
        if n == 0 {
            return Err(Error::Zero);
        }
        let table = &self.session.table;
        let now = clock::boot_ns_by_ticks();
        let attempt = || table.section(|section| section.try_acquire(n, "", now));
        let mut grant = attempt()?;
        if grant.is_none() && table.reap()? > 0 {
            grant = attempt()?;
        }
        match grant {
            Some(grant) => Ok(Permit::new(Arc::clone(&self.session), grant)),
            None => Err(table.busy()),
        }
    }

    /// Changes the limit for everybody. Whoever holds permits keeps them; waiters that ask for more than the new limit are sent
    /// away, unless it is 0, which admits nobody and sends nobody away.
    ///
    /// # Errors
    ///
    /// [`Error::Capacity`].
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// let permit = build.acquire_many(8).wait()?;
    /// build.resize(2)?; // takes nothing from who holds it
    /// assert!(permit.is_held());
    /// drop(permit);
    /// assert!(build.try_acquire_many(3).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn resize(&self, limit: u32) -> Result<(), Error> {
        self.session.resize(limit)
    }

    /// Admits nobody any more: the limit becomes 0. Whoever holds permits keeps them.
    ///
    /// # Errors
    ///
    /// Those of all operations.
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// build.drain()?;
    /// assert!(build.try_acquire().is_err());
    /// build.resize(8)?;
    /// assert!(build.try_acquire().is_ok());
    /// # Ok(())
    /// # }
    /// ```
    pub fn drain(&self) -> Result<(), Error> {
        self.resize(0)
    }

    /// Admits nobody until [`resume`](Self::resume), and remembers the limit.
    ///
    /// # Errors
    ///
    /// Those of all operations.
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// build.pause()?;
    /// assert!(build.try_acquire().is_err());
    /// assert_eq!(build.limit(), 8);
    /// # Ok(())
    /// # }
    /// ```
    pub fn pause(&self) -> Result<(), Error> {
        self.set_paused(true)
    }

    /// Admits waiters again.
    ///
    /// # Errors
    ///
    /// Those of all operations.
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// build.pause()?;
    /// build.resume()?;
    /// assert!(build.try_acquire().is_ok());
    /// # Ok(())
    /// # }
    /// ```
    pub fn resume(&self) -> Result<(), Error> {
        self.set_paused(false)
    }

    fn set_paused(&self, paused: bool) -> Result<(), Error> {
        self.session.table.section(|section| {
            section.pause(paused);
            Ok(())
        })
    }

    /// Gives back a permit by its identity, whoever took it.
    ///
    /// # Errors
    ///
    /// Those of all operations.
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// use gatepost_shared::Released;
    ///
    /// let id = build.acquire().wait()?.leave(); // held while this process lives
    /// assert_eq!(build.release(id)?, Released::Yes);
    /// assert_eq!(build.release(id)?, Released::WasGone);
    /// # Ok(())
    /// # }
    /// ```
    pub fn release(&self, id: PermitId) -> Result<Released, Error> {
        self.session.table.section(|section| Ok(section.end(id.0, None))).map(Released::from)
    }

    /// Takes a permit away from whoever holds it, who is told ([`Permit::lost`]); it is written down, with `why`.
    ///
    /// # Errors
    ///
    /// Those of all operations.
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// let permit = build.acquire().wait()?;
    /// build.revoke(permit.id(), "it took too long")?;
    /// assert!(!permit.is_held());
    /// assert_eq!(build.events().last().map(|event| event.why), Some("it took too long".to_owned()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn revoke(&self, id: PermitId, why: &str) -> Result<Released, Error> {
        self.session.table.section(|section| Ok(section.end(id.0, Some(why)))).map(Released::from)
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
    /// let permit = build.acquire_many(3).label("linking").wait()?;
    /// let status = build.status()?;
    /// assert_eq!((status.used, status.limit), (3, 8));
    /// assert_eq!(status.holders[0].label, "linking");
    /// # drop(permit);
    /// # Ok(())
    /// # }
    /// ```
    pub fn status(&self) -> Result<Status, Error> {
        let table = &self.session.table;
        table.check_process()?;
        Ok(snapshot::status(&snapshot::View::of(table)))
    }

    /// What was done by force, from the oldest event that the file still has.
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// use gatepost_shared::EventKind;
    ///
    /// build.resize(4)?;
    /// let kinds: Vec<_> = build.events().map(|event| event.kind).collect();
    /// assert_eq!(kinds, [EventKind::Created, EventKind::Resized]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn events(&self) -> Events {
        Events::of_session(Arc::clone(&self.session.table))
    }

    /// Takes back now what the dead hold, which otherwise the next one does who needs it; how many grants that was.
    ///
    /// # Errors
    ///
    /// Those of all operations.
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// assert_eq!(build.reclaim()?, 0); // nobody has died
    /// # Ok(())
    /// # }
    /// ```
    pub fn reclaim(&self) -> Result<usize, Error> {
        self.session.table.check_process()?;
        self.session.table.reap()
    }

    /// The description whose lock keeps the session alive. A process that is to keep it alive, too, is given a *duplicate*: the
    /// original is closed in a forked child. It is closed on exec unless that flag is taken from it; before an exec with it
    /// call [`stop_helpers`](crate::stop_helpers).
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// // Whoever has this open keeps the session alive, even when this process is gone.
    /// let keeper = build.session_fd().try_clone_to_owned().expect("a descriptor is free");
    /// # drop(keeper);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn session_fd(&self) -> BorrowedFd<'_> {
        self.session.table.descriptions().hold.as_fd()
    }

    /// Number and generation of the session, as in [`Status::sessions`].
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// let (index, generation) = build.session();
    /// let own = &build.status()?.sessions[0];
    /// assert_eq!((own.index, own.generation), (index, generation));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn session(&self) -> (u32, u32) {
        self.session.table.session()
    }
}

impl AsFd for Semaphore {
    /// For [`from_fd`](Self::from_fd) in another process.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.session_fd()
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore").field("name", &self.name()).field("path", &self.path()).finish_non_exhaustive()
    }
}

impl crate::table::Table {
    /// What one can do who got nothing.
    pub(crate) fn hint(&self) -> String {
        let (config, name) = (self.config(), self.name());
        if config.is_paused() {
            format!("it is paused, and admits nobody until it is resumed (`gatepost resume {name}`)")
        } else if config.limit() == 0 {
            format!("it is drained, and admits nobody until its limit is raised (`gatepost resize {name} N`)")
        } else {
            format!("wait, or see who holds them (`gatepost status {name}`)")
        }
    }

    fn busy(&self) -> Error {
        use std::sync::atomic::Ordering::Relaxed;
        Error::Busy {
            name: self.name().to_owned(),
            used: self.header().used.load(Relaxed),
            limit: self.config().limit(),
            waiting: self.header().waiting.load(Relaxed),
            hint: self.hint(),
        }
    }
}
