//! G11: where Go's count wraps around, ours is refused, before anything has changed.

use crate::common::panics::caught;
use crate::common::task::Task;
use crate::gate::{Gate, New, Word};
use std::cell::Cell;

/// A gate that counts one, with one who was woken for it and has not looked, and one who waits.
fn with_waiter<W: Word>(new: New<W>) -> (Gate<W>, [Task<gatepost::address::Acquire<'static, W>>; 2]) {
    let gate = new(0);
    let tasks = [Task::queued(gate.acquire()), Task::queued(gate.acquire())];
    gate.release();
    (gate, tasks)
}

fn message<W: Word>() -> String {
    format!("a semaphore of four bytes counts to {} and not beyond", W::MAX_COUNT)
}

#[test]
fn g11_all_that_can_be_counted_may_be_added_and_not_one_more() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        assert_eq!(gate.release_n(W::MAX_COUNT), W::MAX_COUNT);
        caught(|| gate.release()).says(&message::<W>(), file!());
        caught(|| gate.release_n(1)).says(&message::<W>(), file!());
        caught(|| gate.release_n(u32::MAX)).says(&message::<W>(), file!());
        caught(|| gate.handoff()).says(&message::<W>(), file!());
        gate.has(W::MAX_COUNT, 0);
        assert_eq!(gate.release_n(0), W::MAX_COUNT, "nothing more is always possible");
        assert!(gate.try_acquire());
        gate.release();
        gate.has(W::MAX_COUNT, 0);
    }
    each_gate!(check);
}

#[test]
fn g11_the_message_says_what_was_there_and_what_was_asked() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(7);
        let asked = W::MAX_COUNT - 6;
        let panic = caught(|| gate.release_n(asked));
        panic.says(&format!("{asked} were to be added to 7"), file!());
    }
    each_gate!(check);
}

/// The edge, from each distance, by one and by many.
#[test]
fn g11_the_edge_is_exact() {
    fn check<W: Word>(new: New<W>) {
        for below in [0, 1, 2, 4095, 4096, 4097, 1 << 20, W::MAX_COUNT / 2, W::MAX_COUNT - 1] {
            let gate = new(W::MAX_COUNT - below);
            let _ = caught(|| gate.release_n(below + 1));
            gate.has(W::MAX_COUNT - below, 0);
            assert_eq!(gate.release_n(below), W::MAX_COUNT);
        }
        // Sums on both sides of half of what can be counted.
        for at in [W::MAX_COUNT / 4, W::MAX_COUNT / 2, W::MAX_COUNT / 4 * 3] {
            for n in [1, 2, 4095, 4096, 100_000] {
                let gate = new(at - n / 2);
                assert_eq!(gate.release_n(n), at - n / 2 + n);
                gate.has(at - n / 2 + n, 0);
            }
        }
    }
    each_gate!(check);
}

#[test]
fn g11_a_refused_release_wakes_nobody_and_loses_nobody() {
    fn check<W: Word>(new: New<W>) {
        let (gate, [mut woken, mut waits]) = with_waiter(new);
        caught(|| gate.release_n(W::MAX_COUNT)).says(&message::<W>(), file!());
        gate.has(1, 1);
        assert_eq!((woken.wakes(), waits.wakes()), (1, 0));
        gate.release();
        assert_eq!(waits.wakes(), 1);
        woken.ready();
        waits.ready();
        gate.has(0, 0);
    }
    each_gate!(check);
}

#[test]
fn g11_up_to_the_edge_those_who_wait_are_woken() {
    fn check<W: Word>(new: New<W>) {
        let (gate, [mut woken, mut waits]) = with_waiter(new);
        assert_eq!(gate.release_n(W::MAX_COUNT - 1), W::MAX_COUNT);
        assert_eq!((woken.wakes(), waits.wakes()), (1, 1));
        gate.has(W::MAX_COUNT, 0);
        woken.ready();
        waits.ready();
        gate.has(W::MAX_COUNT - 2, 0);
    }
    each_gate!(check);
}

/// What is handed over is never counted: the count is as high as it gets, and still there is room for it. (Somebody waits
/// while it is so high only behind those who were woken, and whose permits have not been released by the usual way.)
#[test]
fn g11_at_the_edge_a_hand_off_to_somebody_succeeds() {
    use gatepost::address::RawSema;
    use std::sync::atomic::Ordering::Relaxed;

    fn check(new: New<RawSema>) {
        let gate = new(0);
        let mut task = Task::queued(gate.acquire());
        gate.word.as_atomic().store(u32::MAX, Relaxed); // a change by other means, which wakes nobody
        caught(|| gate.release()).says(&message::<RawSema>(), file!());
        gate.has(u32::MAX, 1);
        gate.handoff();
        gate.has(u32::MAX, 0);
        task.ready();
        gate.has(u32::MAX, 0);
    }
    check(Gate::private);
    check(Gate::global);
}

/// Threads that release at the edge: as many succeed as there is room.
#[test]
fn g11_of_threads_that_release_at_the_edge_as_many_succeed_as_there_is_room() {
    use crate::common::thread::start;

    fn check<W: Word>(new: New<W>) {
        const ROOM: u32 = 100;
        let gate = new(W::MAX_COUNT - ROOM);
        let threads = [(); 4].map(|()| {
            start(move || {
                let released = Cell::new(0);
                // Until the first one that is refused: it stays full then.
                let refused = caught(|| {
                    loop {
                        gate.release();
                        released.set(released.get() + 1);
                    }
                });
                refused.says(&message::<W>(), file!());
                released.get()
            })
        });
        let released: u32 = threads.map(|thread| thread.join()).into_iter().sum();
        assert_eq!(released, ROOM);
        gate.has(W::MAX_COUNT, 0);
    }
    each_gate!(check);
}
