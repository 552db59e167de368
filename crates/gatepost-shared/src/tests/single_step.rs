//! Every instruction: a process is single-stepped through a contended acquire and release, the file is copied after each
//! instruction that changed it, and every copy is recovered as if the process had died there.
//!
//! - The stepped process marks what is stepped by signals to itself, between which it runs freely. No address is known, and
//!   none has to be.
//! - Whoever else has the file open is stopped or does nothing while it is stepped, so a copy is the file at one moment.
//! - In a copy the stepped process is dead, since nobody locks its byte there, and the others are alive, since a descriptor
//!   of the test locks theirs. So who follows the dead one is the test's own session, and nobody else.
//!
//! On x86-64 only: elsewhere an exclusive load and its store are not to be stepped through.

#![cfg(target_arch = "x86_64")]

use std::fs::{self, File};
use std::future::Future;
use std::os::fd::AsFd;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};

use rustix::process::{Pid, Signal, WaitOptions, waitpid};

use super::alone::{alone, caught};
use super::check::{self, Allow, Truth};
use super::process::{Child, forever, fork, until};
use crate::layout::{Claim, FIXED_SIZE, Fixed, State};
use crate::liveness;
use crate::map::Map;
use crate::{EventKind, Options, Semaphore};

/// 1: where a process may not be traced, that is a failure.
const REQUIRED: &str = "GATEPOST_REQUIRE_PTRACE";
const LIMIT: u32 = 4;
/// What the stepped process asks for.
const ASKED: u32 = 2;

/// Marks of the stepped process.
const BEGIN: Signal = Signal::USR1;
const END: Signal = Signal::USR2;

/// What is stepped through, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// It takes a permit that is free.
    Take,
    /// It gives that back, and nobody waits.
    GiveBack,
    /// It takes a place in the queue, behind nobody, while others hold.
    Enqueue,
    /// It has been granted, and claims.
    Claim,
    /// It gives back, and serves one who waits.
    Release,
}

fn mark(signal: Signal) {
    rustix::process::kill_process(rustix::process::getpid(), signal).expect("ourselves");
}

/// The stepped process.
fn stepped(options: &Options) -> i32 {
    let semaphore = Semaphore::open("step", options).expect("it opens");
    // SAFETY: the call takes numbers; what it changes is that our parent is told of our signals.
    if unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) } != 0 {
        return 77;
    }
    mark(BEGIN);
    let one = semaphore.try_acquire();
    mark(END);
    let one = one.expect("one is free");
    mark(BEGIN);
    one.release();
    mark(END);
    let mut acquire = pin!(semaphore.acquire_many(ASKED).label("stepped"));
    let mut context = Context::from_waker(Waker::noop());
    mark(BEGIN);
    let polled = acquire.as_mut().poll(&mut context);
    mark(END);
    assert!(polled.is_pending());
    mark(BEGIN);
    let polled = acquire.as_mut().poll(&mut context);
    mark(END);
    let Poll::Ready(Ok(permit)) = polled else { panic!("it has been granted: {polled:?}") };
    mark(BEGIN);
    permit.release();
    mark(END);
    0
}

/// What came of one ptrace request, or of the stop after it.
fn ptrace(request: libc::c_uint, pid: Pid, signal: i32) {
    // SAFETY: the two requests that are used, to step and to go on, take numbers.
    let result = unsafe { libc::ptrace(request, pid.as_raw_nonzero().get(), 0usize, signal as usize) };
    assert_eq!(result, 0, "ptrace: {}", std::io::Error::last_os_error());
}

/// The signal at which it stopped; none if it has ended.
fn stop_of(pid: Pid) -> Option<i32> {
    let (_, status) = waitpid(Some(pid), WaitOptions::empty()).expect("our child").expect("it has changed");
    assert!(status.stopped() || status.exit_status().is_some(), "it died: {status:?}");
    match status.exit_status() {
        Some(0) => None,
        Some(code) => panic!("the stepped process ended with {code}"),
        None => status.stopping_signal(),
    }
}

/// Lets it run until it sends itself `signal`.
fn run_to(pid: Pid, signal: Signal) {
    loop {
        ptrace(libc::PTRACE_CONT, pid, 0);
        match stop_of(pid) {
            Some(found) if found == signal.as_raw() => return,
            Some(_) => {}
            None => panic!("the stepped process has ended"),
        }
    }
}

