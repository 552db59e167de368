//! Who notices a silent death: one thread for the process, while one of its waiters is first in line.
//!
//! It sleeps in epoll on a pidfd of each process whose end would free permits, where the process can be seen, and so notices its
//! death at once. Where it cannot (another PID namespace, a descriptor that others hold open), it asks the kernel for the
//! session's lock, after 50 ms at first and then ever more seldom, up to once a second. Nobody polls who is not first in
//! line, but to see, five times a second, whether that has changed, or whether the first one is dead; and when nobody waits the
//! thread sleeps.
//!
//! W1. The thread of a process that was forked away is not there. So the watcher belongs to a mark, and a child makes its own.
//! W2. What it does - reaping, following a dead owner of the lock - anybody may do at any time. It is only the one who thinks of it.

use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::ptr;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicPtr, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::helpers::at_work;
use crate::Process;
use crate::error::Error;
use crate::layout::{Claim, State};
use crate::liveness::{self, fork::Mark};
use crate::table::{Table, kept_by};

const FIRST_PROBE: Duration = Duration::from_millis(50);
const LAST_PROBE: Duration = Duration::from_secs(1);
/// How often one that is not first in line looks whether it is.
const LOOK: Duration = Duration::from_millis(200);
/// How long it waits for a lock. It is there for other semaphores, too, whose locks are free: see `stuck`.
const PATIENCE: Duration = Duration::from_millis(20);
/// The token of the eventfd.
const CONTROL: u64 = 0;

/// Keeps the table watched while somebody waits.
#[derive(Debug)]
pub(crate) struct Watching {
    watcher: &'static Watcher,
    table: Arc<Table>,
}

#[derive(Debug)]
struct Watcher {
    mark: Mark,
    epoll: OwnedFd,
    control: OwnedFd,
    list: Mutex<List>,
}

#[derive(Debug, Default)]
struct List {
    /// What is watched, and how many wait there.
    tables: Vec<(Arc<Table>, usize)>,
    is_running: bool,
}

/// The watcher of this process. W1: those of its ancestors are left alone.
static WATCHER: AtomicPtr<Watcher> = AtomicPtr::new(ptr::null_mut());

/// Watches `table` until the value is dropped.
pub(crate) fn watch(table: &Arc<Table>) -> Result<Watching, Error> {
    let io = |source| Error::Io { what: "watch those who use", path: table.path().to_owned(), source };
    let watcher = Watcher::of_this_process().map_err(io)?;
    let mut list = watcher.lock();
    if !list.is_running {
        let name = "gatepost-watch".to_owned();
        std::thread::Builder::new().name(name).spawn(move || watcher.run()).map_err(io)?;
        list.is_running = true;
    }
    match list.tables.iter_mut().find(|(other, _)| Arc::ptr_eq(other, table)) {
        Some((_, waiters)) => *waiters += 1,
        None => {
            list.tables.push((Arc::clone(table), 1));
            watcher.call();
        }
    }
    drop(list);
    Ok(Watching { watcher, table: Arc::clone(table) })
}

impl Drop for Watching {
    fn drop(&mut self) {
        if !self.watcher.mark.is_of_this_process() {
            return;
        }
        let mut list = self.watcher.lock();
        let tables = &mut list.tables;
        if let Some(at) = tables.iter().position(|(other, _)| Arc::ptr_eq(other, &self.table)) {
            tables[at].1 -= 1;
            if tables[at].1 == 0 {
                tables.swap_remove(at);
                // The thread lets go of the table, and so of its descriptors.
                self.watcher.call();
            }
        }
    }
}

impl Watcher {
    fn of_this_process() -> std::io::Result<&'static Self> {
        // ORDERING: Acquire pairs with the Release below: the watcher is whole.
        let seen = WATCHER.load(Acquire);
        // SAFETY: a watcher that was stored is never freed.
        let known = unsafe { seen.as_ref() }.filter(|watcher| watcher.mark.is_of_this_process());
        if let Some(watcher) = known {
            return Ok(watcher);
        }
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let control = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &control, EventData::new_u64(CONTROL), EventFlags::IN)?;
        let mark = Mark::of_this_process()?;
        let made = Box::into_raw(Box::new(Self { mark, epoll, control, list: Mutex::default() }));
        // ORDERING: AcqRel: Release for those who load it, Acquire for the one that another thread has stored.
        if let Err(other) = WATCHER.compare_exchange(seen, made, AcqRel, Acquire) {
            // SAFETY: nobody else has seen the one that we made.
            drop(unsafe { Box::from_raw(made) });
            // SAFETY: it is another thread's of this process, and never freed.
            return Ok(unsafe { &*other });
        }
        // SAFETY: it is stored, so never freed.
        Ok(unsafe { &*made })
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        // Nothing panics while it is locked.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the thread look at its list.
    fn call(&self) {
        // It fails when the counter is full, and then the thread is called anyway.
        let _ = rustix::io::write(&self.control, &1u64.to_ne_bytes());
    }

    fn run(&self) {
        let mut views: Vec<View> = Vec::new();
        loop {
            let tables: Vec<_> = self.lock().tables.iter().map(|(table, _)| Arc::clone(table)).collect();
            views.retain(|view| tables.iter().any(|table| Arc::ptr_eq(table, &view.table)));
            for table in tables {
                if !views.iter().any(|view| Arc::ptr_eq(&view.table, &table)) {
                    views.push(View::new(table));
                }
            }
            let now = Instant::now();
            for view in views.iter_mut().filter(|view| view.next <= now) {
                let _at_work = at_work();
                view.look(&self.epoll);
            }
            let next = views.iter().map(|view| view.next).min();
            self.sleep(next, &mut views);
        }
    }

    fn sleep(&self, until: Option<Instant>, views: &mut [View]) {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let timeout = left.map(|left| Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() });
        let mut events = [const { epoll::Event { flags: EventFlags::empty(), data: EventData::new_u64(0) } }; 16];
        // An error is an interruption: the list is looked at again.
        let count = epoll::wait(&self.epoll, &mut events[..], timeout.as_ref()).unwrap_or(0);
        for event in &events[..count] {
            let token = event.data.u64();
            if token == CONTROL {
                let mut counter = [0; 8];
                let _ = rustix::io::read(&self.control, &mut counter[..]);
            }
            for view in views.iter_mut() {
                view.ended(token);
            }
        }
    }
}

