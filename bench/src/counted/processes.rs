//! What a semaphore that processes share executes: by itself, and with another process that holds it or waits for it.
//!
//! The other process is not stepped over, and neither are other threads of this one. A wait is long: what is counted is
//! what the thread that waits executes, however long it sleeps meanwhile.

use super::operations::{Count, OF_PROCESSES, stepped};
use gatepost_bench_kit::across::{Across, Folder, Mapped, Part, Process, Role, sleeps};
use gatepost_bench_kit::cases::uncontended::PERMITS;
use std::hint::black_box;
use std::time::Duration;

/// Of a peer that processes share.
pub(crate) fn of_processes<S: Across>() -> Count {
    let regions = || {
        without_signals();
        alone::<S>();
        waits::<S>();
        serves::<S>();
    };
    Count { sizes: || None, regions, nothing: false }
}

/// The end of another process must not stop this one, which is traced.
fn without_signals() {
    // SAFETY: a set of this frame's, which sigemptyset makes one.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGCHLD);
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
    }
}

fn alone<S: Across>() {
    let folder = Folder::new().expect("a folder");
    let semaphore = S::create(&folder.join("a.gate"), PERMITS.min(S::MOST)).expect("a semaphore");
    let pair = || {
        let permit = semaphore.acquire();
        black_box(&permit);
        drop(permit);
    };
    pair();
    stepped(OF_PROCESSES[0], pair);
}

/// Has `operation` done once as it is and once stepped over, each time beside another process in that role.
fn beside<S: Across, R>(part: &Part, operation: impl Fn(&S, &Mapped, &Process, bool) -> R) {
    for count in [false, true] {
        let folder = Folder::new().expect("a folder");
        let page = Mapped::create(&folder).expect("a page");
        let semaphore = S::create(&folder.join("a.gate"), 1).expect("a semaphore");
        let role =
            Role { peer: S::NAME.to_owned(), part: part.clone(), folder: folder.to_path_buf(), index: 0, permits: 1 };
        // It may hold a permit first, so it is started by the operation if that has to take one before.
        let process = Process::start(&role).expect("a process");
        operation(&semaphore, &page, &process, count);
        process.end(Duration::from_secs(10)).expect("the other process ends well");
    }
}

fn waits<S: Across>() {
    let part = Part::HoldUntilAsleep(std::process::id());
    beside::<S, _>(&part, |semaphore, page, _, count| {
        page.wait_for_ready(1).expect("the other process holds it");
        let acquire = || semaphore.acquire();
        drop(if count { stepped(OF_PROCESSES[1], acquire) } else { acquire() });
    });
}

fn serves<S: Across>() {
    for count in [false, true] {
        let folder = Folder::new().expect("a folder");
        let page = Mapped::create(&folder).expect("a page");
        let semaphore = S::create(&folder.join("a.gate"), 1).expect("a semaphore");
        let permit = semaphore.acquire();
        let role =
            Role { peer: S::NAME.to_owned(), part: Part::Wait, folder: folder.to_path_buf(), index: 0, permits: 1 };
        let process = Process::start(&role).expect("a process");
        page.wait_for_ready(1).expect("the other process is about to wait");
        for _ in 0..2 {
            while !sleeps(process.id()) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let release = || drop(permit);
        if count {
            stepped(OF_PROCESSES[2], release);
        } else {
            release();
        }
        process.end(Duration::from_secs(10)).expect("the other process ends well");
    }
}
