//! Inheritance as the system's scheduler sees it: who inherits runs before whom it would not run before by itself.
//!
//! Each check has a process of its own, since inheritance is a process's. Where the system does not permit it, the check is that this is
//! reported, and nothing changed.
#![cfg(all(feature = "std", target_os = "linux", target_pointer_width = "64"))]

#[macro_use]
#[allow(dead_code, unused_macros)] // each of the test programs uses its own part
mod common;

use common::thread::{Running, start, until};
use gatepost::kernel::{BlockError, Deadline, Inheritance, Mutex, Native, Scale, Thread, WaitFailure};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, channel};

static SCALE: Scale = Scale::real_time(&[(100, 10), (10_000, 20), (1_000_000, 30)]);
const LOW: u32 = 100;
const HIGH: u32 = 1_000_000;

/// Runs `check` in a process of its own: this test again.
#[track_caller]
fn in_its_own_process(test: &str, check: impl FnOnce()) {
    const INSIDE: &str = "GATEPOST_INHERITANCE_INSIDE";
    if std::env::var_os(INSIDE).is_some() {
        return check();
    }
    let this = std::env::current_exe().expect("a test has an executable");
    let output = Command::new(this)
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .expect("a test's executable can be run again");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("running 1 test"), "there is no test {test}:\n{said}");
    assert!(output.status.success(), "{said}");
    print!("{said}");
}

/// Whether it is in effect; if not, the report is honest.
fn in_effect(scale: Scale) -> bool {
    assert_eq!(Native::inheritance(), Inheritance::Off);
    let inheritance = Native::inherit(scale);
    assert_eq!(Native::inheritance(), inheritance);
    println!("{inheritance}");
    match inheritance {
        Inheritance::InEffect => true,
        Inheritance::NotPermitted(errno) => {
            assert_eq!(errno, libc::EPERM);
            false
        }
        Inheritance::Off | Inheritance::Unsupported => panic!("on Linux, and asked for: {inheritance}"),
    }
}

fn this_thread() -> libc::pid_t {
    // SAFETY: asks for a number.
    unsafe { libc::gettid() }
}

/// Policy, real-time priority and niceness.
fn scheduling(thread: libc::pid_t) -> (i32, i32, i32) {
    // SAFETY: asks, and writes `param`.
    unsafe {
        let mut param: libc::sched_param = std::mem::zeroed();
        assert_eq!(libc::sched_getparam(thread, &mut param), 0);
        let nice = libc::getpriority(libc::PRIO_PROCESS, libc::id_t::try_from(thread).expect("a number of a thread"));
        (libc::sched_getscheduler(thread), param.sched_priority, nice)
    }
}

/// This thread is a real-time thread of that priority from now on, and on one processor.
fn be_real_time(priority: i32) {
    // SAFETY: the sets and parameters are this frame's.
    unsafe {
        let mut all: libc::cpu_set_t = std::mem::zeroed();
        assert_eq!(libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut all), 0);
        let first = (0..libc::CPU_SETSIZE as usize).find(|&cpu| libc::CPU_ISSET(cpu, &all)).expect("it runs on one");
        let mut one: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(first, &mut one);
        assert_eq!(libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &one), 0);
        let param = libc::sched_param { sched_priority: priority };
        assert_eq!(libc::sched_setscheduler(0, libc::SCHED_FIFO, &param), 0, "permitted, as was found before");
    }
}

/// The processor time of this thread, in milliseconds.
fn milliseconds_run() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes `time`.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) }, 0);
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}

type Lock = Arc<Mutex<(), Native>>;

/// A thread that takes `lock` and gives it back when it is told to, and its number.
fn holder(lock: &Lock, go: Receiver<()>, weight: u32, prepare: fn()) -> (Running<()>, libc::pid_t) {
    let (send, held) = channel();
    let lock = lock.clone();
    let running = start(move || {
        prepare();
        Native::current_thread().set_base_weight(weight);
        let guard = lock.lock().expect("free");
        send.send(this_thread()).expect("somebody listens");
        go.recv().expect("it is told when");
        drop(guard);
        // Until it has been looked at.
        let _ = go.recv();
    });
    (running, held.recv().expect("it says that it holds it"))
}

/// A thread that wants `lock`, and is blocked.
fn wants(
    lock: &Lock,
    weight: u32,
    deadline: Deadline,
    prepare: fn(),
    then: impl FnOnce() + Send + 'static,
) -> (Running<Result<(), BlockError>>, &'static Thread<Native>) {
    let (send, name) = channel();
    let lock = lock.clone();
    let running = start(move || {
        prepare();
        let this = Native::current_thread();
        this.set_base_weight(weight);
        send.send(this).expect("somebody listens");
        let outcome = lock.lock_until(deadline).map(|_guard| then());
        // Owner of nothing, at its end.
        outcome
    });
    let name = name.recv().expect("it says who it is");
    until("it is blocked", || name.is_blocked());
    (running, name)
}

/// The inversion that stopped the Mars Pathfinder, on one processor: a low thread holds what a high one wants, and a middle one, which wants
/// nothing, would run for as long as it likes. Whether the high one was done before the middle one had its fill.
fn high_is_done_before_middle() -> bool {
    let lock = Lock::default();
    let (go, goes) = channel();
    let (low, _) = holder(&lock, goes, LOW, || be_real_time(10));
    let done = Arc::new(AtomicBool::new(false));
    let (high, _) = wants(&lock, HIGH, Deadline::INFINITE, || be_real_time(30), {
        let done = done.clone();
        move || done.store(true, SeqCst)
    });
    let middle = start(move || {
        be_real_time(20);
        let begun = milliseconds_run();
        go.send(()).expect("the low thread waits for it"); // and runs at once if it is more urgent than this
        while !done.load(SeqCst) && milliseconds_run() - begun < 200 {
            std::hint::spin_loop();
        }
        done.load(SeqCst)
    });
    let before = middle.join();
    high.join().expect("nothing ends it");
    low.join();
    before
}