/// What the thread knows of one table.
#[derive(Debug)]
struct View {
    table: Arc<Table>,
    next: Instant,
    backoff: Duration,
    /// By process: its token, and its pidfd.
    pidfds: HashMap<Process, (u64, OwnedFd)>,
    /// Processes that have ended, or could not be opened.
    without: HashSet<Process>,
}

/// The last token that was given out.
static LAST_TOKEN: AtomicU64 = AtomicU64::new(CONTROL);

impl View {
    fn new(table: Arc<Table>) -> Self {
        Self { table, next: Instant::now(), backoff: FIRST_PROBE, pidfds: HashMap::new(), without: HashSet::new() }
    }

    /// The process with this token has ended: look at once.
    fn ended(&mut self, token: u64) {
        let found = self.pidfds.iter().find(|(_, (other, _))| *other == token).map(|(process, _)| *process);
        if let Some(process) = found {
            // Closing the pidfd takes it out of the epoll.
            self.pidfds.remove(&process);
            self.without.insert(process);
            self.backoff = FIRST_PROBE;
            self.next = Instant::now();
        }
    }

    /// W2.
    fn look(&mut self, epoll: &OwnedFd) {
        let table = Arc::clone(&self.table);
        if table.lock_owner().is_some_and(|owner| !table.is_session_alive(owner)) {
            // Whoever locks follows the dead owner. What goes wrong, whoever waits is told by its own next step.
            if let Some(taken) = table.take_within(PATIENCE) {
                let _ = table.section_after(taken, |_| Ok(()));
            }
        }
        if table.is_in_charge() {
            let _ = table.reap_within(PATIENCE);
        }
        if !table.is_first_in_line() {
            self.pidfds.clear();
            self.without.clear();
            self.backoff = FIRST_PROBE;
            self.next = Instant::now() + LOOK;
            return;
        }
        let all_seen = self.open_pidfds(epoll);
        self.next = Instant::now() + if all_seen { LAST_PROBE } else { self.backoff };
        self.backoff = (self.backoff * 2).min(LAST_PROBE);
    }

    /// Opens what is not open yet; whether every holder's end will be seen.
    fn open_pidfds(&mut self, epoll: &OwnedFd) -> bool {
        let map = self.table.map();
        let mut holders = HashSet::new();
        let mut left = map.header().held.load(Relaxed);
        for (_, row) in map.grants() {
            if left == 0 {
                break;
            }
            let word = Claim(row.word.load(Relaxed));
            if word.is(State::Active) {
                left -= 1;
                holders.extend(kept_by(row));
                holders.extend(row.owner.load());
            }
        }
        self.pidfds.retain(|process, _| holders.contains(process));
        self.without.retain(|process| holders.contains(process));
        let namespace = liveness::namespace();
        let mut all_seen = true;
        for process in holders {
            if self.pidfds.contains_key(&process) {
                continue;
            }
            let fresh = !self.without.contains(&process) && process.namespace == namespace && namespace != 0;
            let token = LAST_TOKEN.fetch_add(1, Relaxed) + 1;
            match fresh.then(|| open_pidfd(epoll, process, token)).flatten() {
                Some(pidfd) => {
                    self.pidfds.insert(process, (token, pidfd));
                }
                None => {
                    self.without.insert(process);
                    all_seen = false;
                }
            }
        }
        all_seen
    }
}

/// A pidfd in the epoll; nothing if the process is not the one that was meant, or cannot be watched.
fn open_pidfd(epoll: &OwnedFd, process: Process, token: u64) -> Option<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(process.pid).ok()?)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    // Now the number cannot pass to another process unnoticed.
    if liveness::of(process.pid).start != process.start {
        return None;
    }
    let flags = EventFlags::IN | EventFlags::ONESHOT;
    epoll::add(epoll, &pidfd, EventData::new_u64(token), flags).ok()?;
    Some(pidfd)
}
