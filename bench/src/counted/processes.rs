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

/// Starts another process in that role, and waits until it says that it is ready.
fn start<S: Across>(folder: &Folder, part: &Part) -> (Process, Mapped) {
    let page = Mapped::create(folder).expect("a page");
    let role =
        Role { peer: S::NAME.to_owned(), part: part.clone(), folder: folder.to_path_buf(), index: 0, permits: 1 };
    let process = Process::start(&role).expect("a process");
    page.wait_for_ready(1).expect("the other process gets so far");
    (process, page)
}

/// Has `operation` done once as it is, to set up what is set up once, and once stepped over.
fn both(operation: impl Fn(&Folder, bool)) {
    for count in [false, true] {
        operation(&Folder::new().expect("a folder"), count);
    }
}

const PATIENCE: Duration = Duration::from_secs(10);

/// The other process holds the only permit until this one sleeps.
fn waits<S: Across>() {
    both(|folder, count| {
        let semaphore = S::create(&folder.join("a.gate"), 1).expect("a semaphore");
        let (other, page) = start::<S>(folder, &Part::HoldUntilAsleep(std::process::id()));
        page.go();
        let acquire = || semaphore.acquire();
        drop(if count { stepped(OF_PROCESSES[1], acquire) } else { acquire() });
        other.end(PATIENCE).expect("the other process ends well");
    });
}

/// The other process sleeps until this one gives back the only permit.
fn serves<S: Across>() {
    both(|folder, count| {
        let semaphore = S::create(&folder.join("a.gate"), 1).expect("a semaphore");
        let permit = semaphore.acquire();
        let (other, _) = start::<S>(folder, &Part::Wait);
        // Since it was ready it has had nothing else to sleep for.
        while !sleeps(other.id()) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let release = || drop(permit);
        if count {
            stepped(OF_PROCESSES[2], release)
        } else {
            release()
        }
        other.end(PATIENCE).expect("the other process ends well");
    });
}