/// The bytes of the file, as it is mapped.
fn bytes(map: &Map) -> &[u64] {
    let words = map.geometry().size() / 8;
    let base = std::ptr::from_ref(map.header()).cast::<u64>();
    // SAFETY: the mapping is that long. While this is used nobody stores to it: all others have been stopped.
    unsafe { std::slice::from_raw_parts(base, words) }
}

/// What was counted.
#[derive(Debug, Default)]
struct Count {
    instructions: u64,
    copies: Vec<Vec<u64>>,
}

/// Steps from one mark to the other, and copies the file whenever it has changed.
fn step_through(pid: Pid, map: &Map, count: &mut Count) {
    let mut last = bytes(map).to_vec();
    count.copies.push(last.clone());
    loop {
        ptrace(libc::PTRACE_SINGLESTEP, pid, 0);
        match stop_of(pid) {
            Some(libc::SIGTRAP) => count.instructions += 1,
            Some(signal) if signal == END.as_raw() => return,
            other => panic!("a stop for {other:?}"),
        }
        let now = bytes(map);
        if now != last {
            last = now.to_vec();
            count.copies.push(last.clone());
        }
    }
}

/// Another process, in the queue for `permits`, that is stopped for good.
fn stopped_waiter(options: &Options, map: &Map, permits: u32) -> Child {
    let known = map.header().waiting.load(Relaxed);
    let child = fork(|| {
        let semaphore = Semaphore::open("step", options).expect("it opens");
        drop(semaphore.acquire_many(permits).label("stopped").wait_timeout(forever()));
        0
    });
    until("another one waits", || map.header().waiting.load(Relaxed) > known);
    until("it sleeps", || map.header().seq.load(Relaxed) % 2 == 0 && Truth::of(map).lock.owner().is_none());
    child.stop();
    child
}

/// Recovers one copy.
fn recover(folder: &Path, copy: &[u64], dead: u32, living: &[u32], has_number_of_dead: bool) -> Result<(), String> {
    let path = folder.join("copy.gate");
    let raw: Vec<u8> = copy.iter().flat_map(|word| word.to_le_bytes()).collect();
    let _ = fs::remove_file(&path);
    fs::write(&path, &raw).expect("there is room");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&path, private).expect("it is ours");
    let alive = File::options().read(true).write(true).open(&path).expect("it is ours");
    // The lowest number that is not locked is the next one's.
    let taken = living.iter().copied().chain(has_number_of_dead.then_some(0..dead).into_iter().flatten());
    for index in taken {
        liveness::try_lock(alive.as_fd(), index).expect("it can be locked");
    }
    let mut head = [0; FIXED_SIZE];
    head.copy_from_slice(&raw[..FIXED_SIZE]);
    let geometry = Fixed::decode(&head).map_err(|(what, _)| what)?.geometry;
    // Through another description: a mapping keeps what it is made of open, and with it the locks.
    let file = File::options().read(true).write(true).open(&path).expect("it is ours");
    let map = Map::new(file.as_fd(), geometry, true).expect("it can be mapped");
    let before = check::at_any_moment(&map, &Truth::of(&map), Allow::default())?;
    let told: Vec<u32> = map.waiters().map(|(_, row)| row.futex.load(Relaxed)).collect();

    let semaphore =
        Semaphore::open(path.to_str().expect("text"), &Options::new()).map_err(|error| error.to_string())?;
    assert_eq!(semaphore.session().0 == dead, has_number_of_dead, "the number of the newcomer");
    semaphore.reclaim().map_err(|error| error.to_string())?;
    semaphore.table().section(|_| Ok(())).map_err(|error| error.to_string())?;
    let after = check::at_rest(&map, &before, Allow::default())?;

    let events = check::events(&map, before.next_event)?;
    let taken_over = events.iter().any(|event| event.kind == EventKind::TakenOver);
    if before.lock.owner().is_some() != taken_over {
        return Err(format!("I10: the lock was {:?}, and taken over: {taken_over}", before.lock.owner()));
    }
    for row in before.grants.iter().chain(&before.waiters) {
        let is_there = after.grant(row.serial).is_some() || after.waiter(row.serial).is_some();
        let is_of_dead = row.word.session() == dead;
        if is_there == is_of_dead {
            return Err(format!("I5: {row:?} is there afterwards: {is_there}"));
        }
        let is_forced = events.iter().any(|event| event.permit.is_some_and(|permit| permit.get() == row.serial));
        if is_of_dead && !is_forced {
            return Err(format!("I10: {row:?} is gone, and no event says so"));
        }
    }
    // Whoever is answered is told.
    for waiter in after.waiters.iter().filter(|waiter| !waiter.word.is(State::Active)) {
        let futex = map.waiter(waiter.index).map_or(0, |row| row.futex.load(Relaxed));
        let was = before.waiter(waiter.serial).is_some_and(|row| row.word.is(State::Active));
        if was && futex == told[waiter.index as usize] {
            return Err(format!("stranded: {waiter:?} has its answer and is not told"));
        }
    }
    // The others die, too.
    drop(alive);
    semaphore.reclaim().map_err(|error| error.to_string())?;
    let all = semaphore.try_acquire_many(LIMIT).map_err(|error| format!("permits are lost: {error}"))?;
    let end = check::at_rest(&map, &after, Allow::default())?;
    for slot in all.slots() {
        let (then, now) = (before.slots[slot as usize].epoch(), end.slots[slot as usize].epoch());
        if now <= then {
            return Err(format!("I7: slot {slot} was given out again with epoch {now}, after {then}"));
        }
    }
    Ok(())
}

