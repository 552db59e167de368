//! Yardsticks: what is left when the semaphore is taken out of a loop, in the same rounds as the peers.

use gatepost_bench_kit::cases::{cancel, limits, tasks, threads, uncontended};
use gatepost_bench_kit::result::Kind;
use gatepost_bench_kit::waker::Tally;
use gatepost_bench_kit::{Ask, Entry, Sample};
use std::hint::{black_box, spin_loop};
use std::ptr::null_mut;
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Relaxed, Release},
};
use std::task::Waker;
use std::time::Instant;

type Result = anyhow::Result<Sample>;

/// Each yardstick.
pub(super) fn entries() -> Vec<Entry> {
    let reference = |name: &str| Entry::new(name, Kind::Reference, "");
    let rmw = |ask: &Ask| uncontended::reference(ask, limits::rmw_pairs);
    vec![
        ["U1", "U2", "U3", "U3try", "U4"].into_iter().fold(reference("bare RMW pair"), |entry, case| entry.with(case, rmw)),
        reference("no semaphore")
            .with("C1", |ask| tasks::reference(ask, tasks::NoSemaphore))
            .with("C1b", |ask| tasks::reference(ask, tasks::NoSemaphore))
            .with("C2", threads::no_semaphore),
        reference("yield control")
            .with("C1", |ask| tasks::reference(ask, tasks::YieldControl))
            .with("C1b", |ask| tasks::reference(ask, tasks::YieldControl))
            .note_in("C1", "yield control: the work and `yield_now`, no semaphore: what is bound by the runtime")
            .note_in("C1b", "yield control: the work and `yield_now`, no semaphore: what is bound by the runtime"),
        reference("bare wakes").with("C3", bare_wakes).note_in(
            "C3",
            "bare wakes: wakers in slots as large as our future, taken and woken one after the other, then each slot looked at",
        ),
        reference("bare unlink").with("C4", |ask| unlink(ask, false)).note_in(
            "C4",
            "bare unlink: nodes as large as our future, in one block, unlinked in the same order; locked unlink: with a \
             compare-and-swap before and one after",
        ),
        reference("locked unlink").with("C4", |ask| unlink(ask, true)),
        reference("this machine").with("L1", limits::probe),
    ]
    .into_iter()
    .map(of_processes)
    .collect()
}

/// What stands beside semaphores that processes share.
#[cfg(target_os = "linux")]
fn of_processes(entry: Entry) -> Entry {
    use gatepost_bench_kit::cases::processes;
    match entry.name.as_str() {
        "bare RMW pair" => entry.with("P1", |ask| Ok(processes::alone_without(ask, limits::rmw_pairs))),
        "no semaphore" => entry.with("P2", processes::no_semaphore),
        "this machine" => entry.with("P4", processes::death).note_in(
            "P4",
            "this machine: until the process that killed it is told of the death by a pidfd; nobody is woken by anything else",
        ),
        _ => entry,
    }
}

#[cfg(not(target_os = "linux"))]
fn of_processes(entry: Entry) -> Entry {
    entry
}

/// How much a waiter of ours takes.
const WAITER: usize = size_of::<gatepost::Acquire<'static>>();

/// A waiter of a storm that is no semaphore's.
#[repr(C)]
struct Slot {
    waker: Option<Waker>,
    woken: AtomicBool,
    rest: [u8; WAITER - size_of::<Option<Waker>>() - size_of::<u64>()],
}

fn bare_wakes(ask: &Ask) -> Result {
    let n = ask.count("waiters")?;
    let waker = Tally::leak().waker();
    let slot = || Slot { waker: None, woken: AtomicBool::new(false), rest: [1; _] };
    let mut slots: Vec<Slot> = (0..n).map(|_| slot()).collect();
    let each = |start: Instant| start.elapsed().as_nanos() as f64 / n as f64;
    let enqueueing = Instant::now();
    for slot in &mut slots {
        slot.waker = Some(waker.clone());
    }
    let enqueue_ns = each(enqueueing);
    let releasing = Instant::now();
    for slot in &mut slots {
        // ORDERING: Release pairs with the Acquire below, as a semaphore's grant does with its waiter's poll.
        slot.woken.store(true, Release);
        if let Some(waker) = slot.waker.take() {
            waker.wake();
        }
    }
    let release_ns = each(releasing);
    let polling = Instant::now();
    // ORDERING: Acquire pairs with the Release above.
    let woken = slots.iter().filter(|slot| black_box(slot.woken.load(Acquire))).count();
    let poll_ns = each(polling);
    anyhow::ensure!(woken == n && slots[0].rest[0] == 1, "{woken} of {n} were woken");
    Ok(Sample::of("ns", release_ns + poll_ns)
        .with("enqueue_ns", enqueue_ns)
        .with("release_ns", release_ns)
        .with("poll_ns", poll_ns))
}

/// A waiter in a list.
#[repr(C)]
struct Node {
    previous: *mut Node,
    next: *mut Node,
    rest: [u8; WAITER - 2 * size_of::<*mut Node>()],
}

fn unlink(ask: &Ask, locked: bool) -> Result {
    let n = ask.count("waiters")?;
    let order = cancel::order(n);
    // One more at each end, so that every node has neighbours.
    let mut nodes: Vec<Node> =
        (0..n + 2).map(|_| Node { previous: null_mut(), next: null_mut(), rest: [0; _] }).collect();
    let base = nodes.as_mut_ptr();
    for at in 1..=n {
        // SAFETY: `at` and its neighbours are within the vector, which is not moved any more.
        unsafe {
            (*base.add(at)).previous = base.add(at - 1);
            (*base.add(at)).next = base.add(at + 1);
        }
    }
    let lock = black_box(AtomicBool::new(false));
    let (ns, _) = cancel::timed(&order, ask.limit(), |index| {
        if locked {
            // ORDERING: Acquire and Release, as of any lock.
            while lock.compare_exchange(false, true, Acquire, Relaxed).is_err() {
                spin_loop();
            }
        }
        // SAFETY: each of the n inner nodes is unlinked once, so its neighbours are nodes of the vector.
        unsafe {
            let node = base.add(index + 1);
            let (previous, next) = ((*node).previous, (*node).next);
            (*previous).next = next;
            (*next).previous = previous;
        }
        if locked {
            // ORDERING: as above.
            black_box(&lock.compare_exchange(true, false, Release, Relaxed)).expect("it is held");
        }
    });
    let (first, last) = (nodes[0].next, nodes[n + 1].previous);
    // SAFETY: only addresses within the vector, or one after its end, are made.
    let emptied = unsafe { first == base.add(n + 1) && last == base };
    anyhow::ensure!(emptied && nodes[0].rest[0] == 0, "nodes are left in the list");
    Ok(Sample::of("ns", ns))
}
