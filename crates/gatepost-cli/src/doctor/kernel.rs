//! What the kernel offers, each tried.

use std::fs;
use std::sync::atomic::AtomicU32;

use rustix::process::{PidfdFlags, getpid, pidfd_open};
use rustix::system::uname;
use rustix::thread::futex;

use super::Finding;
use crate::machine::limit::Limit;
use crate::system::lock_description;
use crate::values;

pub(super) fn look() -> Vec<Finding> {
    vec![version(), locks(), futexes(), process_descriptors(), machine(), pressure()]
}

fn version() -> Finding {
    let name = uname();
    Finding::ok("kernel", format!("{} {}", name.sysname().to_string_lossy(), name.release().to_string_lossy()))
}

fn locks() -> Finding {
    match tempfile::tempfile().and_then(|file| lock_description(&file)) {
        Ok(()) => Finding::ok("locks", "locks of open file descriptions work"),
        Err(error) => Finding::bad(
            "locks",
            format!("no lock of an open file description: {error}"),
            "semaphores learn from them who lives; use Linux 3.15 or later, and if this is a sandbox, let it allow fcntl",
        ),
    }
}

fn futexes() -> Finding {
    let word = AtomicU32::new(0);
    // Not private: the kind that processes share.
    match futex::wake(&word, futex::Flags::empty(), 1) {
        Ok(_) => Finding::ok("futex", "shared futexes work"),
        Err(error) => Finding::bad(
            "futex",
            format!("no futex: {error}"),
            "waiters sleep on them; use a Linux kernel that has them",
        ),
    }
}

fn process_descriptors() -> Finding {
    match pidfd_open(getpid(), PidfdFlags::empty()) {
        Ok(_) => Finding::ok("pidfd", "the end of a process is told at once"),
        Err(error) => Finding::note(
            "pidfd",
            format!("no descriptors of processes: {error}"),
            "the end of a holder is noticed by looking now and then, within a second; Linux 5.3 has them",
        ),
    }
}

fn machine() -> Finding {
    let gibibytes = Limit::Memory { unit: 1 << 30 }.count();
    Finding::ok("machine", format!("--limit cores is {}, --limit mem/1G is {gibibytes}", values::cpus()))
}

fn pressure() -> Finding {
    match fs::read_to_string("/proc/pressure/cpu") {
        Ok(_) => Finding::ok("pressure", "stall information is there (/proc/pressure)"),
        Err(error) => Finding::note(
            "pressure",
            format!("no stall information: {error}"),
            "gates on pressure (--psi) need a kernel that is started with psi=1",
        ),
    }
}
