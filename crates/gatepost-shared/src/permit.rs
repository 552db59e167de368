//! A permit, and its loss.

use std::fmt;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::layout::{NONE, SlotWord, load_text};
use crate::protocol;
use crate::session::Session;
use crate::status::{PermitId, Slot};
use crate::table::{Grant, Table};
use crate::wait::RECHECK;
use crate::{clock, futex, liveness};

/// Whether something that was to be given back was there.
///
/// ```
/// # fn main() -> Result<(), gatepost_shared::Error> {
/// # let folder = tempfile::tempdir().expect("a folder");
/// # let options = gatepost_shared::Options::new().directory(folder.path());
/// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
/// use gatepost_shared::Released;
///
/// let permit = build.acquire().wait()?;
/// assert_eq!(build.release(permit.id())?, Released::Yes);
/// assert_eq!(permit.release(), Released::WasGone);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Released {
    /// It was, and now it is not.
    Yes,
    /// It had been given back, or taken back, before. To say it twice is to say it once.
    WasGone,
}

impl From<bool> for Released {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::WasGone }
    }
}

/// Some permits of a semaphore, taken together. They are given back when it is dropped, or when the process ends, however it ends.
///
/// After a fork the child's copy is nobody's: to drop it does nothing, and everything else is an error or says that nothing is
/// held.
///
/// ```
/// # fn main() -> Result<(), gatepost_shared::Error> {
/// # let folder = tempfile::tempdir().expect("a folder");
/// # let options = gatepost_shared::Options::new().directory(folder.path());
/// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
/// let permit = build.acquire_many(2).wait()?;
/// assert_eq!((permit.permits(), permit.slots()), (2, vec![0, 1]));
/// drop(permit);
/// assert_eq!(build.status()?.used, 0);
/// # Ok(())
/// # }
/// ```
pub struct Permit {
    session: Arc<Session>,
    grant: Grant,
}

impl Permit {
    pub(crate) fn new(session: Arc<Session>, grant: Grant) -> Self {
        Self { session, grant }
    }

