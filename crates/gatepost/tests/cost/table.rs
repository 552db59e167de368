//! The operations and what each may cost.

use super::ruler::{self, Counts, measured};
use gatepost::address::{RawSema, Sema};
use gatepost::{Acquire, Semaphore};
use std::hint::black_box;
use std::mem::ManuallyDrop;
use std::pin::{Pin, pin};
use std::process::Command;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

#[cfg(feature = "std")]
use super::ruler::Hold;
#[cfg(feature = "alloc")]
use std::sync::Arc;

/// The process that measures is this test again, with this in its environment.
const MEASURED: &str = "GATEPOST_COST_MEASURED";
const NAME: &str = "table::fast_paths_cost_what_the_design_says";

/// An operation and what it may cost. Calls of the allocator: none, ever.
struct Row {
    name: &'static str,
    locked: u64,
    fences: u64,
    syscalls: u64,
    /// The most instructions in an optimized build without optional features.
    instructions: u64,
}

const fn row(name: &'static str, locked: u64, instructions: u64) -> Row {
    Row { name, locked, fences: 0, syscalls: 0, instructions }
}

/// Of the rows in which a thread meets the kernel.
#[cfg(feature = "std")]
const fn with_syscalls(syscalls: u64, row: Row) -> Row {
    Row { syscalls, ..row }
}

const UNBOUNDED: u64 = u64::MAX;
/// To take the small lock, and to give it back: without `std` nobody sleeps for it, and a store gives it back.
const LOCK: u64 = if cfg!(feature = "std") { 2 } else { 1 };
/// "Acquire or release, with what is around it".
const FEW: u64 = 60;

static ROWS: &[Row] = &[
    row("nothing", 0, 0),
    Row { fences: 3, syscalls: 1, ..row("four locked, three fences, a system call", 4, UNBOUNDED) },
    // Nobody waits: one for the acquisition, one for the release.
    row("try_acquire, drop", 2, FEW),
    row("try_acquire_many(8), drop", 2, FEW),
    row("try_acquire_n(8), drop", 2, FEW),
    row("acquire().poll, drop", 2, 2 * FEW),
    row("acquire_many(8).poll, drop", 2, 2 * FEW),
    row("acquire_n(8).poll, drop", 2, 2 * FEW),
    row("try_acquire of the last permit", 1, FEW),
    row("drop of the last permit", 1, FEW),
    row("add_permits", 1, FEW),
    row("forget_permits", 1, FEW),
    row("close", 1, FEW),
    row("acquire_many(0).poll, drop", 1, 2 * FEW),
    // No answer costs an atomic operation.
    row("try_acquire of too many", 0, FEW),
    row("try_acquire past a queue", 0, FEW),
    row("try_acquire past a queue, of what is there", 2, UNBOUNDED),
    row("try_acquire of a closed one", 0, FEW),
    row("available_permits, num_waiters, is_closed", 0, FEW),
    row("split, merge, forget", 0, FEW),
    row("drop of a future that was not polled", 0, FEW),
    // Waiting, as the table at the head of the strict policy has it. The waker is one that does nothing.
    row("poll that joins the queue", 2, UNBOUNDED),
    row("poll of a queued future", 0, FEW),
    row("poll of a queued future, other waker", 2, UNBOUNDED),
    row("release that serves nobody", 2, UNBOUNDED),
    row("release that serves one", 2, UNBOUNDED),
    row("poll of a granted future", 0, FEW),
    row("drop of a future that is done", 0, FEW),
    row("drop of a queued future", 2, UNBOUNDED),
    row("drop of a granted future", 1, UNBOUNDED),
    row("release that serves 32", 2, UNBOUNDED),
    row("release that serves 33", 4, UNBOUNDED),
    #[cfg(feature = "alloc")]
    row("Arc::clone, drop", 2, FEW),
    #[cfg(feature = "alloc")]
    row("try_acquire_owned, drop", 2 + 2, 2 * FEW),
    #[cfg(feature = "alloc")]
    row("acquire_owned().poll, drop", 2 + 2, 2 * FEW),
    #[cfg(feature = "alloc")]
    row("acquire_many_owned(8).poll, drop", 2 + 2, 2 * FEW),
    #[cfg(feature = "std")]
    row("blocking_acquire, drop", 2, 2 * FEW),
    #[cfg(feature = "std")]
    row("blocking_acquire_many(8), drop", 2, 2 * FEW),
    #[cfg(feature = "std")]
    row("blocking_acquire_owned, drop", 2 + 2, 2 * FEW),
    #[cfg(feature = "std")]
    row("wait_deadline, drop", 2, 2 * FEW),
    // A thread that blocks: two to join the queue, two to park. Its waker: one, and the kernel if it was parked.
    #[cfg(feature = "std")]
    with_syscalls(1, row("blocking_acquire that sleeps", 2 + 2, UNBOUNDED)),
    #[cfg(feature = "std")]
    with_syscalls(1, row("release that wakes a sleeping thread", 2 + 1, UNBOUNDED)),
    #[cfg(feature = "std")]
    row("blocking_acquire, granted as it parks", 2 + 2, UNBOUNDED),
    #[cfg(feature = "std")]
    row("release that serves a thread before it parks", 2 + 1, UNBOUNDED),
    // The semaphores of four bytes.
    row("Sema: try_acquire, release", 2, FEW),
    row("Sema: acquire().poll, release", 2, FEW),
    row("RawSema: try_acquire, release", 2, FEW),
    row("Sema: release_n(8)", 1, FEW),
    row("Sema: release_handoff to nobody", 1, FEW),
    row("Sema: try_acquire of none", 0, FEW),
    // The bucket's lock and its end; the bit, or (of a `RawSema`, to join) what says in the table that somebody waits.
    row("Sema: poll that joins the queue", LOCK + 1, UNBOUNDED),
    row("Sema: release that wakes one, the last", 1 + LOCK + 1, UNBOUNDED),
    row("Sema: poll of a woken future", 1, FEW),
    row("Sema: drop of a queued future", LOCK + 1, UNBOUNDED),
    row("RawSema: poll that joins the queue", LOCK + 1, UNBOUNDED),
    row("RawSema: release that wakes one", 1 + LOCK, UNBOUNDED),
    #[cfg(feature = "std")]
    row("Sema: blocking_acquire, release", 2, FEW),
    #[cfg(feature = "std")]
    row("Sema: acquire_then of what is there, release", 2, UNBOUNDED),
    // The kernel's.
    #[cfg(feature = "std")]
    row("kernel::Semaphore: wait", 1, FEW),
    #[cfg(feature = "std")]
    row("kernel::Semaphore: post", 1, FEW),
    #[cfg(feature = "std")]
    row("kernel::Mutex: lock, drop", 2, 2 * FEW),
];

