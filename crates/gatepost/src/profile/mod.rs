//! Contention profiles: who waited, for how long, and whose release ended it. (Feature `profile`.)
//!
//! Two profiles, as Go has them, of all that waits through this library, tasks and threads:
//!
//! - the **block** profile ([`block`]) charges a *waiter's* stack with what it waited, from its first attempt to the release
//!   that let it go;
//! - the **mutex** profile ([`mutex`]) charges the stack of the *releaser* with the waiting, of everybody in the queue, that
//!   its holding has cost. Its sum is exactly the sum of what those waited who were let go.
//!
//! Both are off until they are started, and cost nothing then: no clock is read, and acquiring and releasing without a
//! queue are the same instructions as without the feature. Started, they sample: every wait, or a fraction.
//! A [`Snapshot`] has the names of functions and writes pprof's format, a flame graph, and a table. How all this works,
//! what is charged to whom, and what differs from Go, is in `docs/profiles.md`.
//!
//! # What is recorded
//! A stack of at most 64 frames, beginning with the user's call. [`WaitReason`](crate::WaitReason) says which waits belong
//! in which profile; a semaphore's in both. A wait that began while its profile was off is not counted. One that ends by a
//! deadline, an interrupt, a close, or because its future was dropped, is a block event and nobody's mutex event.
//!
//! Permits are handed over by whoever serves the queue: as a rule the thread that releases, but a release that finds
//! another at it leaves its permits to that one, whose stack is then charged.
//!
//! # Cost
//! Of a profile that is on, for each wait: two readings of the clock, and for what is sampled a walk over the stack and a
//! lookup under a mutex. A stack that is not new costs no allocation. Memory: room for as many stacks as
//! [`set_max_stacks`](block::set_max_stacks) allows, made when the profile is started, about 32 to 64 bytes each; and for
//! each stack that comes up its addresses. What does not fit is counted ([`Snapshot::overflow`]). Names are looked up when
//! a snapshot is taken.
//!
//! Releasing permits in a signal handler is not allowed while a profile is on.
//!
//! # Examples
//! ```
//! use gatepost::{Semaphore, profile};
//! use std::thread;
//!
//! profile::block::start(1); // every wait
//! profile::mutex::start(1);
//! let semaphore = Semaphore::new(1);
//! thread::scope(|scope| {
//!     for _ in 0..4 {
//!         scope.spawn(|| (0..100).for_each(|_| drop(semaphore.blocking_acquire())));
//!     }
//! });
//! let mut pprof = Vec::new();
//! profile::block::snapshot().write_pprof(&mut pprof)?; // to be opened with `go tool pprof`
//! profile::mutex::snapshot().write_text(std::io::stdout())?;
//! profile::block::stop();
//! profile::mutex::stop();
//! # Ok::<(), std::io::Error>(())
//! ```

pub mod block;
mod flamegraph;
pub mod mutex;
mod pprof;
mod sample;
mod snapshot;
mod stack;
mod store;
mod symbols;
mod text;

pub use snapshot::{Frame, Record, Snapshot};

use crate::wait::timing::{self, Hooks};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use sample::Totals;
use stack::{Stack, exclusive};
use std::format;
use std::string::String;
use std::sync::{Mutex, PoisonError};
use store::Store;

/// Which profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Block,
    Mutex,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Mutex => "mutex",
        }
    }
}

impl Snapshot {
    /// How it was sampled, in words.
    fn setting(&self) -> String {
        match (self.kind, self.rate) {
            (_, 0) => "off by now".into(),
            (Kind::Block, 1) => "every wait recorded".into(),
            (Kind::Mutex, 1) => "every release recorded".into(),
            (Kind::Block, rate) => format!("one sample for each {} of waiting", text::delay(rate)),
            (Kind::Mutex, fraction) => format!("one release in {fraction}"),
        }
    }
}

/// A profile: how it samples, and what it has recorded.
struct Profile {
    kind: Kind,
    /// The rate or the fraction; 0: off.
    rate: AtomicU64,
    store: Store,
}

static BLOCK: Profile = Profile::new(Kind::Block);
static MUTEX: Profile = Profile::new(Kind::Mutex);

/// The tables of what is on.
static BLOCK_ON: Hooks = Hooks { block: Some(block::event), mutex: None };
static MUTEX_ON: Hooks = Hooks { block: None, mutex: Some(mutex::event) };
static BOTH_ON: Hooks = Hooks { block: Some(block::event), mutex: Some(mutex::event) };

impl Profile {
    const fn new(kind: Kind) -> Self {
        Self { kind, rate: AtomicU64::new(0), store: Store::new() }
    }

    fn rate(&self) -> u64 {
        self.rate.load(Relaxed)
    }

    /// Sets the rate, and returns the one before.
    fn set_rate(&self, rate: u64) -> u64 {
        /// The table says what the rates say.
        static SWITCHING: Mutex<()> = Mutex::new(());
        if rate > 0 {
            self.store.prepare();
        }
        let switching = SWITCHING.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.rate.swap(rate, Relaxed);
        timing::set_hooks(match (BLOCK.rate() > 0, MUTEX.rate() > 0) {
            (true, true) => Some(&BOTH_ON),
            (true, false) => Some(&BLOCK_ON),
            (false, true) => Some(&MUTEX_ON),
            (false, false) => None,
        });
        drop(switching);
        before
    }

    /// Records something at the stack of the caller.
    #[inline(never)]
    fn record(&self, totals: Totals) {
        if exclusive(|| self.store.add(Stack::capture().frames(), totals)).is_none() {
            self.store.lose();
        }
    }

    fn snapshot(&self) -> Snapshot {
        let take = || Snapshot::new(self.kind, self.rate(), self.store.recorded());
        // What the allocator does meanwhile is of no interest. (From within the recording of an event, by an allocator
        // that looks at its own profile, it is the same.)
        exclusive(take).unwrap_or_else(take)
    }
}