#[test]
fn an_inversion_is_bounded_with_inheritance_and_not_without() {
    in_its_own_process("an_inversion_is_bounded_with_inheritance_and_not_without", || {
        if !in_effect(SCALE) {
            return;
        }
        assert!(high_is_done_before_middle(), "the low thread inherits, and runs before the middle one");
        assert_eq!(Native::inheritance(), Inheritance::InEffect, "nothing was refused");
        Native::inherit_no_more();
        assert_eq!(Native::inheritance(), Inheritance::Off);
        assert!(!high_is_done_before_middle(), "without, the middle thread runs until it has had its fill");
    });
}

#[test]
fn z28_a_chain_is_scheduled_as_its_most_urgent_waiter_until_that_gives_up() {
    in_its_own_process("z28_a_chain_is_scheduled_as_its_most_urgent_waiter_until_that_gives_up", || {
        if !in_effect(SCALE) {
            return;
        }
        let (first, second) = (Lock::default(), Lock::default());
        let (go, goes) = channel();
        let (low, low_id) = holder(&first, goes, LOW, || be_real_time(10));
        let own = scheduling(low_id);
        assert_eq!((own.0, own.1), (libc::SCHED_FIFO, 10));

        // Holds the second, wants the first.
        let (send, middle_id) = channel();
        let (middle, name) = {
            let (first, second) = (first.clone(), second.clone());
            let (name_out, name) = channel();
            let running = start(move || {
                Native::current_thread().set_base_weight(1);
                let _second = second.lock().expect("free");
                send.send(this_thread()).expect("somebody listens");
                name_out.send(Native::current_thread()).expect("somebody listens");
                first.lock().map(drop)
            });
            (running, name.recv().expect("it says who it is"))
        };
        until("it is blocked", || name.is_blocked());
        let middle_id = middle_id.recv().expect("it has said so");
        let middle_own = scheduling(middle_id);
        assert_eq!(middle_own.0, libc::SCHED_OTHER);

        let (high, high_name) = wants(&second, HIGH, Deadline::INFINITE, || (), || ());
        assert_eq!((scheduling(low_id).0, scheduling(low_id).1), (libc::SCHED_FIFO, 30));
        assert_eq!((scheduling(middle_id).0, scheduling(middle_id).1), (libc::SCHED_FIFO, 30), "an ordinary one, too");
        high_name.kill();
        assert_eq!(high.join(), Err(BlockError::Failed(WaitFailure::Killed)));
        assert_eq!(scheduling(middle_id), middle_own, "as it was");
        assert_eq!((scheduling(low_id).0, scheduling(low_id).1), (libc::SCHED_FIFO, 10));

        go.send(()).expect("it waits for it");
        assert_eq!(middle.join(), Ok(()));
        until("it is as it was", || scheduling(low_id) == own);
        drop(go);
        low.join();
        assert_eq!(Native::inheritance(), Inheritance::InEffect, "nothing was refused");
    });
}

#[test]
fn an_ordinary_holder_gets_the_shares_of_those_who_wait() {
    in_its_own_process("an_ordinary_holder_gets_the_shares_of_those_who_wait", || {
        if !in_effect(Scale::SHARES) {
            return;
        }
        let lock = Lock::default();
        let (go, goes) = channel();
        let (holding, id) = holder(&lock, goes, 1, || {
            // SAFETY: this thread's niceness.
            assert_eq!(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 5) }, 0);
        });
        let own = scheduling(id);
        assert_eq!(own, (libc::SCHED_OTHER, 0, 5));
        let waiting: Vec<_> = (0..3).map(|_| wants(&lock, 1, Deadline::INFINITE, || (), || ()).0).collect();
        assert_eq!(scheduling(id), (libc::SCHED_OTHER, 0, -2), "four times the share: 1.25 to the seventh is enough");
        go.send(()).expect("it waits for it");
        for running in waiting {
            assert_eq!(running.join(), Ok(()));
        }
        until("it is as it was", || scheduling(id) == own);
        drop(go);
        holding.join();
        assert_eq!(Native::inheritance(), Inheritance::InEffect, "nothing was refused");
    });
}

#[test]
fn without_the_privilege_it_is_reported_and_nothing_changes() {
    in_its_own_process("without_the_privilege_it_is_reported_and_nothing_changes", || {
        // SAFETY: limits and identity of this process's calling thread, and of those that it starts.
        unsafe {
            let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            assert_eq!(libc::setrlimit(libc::RLIMIT_NICE, &none), 0);
            assert_eq!(libc::setrlimit(libc::RLIMIT_RTPRIO, &none), 0);
            if libc::geteuid() == 0 {
                assert_eq!(libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534), 0);
            }
        }
        for scale in [SCALE, Scale::SHARES] {
            assert!(!in_effect(scale), "it lacks the privilege");
            let lock = Lock::default();
            let (go, goes) = channel();
            let (holding, id) = holder(&lock, goes, LOW, || ());
            let own = scheduling(id);
            let (waiting, _) = wants(&lock, HIGH, Deadline::INFINITE, || (), || ());
            assert_eq!(scheduling(id), own);
            assert_eq!(Native::inheritance(), Inheritance::NotPermitted(libc::EPERM));
            go.send(()).expect("it waits for it");
            assert_eq!(waiting.join(), Ok(()));
            drop(go);
            holding.join();
            Native::inherit_no_more();
        }
    });
}
