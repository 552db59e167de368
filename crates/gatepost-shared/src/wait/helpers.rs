//! Who of the helper threads is at work, so that a process can replace itself while none of them is.
//!
//! `exec` ends the threads of a process wherever they are. A session that lives on through an inherited descriptor would then have
//! the lock that a helper had just taken, and live: nobody follows it. So helpers work under this lock, and one who is about to
//! call `exec` keeps it.
//!
//! H1. The word is the mark of the process in which somebody is at work, or 0. A child by fork finds its parent's mark, whose
//!     thread it does not have, and goes on as if it were 0.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

use crate::liveness::fork::Mark;

/// How long one waits before it looks again.
const LOOK: Duration = Duration::from_millis(1);

static AT_WORK: AtomicU64 = AtomicU64::new(0);

/// For as long as it lives no other helper is at work.
#[derive(Debug)]
pub(super) struct AtWork(());

/// Waits until no other helper is at work; nothing if this process cannot be told from others, and then it has no session either.
pub(super) fn at_work() -> Option<AtWork> {
    let mark = Mark::of_this_process().ok()?.get();
    loop {
        let seen = AT_WORK.load(Relaxed);
        // ORDERING: Acquire pairs with the Release of the drop: what the last one did is done.
        if seen != mark && AT_WORK.compare_exchange(seen, mark, Acquire, Relaxed).is_ok() {
            return Some(AtWork(()));
        }
        // Rare, and not for long, unless helpers have been stopped.
        std::thread::park_timeout(LOOK);
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        // ORDERING: Release pairs with the Acquire above.
        AT_WORK.store(0, Release);
    }
}

/// From now on no helper thread of this process changes a file, and none is in the middle of it.
///
/// For a process that is about to call `exec` and leaves [`session_fd`](crate::Semaphore::session_fd) open, so that its session lives
/// on: `exec` would end a helper that has the lock of the file, and nobody would take it from a session that lives. Tasks and threads of this
/// process that still wait do not notice any more that a holder has died.
///
/// ```
/// # fn main() -> Result<(), gatepost_shared::Error> {
/// # let folder = tempfile::tempdir().expect("a folder");
/// # let options = gatepost_shared::Options::new().directory(folder.path());
/// let build = gatepost_shared::Semaphore::open("build", &options.limit(8))?;
/// let permit = build.acquire().wait()?;
/// permit.keep(std::process::id())?;
/// gatepost_shared::stop_helpers();
/// let _id = permit.leave();
/// // exec
/// # Ok(())
/// # }
/// ```
pub fn stop_helpers() {
    std::mem::forget(at_work());
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::sync::mpsc;

    use super::*;
    use crate::tests::alone::alone;

    #[test]
    fn helpers_are_stopped_where_none_is_at_work() {
        alone("wait::helpers::tests::helpers_are_stopped_where_none_is_at_work", || {
            static IS_DONE: AtomicBool = AtomicBool::new(false);
            let (say, hear) = mpsc::channel();
            let (go, going) = mpsc::channel();
            let helper = std::thread::spawn(move || {
                let at_work = at_work();
                say.send(()).expect("the test hears");
                going.recv().expect("the test says so");
                // Long enough for one who does not wait to get ahead.
                (0..10_000).for_each(|_| std::thread::yield_now());
                IS_DONE.store(true, Relaxed);
                drop(at_work);
            });
            hear.recv().expect("it is at work");
            go.send(()).expect("it hears");
            stop_helpers();
            assert!(IS_DONE.load(Relaxed), "stopped in the middle of its work");
            helper.join().expect("it has not panicked");
            assert_eq!(AT_WORK.load(Relaxed), Mark::of_this_process().expect("a mark").get(), "for good");
        });
    }

    #[test]
    fn what_an_ancestor_was_at_does_not_keep_a_child_from_its_work() {
        alone("wait::helpers::tests::what_an_ancestor_was_at_does_not_keep_a_child_from_its_work", || {
            let mark = Mark::of_this_process().expect("a mark").get();
            AT_WORK.store(mark + 1_000_000, Relaxed);
            drop(at_work().expect("a mark"));
            assert_eq!(AT_WORK.load(Relaxed), 0);
        });
    }
}