    /// Its identity: a number that this semaphore never uses again. With it any process can give it back
    /// ([`Semaphore::release`](crate::Semaphore::release)) or take it away ([`Semaphore::revoke`](crate::Semaphore::revoke)).
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// let permit = build.acquire().wait()?;
    /// assert_eq!(build.status()?.holders[0].id, permit.id());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn id(&self) -> PermitId {
        PermitId(self.grant.serial)
    }

    /// How many permits it is.
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// assert_eq!(build.acquire_many(3).wait()?.permits(), 3);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn permits(&self) -> u32 {
        self.grant.word.permits()
    }

    /// Which of the permits they are, counted from 0: no others in use have these numbers. None where the semaphore has no
    /// slots, or when the permit has been revoked.
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// let (first, second) = (build.acquire().wait()?, build.acquire_many(2).wait()?);
    /// assert_eq!((first.slots(), second.slots()), (vec![0], vec![1, 2]));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn slots(&self) -> Vec<u32> {
        self.numbered().into_iter().map(|slot| slot.index).collect()
    }

    /// For each of the [`slots`](Self::slots), how often it has been given out. A resource that keeps the highest epoch it has
    /// seen of each slot can refuse one whose permit was revoked while it was not looking; one number for all holders could
    /// not, where more than one may be in.
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// assert_eq!(build.acquire().wait()?.epochs(), [1]);
    /// assert_eq!(build.acquire_many(2).wait()?.epochs(), [2, 1]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn epochs(&self) -> Vec<u64> {
        self.numbered().into_iter().map(|slot| slot.epoch).collect()
    }

    /// What it is called in listings; nothing if it is not held.
    #[must_use]
    pub fn label(&self) -> String {
        let row = self.session.table.map().grant(self.grant.index);
        let label = row.map_or_else(String::new, |row| load_text(&row.label));
        if self.is_held() { label } else { String::new() }
    }

    fn numbered(&self) -> Vec<Slot> {
        let slots = slots_of(&self.session.table, self.grant);
        if self.is_held() { slots } else { Vec::new() }
    }

    /// Whether it has not been revoked, nor released by its number. One load.
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// let permit = build.acquire().wait()?;
    /// assert!(permit.is_held());
    /// build.revoke(permit.id(), "an example")?;
    /// assert!(!permit.is_held());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.session.table.check_process().is_ok() && self.session.table.is_held(self.grant)
    }

    /// Completes when it is not held any more.
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// use std::time::Duration;
    ///
    /// let permit = build.acquire().wait()?;
    /// assert!(!permit.lost().wait_timeout(Duration::from_millis(1)));
    /// build.revoke(permit.id(), "an example")?;
    /// assert!(permit.lost().wait_timeout(Duration::from_secs(1)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn lost(&self) -> Lost {
        Lost { session: Arc::clone(&self.session), grant: self.grant, key: None }
    }

    /// From now on the permit outlives this session while process `pid` lives: the command that a wrapper runs. It is the process
    /// that has this number now, in this process's PID namespace; its successor with the same number is another one.
    ///
    /// # Errors
    ///
    /// [`Error::Revoked`] if it is not held; those of [`Semaphore`](crate::Semaphore).
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// let permit = build.acquire().wait()?;
    /// let mut command = std::process::Command::new("true").spawn().expect("to run it");
    /// permit.keep(command.id())?; // killed now, this process would not free it under the command
    /// command.wait().expect("it ends");
    /// drop(permit);
    /// # Ok(())
    /// # }
    /// ```
    pub fn keep(&self, pid: u32) -> Result<(), Error> {
        let process = liveness::of(pid);
        self.on_grant(|section, grant| section.keep(grant, process))
    }

    /// From now on the permit outlives this session for `time` at most. With [`keep`](Self::keep): for that time, and while
    /// that process lives.
    ///
    /// # Errors
    ///
    /// As [`keep`](Self::keep).
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// use std::time::Duration;
    ///
    /// let permit = build.acquire().wait()?;
    /// permit.lease(Duration::from_secs(60))?;
    /// let id = permit.leave(); // a script ends here; whoever knows the number may give it back earlier
    /// build.release(id)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn lease(&self, time: Duration) -> Result<(), Error> {
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let expires = clock::boot_ns().saturating_add(time);
        self.on_grant(|section, grant| section.lease(grant, expires))
    }

    fn on_grant(&self, mut op: impl FnMut(&mut crate::table::Section<'_>, Grant) -> bool) -> Result<(), Error> {
        let done = self.session.table.section(|section| Ok(op(section, self.grant)))?;
        if done { Ok(()) } else { Err(Error::Revoked { id: self.id() }) }
    }

    /// Gives it back, as dropping it does, and says whether it was still held.
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// use gatepost_shared::Released;
    ///
    /// assert_eq!(build.acquire().wait()?.release(), Released::Yes);
    /// # Ok(())
    /// # }
    /// ```
    pub fn release(self) -> Released {
        let mut this = ManuallyDrop::new(self);
        let released = this.give_back();
        this.drop_session();
        released.into()
    }

    /// Ends the value and not the permit, which is held while this session lives, or longer: see [`keep`](Self::keep) and
    /// [`lease`](Self::lease).
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// let id = build.acquire().wait()?.leave();
    /// assert_eq!(build.status()?.holders[0].id, id);
    /// # Ok(())
    /// # }
    /// ```
    pub fn leave(self) -> PermitId {
        let id = self.id();
        ManuallyDrop::new(self).drop_session();
        id
    }

    fn give_back(&self) -> bool {
        let now = clock::boot_ns_by_ticks();
        // A failure - a fork, a lost session - leaves nothing that could be given back.
        self.session.table.give_back(|section| section.release(self.grant, now)).unwrap_or(false)
    }

    /// Drops the session of a value that is not dropped itself.
    fn drop_session(&mut self) {
        // SAFETY: the callers have `self` in a `ManuallyDrop` which they do not use again, so it is dropped once.
        unsafe { ptr::drop_in_place(&raw mut self.session) };
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("semaphore", &self.session.table.name())
            .field("id", &self.id())
            .field("permits", &self.permits())
            .finish_non_exhaustive()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl Table {
    /// Whether a grant is held, without the lock.
    pub(crate) fn is_held(&self, grant: Grant) -> bool {
        self.map().grant(grant.index).is_some_and(|row| {
            // ORDERING: Acquire pairs with the Release of the grant's word: the serial is that of this word, or a later one.
            row.word.load(Acquire) == grant.word.0 && row.serial.load(Relaxed) == grant.serial
        })
    }
}

/// The slots of a grant, by its chain: a cache, so each is checked.
pub(crate) fn slots_of(table: &Table, grant: Grant) -> Vec<Slot> {
    let map = table.map();
    let mut slots = Vec::new();
    let mut index = map.grant(grant.index).map_or(NONE, |row| row.slot.load(Relaxed));
    for _ in 0..grant.word.permits().min(map.geometry().slots) {
        let Some(row) = map.slot(index) else { break };
        let word = SlotWord(row.word.load(Relaxed));
        if word.grant() != Some(grant.index) {
            break;
        }
        slots.push(Slot { index, epoch: word.epoch() });
        index = row.next.load(Relaxed);
    }
    slots
}

/// The loss of a permit: a future, or a thread's wait. Revocation is written into the file; whoever holds a permit must look.
///
/// ```
/// # fn main() -> Result<(), gatepost_shared::Error> {
/// # let folder = tempfile::tempdir().expect("a folder");
/// # let options = gatepost_shared::Options::new().directory(folder.path());
/// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
/// let permit = build.acquire().wait()?;
/// let lost = permit.lost(); // a task writes lost.await
/// build.revoke(permit.id(), "an example")?;
/// futures::executor::block_on(lost);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nobody waits until it is polled or `wait_timeout` is called"]
pub struct Lost {
    session: Arc<Session>,
    grant: Grant,
    key: Option<u64>,
}

impl Lost {
    /// Blocks until the permit is lost: true; or until `time` is over.
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// let permit = build.acquire().wait()?;
    /// assert!(!permit.lost().wait_timeout(std::time::Duration::from_millis(1)), "it is held");
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait_timeout(&self, time: Duration) -> bool {
        let deadline = Instant::now().checked_add(time);
        let table = &self.session.table;
        let Some(row) = table.map().session(table.me()) else { return true };
        loop {
            // The doorbell is rung after the grant has ended.
            let seen = protocol::heard(&row.doorbell);
            if table.check_process().is_err() || !table.is_held(self.grant) {
                return true;
            }
            let left = deadline.map_or(RECHECK, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return false;
            }
            futex::wait(futex::of(&row.doorbell), seen, left.min(RECHECK));
        }
    }
}

impl Future for Lost {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let session = Arc::clone(&self.session);
        let table = &session.table;
        if table.check_process().is_err() || !table.is_held(self.grant) {
            return Poll::Ready(());
        }
        // First the waker, then the word. Without a thread to wake us there is nothing but to look again.
        match session.doorbell.list_loss(table, self.key, self.grant, context.waker()) {
            Ok(key) => self.key = Some(key),
            Err(_) => context.waker().wake_by_ref(),
        }
        if table.is_held(self.grant) { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl Drop for Lost {
    fn drop(&mut self) {
        if let (Some(key), Ok(())) = (self.key, self.session.table.check_process()) {
            self.session.doorbell.forget_loss(key);
        }
    }
}