/// Has `operation` measured as the row of that name.
#[inline(always)]
fn measure<R>(name: &str, operation: impl FnOnce() -> R) -> R {
    let row = ROWS.iter().position(|row| row.name == name).unwrap_or_else(|| panic!("no row {name:?}"));
    measured::region(row, operation)
}

#[test]
fn fast_paths_cost_what_the_design_says() {
    if std::env::var_os(MEASURED).is_some() {
        return be_measured();
    }
    if option_env!("RUSTFLAGS").is_some_and(|flags| flags.contains("sanitizer")) {
        return println!("nothing is counted here: a sanitizer's instructions are among the library's");
    }
    let this = std::env::current_exe().expect("a test has an executable");
    let mut again = Command::new(this);
    again.args([NAME, "--exact", "--nocapture", "--test-threads=1"]).env(MEASURED, "1");
    let rows = ruler::measure(&mut again);

    let of = |index: usize, row: &Row| *rows.get(&index).unwrap_or_else(|| panic!("{:?} was not measured", row.name));
    println!("{:46} {:>7} {:>7} {:>9} {:>10} {:>13}", "", "locked", "fences", "syscalls", "allocator", "instructions");
    let mut wrong = Vec::new();
    for (index, row) in ROWS.iter().enumerate() {
        let Counts { instructions, locked, fences, syscalls, allocator } = of(index, row);
        println!("{:46} {locked:7} {fences:7} {syscalls:9} {allocator:10} {instructions:13}", row.name);
        if (locked, fences, syscalls, allocator) != (row.locked, row.fences, row.syscalls, 0) {
            wrong.push(format!(
                "{}: {locked} locked, {fences} fences, {syscalls} system calls, {allocator} calls of the allocator; it \
                 should be {}, {}, {}, 0",
                row.name, row.locked, row.fences, row.syscalls
            ));
        }
        if BOUNDED && instructions > row.instructions {
            wrong.push(format!("{}: {instructions} instructions; at most {} are due", row.name, row.instructions));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether the numbers of instructions are those that users get.
const BOUNDED: bool = !cfg!(any(debug_assertions, feature = "tokio", feature = "tracing"));

/// Everything is measured twice: the first time warms up what is set up once, and the ruler keeps the second.
fn be_measured() {
    measured::use_one_processor();
    measured::begin();
    for _ in 0..2 {
        the_ruler_itself();
        nobody_waits();
        somebody_waits();
        four_bytes();
        #[cfg(feature = "alloc")]
        owned();
        #[cfg(feature = "std")]
        threads();
        #[cfg(feature = "std")]
        kernel();
    }
    measured::done();
}

/// So that a ruler which sees nothing is noticed.
fn the_ruler_itself() {
    measure("nothing", || ());
    let (mut memory, mut buffer) = (0_u64, [1_u8; 64]);
    measure("four locked, three fences, a system call", || {
        let kernel = libc::SYS_getppid;
        // SAFETY: writes `memory` and `buffer`, both this frame's, and asks for a number.
        unsafe {
            std::arch::asm!(
                "lock xadd [{memory}], {one}",
                "lock cmpxchg [{memory}], {one}",
                "lock inc dword ptr [{memory}]",
                "xchg [{memory}], {one}",
                "xchg {other}, {one}",
                "mfence",
                "sfence",
                "lock or dword ptr [rsp], 0",
                "xor eax, eax",
                "rep stosb",
                "mov rax, {kernel}",
                "syscall",
                memory = in(reg) &raw mut memory,
                one = inout(reg) 1_u64 => _,
                other = inout(reg) 1_u64 => _,
                kernel = in(reg) kernel,
                inout("rcx") 64_u64 => _,
                inout("rdi") buffer.as_mut_ptr() => _,
                out("rax") _,
                out("r11") _,
            );
        }
    });
    assert_eq!(black_box(buffer), [0; 64], "it went through");
}

fn nobody_waits() {
    let semaphore = black_box(Semaphore::new(100));
    measure("try_acquire, drop", || semaphore.try_acquire().map(drop)).expect("free");
    measure("try_acquire_many(8), drop", || semaphore.try_acquire_many(8).map(drop)).expect("free");
    measure("try_acquire_n(8), drop", || semaphore.try_acquire_n(8).map(drop)).expect("free");
    let cx = &mut Context::from_waker(Waker::noop());
    measure("acquire().poll, drop", || assert!(pin!(semaphore.acquire()).poll(cx).is_ready()));
    measure("acquire_many(8).poll, drop", || assert!(pin!(semaphore.acquire_many(8)).poll(cx).is_ready()));
    measure("acquire_n(8).poll, drop", || assert!(pin!(semaphore.acquire_n(8)).poll(cx).is_ready()));
    measure("add_permits", || semaphore.add_permits(1));
    assert_eq!(measure("forget_permits", || semaphore.forget_permits(1)), 1);
    assert!(measure("try_acquire of too many", || semaphore.try_acquire_many(200).is_err()));
    measure("drop of a future that was not polled", || drop(semaphore.acquire()));

    let last = black_box(Semaphore::new(1));
    let permit = measure("try_acquire of the last permit", || last.try_acquire()).expect("free");
    assert_eq!(last.available_permits(), 0);
    measure("drop of the last permit", || drop(permit));
    assert_eq!(last.available_permits(), 1);

    let mut all = semaphore.try_acquire_many(10).expect("free");
    measure("split, merge, forget", || {
        if let Some(part) = all.split(4) {
            all.merge(part);
        }
        all.forget();
    });
    measure("acquire_many(0).poll, drop", || assert!(pin!(semaphore.acquire_many(0)).poll(cx).is_ready()));
    measure("close", || semaphore.close());
    assert!(measure("try_acquire of a closed one", || semaphore.try_acquire().is_err()));
    measure("available_permits, num_waiters, is_closed", || {
        black_box((semaphore.available_permits(), semaphore.num_waiters(), semaphore.is_closed()))
    });
}

/// A waker that does nothing, and is another than `Waker::noop`.
fn other_waker() -> Waker {
    static VTABLE: RawWakerVTable = RawWakerVTable::new(raw, |_| (), |_| (), |_| ());
    fn raw(data: *const ()) -> RawWaker {
        RawWaker::new(data, &VTABLE)
    }
    // SAFETY: the functions look at nothing.
    unsafe { Waker::from_raw(raw(std::ptr::null())) }
}

/// A future in place, to be dropped by name.
struct Slot<'a>(ManuallyDrop<Acquire<'a>>);

impl<'a> Slot<'a> {
    fn new(future: Acquire<'a>) -> Box<Self> {
        Box::new(Self(ManuallyDrop::new(future)))
    }

    #[inline(always)]
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<<Acquire<'a> as Future>::Output> {
        // SAFETY: boxed, and dropped in its box.
        unsafe { Pin::new_unchecked(&mut *self.0) }.poll(cx)
    }

    #[inline(always)]
    fn end(&mut self) {
        // SAFETY: each slot is dropped once, below.
        unsafe { ManuallyDrop::drop(&mut self.0) }
    }
}

fn somebody_waits() {
    let cx = &mut Context::from_waker(Waker::noop());
    let semaphore = black_box(Semaphore::new(0));
    let mut waiting = Slot::new(semaphore.acquire_many(2));
    measure("poll that joins the queue", || assert!(waiting.poll(cx).is_pending()));
    measure("poll of a queued future", || assert!(waiting.poll(cx).is_pending()));
    let other = other_waker();
    measure("poll of a queued future, other waker", || {
        assert!(waiting.poll(&mut Context::from_waker(&other)).is_pending());
    });
    assert!(measure("try_acquire past a queue", || semaphore.try_acquire().is_err()));
    measure("release that serves nobody", || semaphore.add_permits(1));
    assert!(measure("try_acquire past a queue, of what is there", || semaphore.try_acquire().is_err()));
    measure("release that serves one", || semaphore.add_permits(1));
    let permit = measure("poll of a granted future", || waiting.poll(cx));
    measure("drop of a future that is done", || waiting.end());
    assert!(matches!(permit, Poll::Ready(Ok(permit)) if permit.num_permits() == 2));

    assert_eq!(semaphore.forget_permits(2), 2);
    let (mut queued, mut granted) = (Slot::new(semaphore.acquire()), Slot::new(semaphore.acquire()));
    assert!(queued.poll(cx).is_pending() && granted.poll(cx).is_pending());
    measure("drop of a queued future", || queued.end());
    semaphore.add_permits(1);
    measure("drop of a granted future", || granted.end());
    assert_eq!(semaphore.forget_permits(1), 1);

    let mut many: Vec<_> = (0..65).map(|_| Box::pin(semaphore.acquire())).collect();
    for future in &mut many {
        assert!(future.as_mut().poll(cx).is_pending());
    }
    measure("release that serves 32", || semaphore.add_permits(32));
    assert_eq!(semaphore.num_waiters(), 33);
    measure("release that serves 33", || semaphore.add_permits(33));
    assert_eq!(semaphore.num_waiters(), 0);
}

fn four_bytes() {
    let cx = &mut Context::from_waker(Waker::noop());
    let sema = black_box(Sema::new(8));
    assert!(measure("Sema: try_acquire, release", || {
        let taken = sema.try_acquire();
        sema.release();
        taken
    }));
    measure("Sema: acquire().poll, release", || {
        assert!(pin!(sema.acquire()).poll(cx).is_ready());
        sema.release();
    });
    let raw = black_box(RawSema::new(8));
    assert!(measure("RawSema: try_acquire, release", || {
        let taken = raw.try_acquire();
        raw.release();
        taken
    }));
    measure("Sema: release_n(8)", || sema.release_n(8));
    measure("Sema: release_handoff to nobody", || sema.release_handoff());
    let none = black_box(Sema::new(0));
    assert!(!measure("Sema: try_acquire of none", || none.try_acquire()));

    let mut waiting = Box::pin(none.acquire());
    measure("Sema: poll that joins the queue", || assert!(waiting.as_mut().poll(cx).is_pending()));
    measure("Sema: release that wakes one, the last", || none.release());
    measure("Sema: poll of a woken future", || assert!(waiting.as_mut().poll(cx).is_ready()));
    let mut queued = ManuallyDrop::new(none.acquire());
    // SAFETY: it stays in place until it is dropped, below.
    assert!(unsafe { Pin::new_unchecked(&mut *queued) }.poll(cx).is_pending());
    // SAFETY: dropped once.
    measure("Sema: drop of a queued future", || unsafe { ManuallyDrop::drop(&mut queued) });

    let none = black_box(RawSema::new(0));
    let mut waiting = Box::pin(none.acquire());
    measure("RawSema: poll that joins the queue", || assert!(waiting.as_mut().poll(cx).is_pending()));
    measure("RawSema: release that wakes one", || none.release());
    assert!(waiting.as_mut().poll(cx).is_ready());

    #[cfg(feature = "std")]
    {
        static SEMA: Sema = Sema::new(1);
        measure("Sema: blocking_acquire, release", || {
            sema.blocking_acquire();
            sema.release();
        });
        measure("Sema: acquire_then of what is there, release", || SEMA.acquire_then(|| SEMA.release()));
    }
}

#[cfg(feature = "alloc")]
fn owned() {
    let semaphore = black_box(Arc::new(Semaphore::new(100)));
    let cx = &mut Context::from_waker(Waker::noop());
    measure("Arc::clone, drop", || drop(black_box(semaphore.clone())));
    measure("try_acquire_owned, drop", || semaphore.clone().try_acquire_owned().map(drop)).expect("free");
    measure("acquire_owned().poll, drop", || {
        assert!(pin!(semaphore.clone().acquire_owned()).poll(cx).is_ready());
    });
    measure("acquire_many_owned(8).poll, drop", || {
        assert!(pin!(semaphore.clone().acquire_many_owned(8)).poll(cx).is_ready());
    });
}

#[cfg(feature = "std")]
fn threads() {
    use std::time::Instant;

    let semaphore = black_box(Arc::new(Semaphore::new(100)));
    measure("blocking_acquire, drop", || semaphore.blocking_acquire().map(drop)).expect("open");
    measure("blocking_acquire_many(8), drop", || semaphore.blocking_acquire_many(8).map(drop)).expect("open");
    measure("blocking_acquire_owned, drop", || semaphore.clone().blocking_acquire_owned().map(drop)).expect("open");
    let past = Instant::now();
    measure("wait_deadline, drop", || semaphore.acquire().wait_deadline(past).map(drop)).expect("open");

    hand_over(Hold::BeforeSleeping, "blocking_acquire that sleeps", "release that wakes a sleeping thread");
    hand_over(
        Hold::BeforeLocked(3), // the first two join the queue, the third parks
        "blocking_acquire, granted as it parks",
        "release that serves a thread before it parks",
    );
}

#[cfg(feature = "std")]
fn kernel() {
    use gatepost::kernel::{self, Deadline, Native};

    let semaphore = black_box(kernel::Semaphore::<Native>::new(1));
    measure("kernel::Semaphore: wait", || semaphore.wait(Deadline::INFINITE)).expect("free");
    measure("kernel::Semaphore: post", || semaphore.post());
    let mutex = black_box(kernel::Mutex::<(), Native>::new(()));
    measure("kernel::Mutex: lock, drop", || mutex.lock().map(drop)).expect("free");
}

/// A thread that is held where `hold` says, and another that releases meanwhile.
#[cfg(feature = "std")]
fn hand_over(hold: Hold, waiting: &'static str, releasing: &'static str) {
    let semaphore = Semaphore::new(0);
    let (started, starting) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // It has blocked before: it has its parker.
            let expired = semaphore.acquire().wait_deadline(std::time::Instant::now());
            assert!(expired.is_err());
            measured::begin();
            started.send(measured::thread_id()).expect("the other thread listens");
            measure(waiting, || semaphore.blocking_acquire()).expect("open").forget();
        });
        measured::pair(starting.recv().expect("a thread"), hold);
        measure(releasing, || semaphore.add_permits(1));
        measured::unpair();
    });
}
