//! What an uncontended acquisition and its release cost after opening: no system call, and nothing from the allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::process::Command;
use std::task::{Context, Poll, Waker};

use gatepost_shared::{Options, Semaphore};

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    // Constant and without a destructor: to touch it allocates nothing.
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that is going down has nobody left who asks.
    let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
}

// SAFETY: everything is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: by the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count();
        // SAFETY: by the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Every way to take permits that are free, and every way to give them back.
fn take_and_give_back(s: &Semaphore) {
    drop(s.try_acquire().expect("free"));
    drop(s.try_acquire_many(3).expect("free"));
    s.acquire().wait().expect("free").release();
    drop(s.acquire_many(2).wait_timeout(std::time::Duration::from_secs(9)).expect("free"));
    let mut acquire = pin!(s.acquire());
    match acquire.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(permit) => {
            let permit = permit.expect("free");
            assert!(permit.is_held());
        }
        Poll::Pending => panic!("it is free"),
    }
}

#[test]
fn nothing_is_allocated() {
    let folder = tempfile::tempdir().expect("a folder");
    let s = Semaphore::open("s", &Options::new().directory(folder.path()).limit(4)).expect("a semaphore");
    let before = CALLS.get();
    for _ in 0..100 {
        take_and_give_back(&s);
    }
    assert_eq!(CALLS.get() - before, 0);
    drop(s.acquire().label("linking").wait().expect("free"));
    assert_eq!(CALLS.get() - before, 2, "the text of a label, and its end");
}

const FOLDER: &str = "GATEPOST_COST_FOLDER";
const MARK: &str = "@no system call was made\n";

#[test]
fn no_system_call_is_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |contended: bool| {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["as_child", "--exact", "--nocapture"]).env(FOLDER, folder.path());
        command.env("GATEPOST_COST_CONTENDED", u8::from(contended).to_string());
        let output = command.output().expect("another process");
        String::from_utf8_lossy(&output.stdout).contains(MARK)
    };
    assert!(run(false), "it was killed by a system call");
    assert!(!run(true), "one that has to wait makes some: so they are noticed");
}

/// Whether the clock can be read without a system call, which is a property of the machine.
fn has_fast_clock() -> bool {
    let source = std::fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    let fast = ["tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page"];
    source.is_ok_and(|source| fast.contains(&source.trim()))
}

/// From here on the kernel kills this thread's process at any system call but those that end it well.
fn forbid_system_calls() {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let statement = |code, k| libc::sock_filter { code, jt: 0, jf: 0, k };
    // The clock's only where it has to be one.
    let clock = if has_fast_clock() { libc::SYS_write } else { libc::SYS_clock_gettime };
    let mut program = [
        statement(LOAD, 0),
        libc::sock_filter { code: EQUAL, jt: 3, jf: 0, k: libc::SYS_write as u32 },
        libc::sock_filter { code: EQUAL, jt: 2, jf: 0, k: libc::SYS_exit_group as u32 },
        libc::sock_filter { code: EQUAL, jt: 1, jf: 0, k: clock as u32 },
        statement(RETURN, libc::SECCOMP_RET_KILL_PROCESS),
        statement(RETURN, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the kernel reads the program, which lives until the call returns.
    let result = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            | libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program)
    };
    assert_eq!(result, 0, "seccomp: {}", std::io::Error::last_os_error());
}

#[test]
fn as_child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let contended = std::env::var("GATEPOST_COST_CONTENDED").is_ok_and(|value| value == "1");
    let s = Semaphore::open("s", &Options::new().directory(folder).limit(4)).expect("a semaphore");
    let held = contended.then(|| s.acquire().wait().expect("free"));
    // The first use of the clock may ask the kernel where it is.
    drop(s.acquire().wait().expect("free"));
    forbid_system_calls();
    for _ in 0..1000 {
        match held {
            None => take_and_give_back(&s),
            Some(_) => drop(s.acquire_many(4).wait_timeout(std::time::Duration::from_millis(1))),
        }
    }
    // SAFETY: the bytes are there; and the process ends here, so nothing that it would do later is missed.
    unsafe {
        libc::write(1, MARK.as_ptr().cast(), MARK.len());
        libc::_exit(0);
    }
}