#[test]
fn every_instruction_of_a_contended_acquire_and_release_may_be_the_last() {
    alone(CHECK, || {
        let folder = tempfile::tempdir().expect("a folder");
        let options = Options::new().directory(folder.path());
        // Number 0 is free later on: one who comes then is another one than the dead.
        let other = Semaphore::open("step", &options.clone().limit(LIMIT)).expect("it opens");
        let own = Semaphore::open("step", &options).expect("it opens");
        drop(other);
        until("its bell has gone", || !own.table().is_session_alive(0));
        let map = own.table().map();
        let held = own.try_acquire_many(3).expect("free");
        let own_row = Truth::of(map).grants[0].word;
        assert_eq!(own_row, Claim::new(State::Active, 3, own.session()));

        let blocker = File::options().read(true).write(true).open(own.path()).expect("it is ours");
        assert!(
            liveness::try_lock(blocker.as_fd(), 0).expect("it can be locked"),
            "so that the stepped one gets number 2"
        );
        // Forked by hand: its stops are its parent's affair.
        let child = fork(|| stepped(&options));
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("a pid");
        // It is traced: it stops before the signal is delivered, and the signal is swallowed.
        let (_, status) = waitpid(Some(pid), WaitOptions::UNTRACED).expect("our child").expect("it has changed");
        if status.exit_status() == Some(77) {
            child.has_been_waited_for(status);
            assert!(std::env::var(REQUIRED).as_deref() != Ok("1"), "a process may not be traced here");
            println!("left out: a process may not be traced here");
            return;
        }
        assert_eq!(status.stopping_signal(), Some(BEGIN.as_raw()), "{status:?}");
        let dead = 2;
        let mut living = vec![1];
        let mut others = Vec::new();
        let mut copies = 0;
        let mut instructions = 0;
        for part in [Part::Take, Part::GiveBack, Part::Enqueue, Part::Claim, Part::Release] {
            let mut count = Count::default();
            step_through(pid, map, &mut count);
            for (number, copy) in count.copies.iter().enumerate() {
                for has_number_of_dead in [false, true] {
                    recover(folder.path(), copy, dead, &living, has_number_of_dead)
                        .unwrap_or_else(|what| panic!("{part:?}, copy {number}, {has_number_of_dead}: {what}"));
                }
            }
            println!("{part:?}: {} instructions, {} copies", count.instructions, count.copies.len());
            instructions += count.instructions;
            copies += count.copies.len();
            match part {
                Part::Take | Part::GiveBack => run_to(pid, BEGIN),
                Part::Enqueue => {
                    // Another one waits behind it, and does not fit beside it, when our three come back.
                    others.push(stopped_waiter(&options, map, 3));
                    living.push(3);
                    own.release(held.id()).expect("it works");
                    run_to(pid, BEGIN);
                }
                Part::Claim => {
                    others.push(stopped_waiter(&options, map, 1));
                    living.push(4);
                    run_to(pid, BEGIN);
                }
                Part::Release => {}
            }
        }
        println!("{instructions} instructions, {copies} copies, {} recoveries", 2 * copies);
        assert!(copies > 50, "only {copies} copies: was it stepped at all?");
    });
}

const CHECK: &str = "tests::single_step::every_instruction_of_a_contended_acquire_and_release_may_be_the_last";

#[test]
fn a_takeover_that_does_not_serve_the_queue_is_seen() {
    caught("nobody is served after a rebuild", CHECK, &[], "stranded: ");
}

#[test]
fn a_grant_for_a_waiter_that_does_not_say_so_is_seen() {
    caught("an unclaimed grant does not say so", CHECK, &[], "T4: ");
}
