//! Every interleaving of a few threads at an address, under weak memory: [`Sema`] and [`RawSema`].
//!
//! Each scenario ends with the table walked, nobody asleep and the permits counted; who is left asleep in the middle is a deadlock
//! of the model. The growing table has a room of its own, `loom_table`. A batch holds two wakers here.

use super::world::{Kind, World, poll};
use crate::address::{RawSema, Sema};
use crate::sys::explore::model;
use crate::sys::mutant::{Mutant, caught};
use crate::{WaitError, WaitOptions};
use loom::cell::UnsafeCell;
use loom::future::block_on;
use loom::sync::Arc;
use loom::thread;
use std::boxed::Box;
use std::future::Future;
use std::pin::Pin;

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// An acquisition of word `i` as a task that is polled by hand, and keeps its permit.
pub(super) fn task<W: Kind>(world: &Arc<World<W>>, i: usize) -> Task {
    let world = world.clone();
    Box::pin(async move { world.acquire(i).await })
}

/// One that waits already.
pub(super) fn waiting<W: Kind>(world: &Arc<World<W>>, i: usize) -> Task {
    let mut task = task(world, i);
    assert!(poll(&mut task).is_pending());
    task
}

pub(super) fn spawn<W: Kind, R: 'static>(
    world: &Arc<World<W>>,
    f: impl FnOnce(&Arc<World<W>>) -> R + 'static,
) -> thread::JoinHandle<R> {
    let world = world.clone();
    thread::spawn(move || f(&world))
}

/// G4: what came before a release is seen after the acquisition, and nobody sleeps on.
fn a_release_reaches_whoever_acquires<W: Kind>() {
    model(|| {
        let world = Arc::new(World::<W>::new());
        let value = Arc::new(UnsafeCell::new(0));
        let seen = value.clone();
        let acquirer = spawn(&world, move |world| {
            block_on(world.acquire(0));
            // SAFETY: written before the release.
            seen.with(|value| unsafe { *value })
        });
        // SAFETY: nobody reads before the release.
        value.with_mut(|value| unsafe { *value = 1 });
        world.release(0, 1);
        assert_eq!(acquirer.join().unwrap(), 1);
        world.assert_ended([0; 4]);
    });
}

/// A thread and a task in one queue, a release for each.
fn two_releases_reach_two_who_acquire<W: Kind>() {
    model(|| {
        let world = Arc::new(World::<W>::new());
        let task = spawn(&world, |world| block_on(world.acquire(0)));
        let blocked = spawn(&world, |world| world.acquire(0).wait());
        world.release(0, 1);
        world.release(0, 1);
        task.join().unwrap();
        blocked.join().unwrap();
        world.assert_ended([0; 4]);
    });
}

/// Two releases at once, and two who wait already.
fn two_releases_at_once_wake_both<W: Kind>() {
    model(|| {
        let world = Arc::new(World::<W>::new());
        let mut both = [waiting(&world, 0), waiting(&world, 0)];
        let releaser = spawn(&world, |world| world.release(0, 1));
        world.release(0, 1);
        releaser.join().unwrap();
        both.iter_mut().for_each(|task| assert!(poll(task).is_ready(), "stranded"));
        world.assert_ended([0; 4]);
    });
}

/// G12: somebody waits at another address of the bucket all the time, and is not woken.
fn a_release_at_an_address_that_shares_its_bucket<W: Kind>() {
    model(|| {
        let world = Arc::new(World::<W>::new());
        let mut other = waiting(&world, 2);
        let acquirer = spawn(&world, |world| block_on(world.acquire(0)));
        world.release(0, 1);
        acquirer.join().unwrap();
        assert!(poll(&mut other).is_pending());
        assert_eq!(world.check(), 1);
        drop(other);
        world.assert_ended([0; 4]);
    });
}

/// More than fit into a batch: two tasks that wait, and a thread that may.
fn a_release_of_many_serves_them_all<W: Kind>() {
    model(|| {
        let world = Arc::new(World::<W>::new());
        let mut tasks = [waiting(&world, 0), waiting(&world, 0)];
        let third = spawn(&world, |world| block_on(world.acquire(0)));
        world.release(0, 3);
        third.join().unwrap();
        tasks.iter_mut().for_each(|task| assert!(poll(task).is_ready(), "stranded"));
        world.assert_ended([0; 4]);
    });
}

/// G27: what is handed over is never in the count.
fn nobody_passes_a_hand_off<W: Kind>() {
    model(|| {
        let world = Arc::new(World::<W>::new());
        let mut front = waiting(&world, 0);
        let barger = spawn(&world, |world| world.try_acquire(0));
        world.hand_off(0);
        assert!(poll(&mut front).is_ready(), "it has been handed over");
        assert!(!barger.join().unwrap(), "somebody took what was handed over");
        world.assert_ended([0; 4]);
    });
}

/// G31 and G27: whoever comes first, the permit ends with the one who acquires.
fn a_hand_off_reaches_whoever_acquires<W: Kind>() {
    model(|| {
        let world = Arc::new(World::<W>::new());
        let acquirer = spawn(&world, |world| block_on(world.acquire(0)));
        world.hand_off(0);
        acquirer.join().unwrap();
        world.assert_ended([0; 4]);
    });
}

/// A hand-off, a release, one who waits and one who comes, and one who tries: two of them have the permits.
fn a_hand_off_and_a_release_at_once<W: Kind>() {
    model(|| {
        let world = Arc::new(World::<W>::new());
        let mut front = waiting(&world, 0);
        let releaser = spawn(&world, |world| world.release(0, 1));
        let acquirer = spawn(&world, |world| block_on(world.acquire(0)));
        world.hand_off(0);
        releaser.join().unwrap();
        acquirer.join().unwrap();
        assert!(poll(&mut front).is_ready(), "stranded");
        world.assert_ended([0; 4]);
    });
}

/// The last one leaves while a release comes: the permit is there, and no bit.
fn the_last_one_leaves_while_a_release_comes<W: Kind>() {
    model(|| {
        let world = Arc::new(World::<W>::new());
        let only = waiting(&world, 0);
        let releaser = spawn(&world, |world| world.release(0, 1));
        drop(only);
        releaser.join().unwrap();
        world.assert_ended([1, 0, 0, 0]);
    });
}

/// The last one leaves while somebody joins, and a release comes.
fn the_last_one_leaves_while_another_joins<W: Kind>() {
    model(|| {
        let world = Arc::new(World::<W>::new());
        let only = waiting(&world, 0);
        let acquirer = spawn(&world, |world| block_on(world.acquire(0)));
        let releaser = spawn(&world, |world| world.release(0, 1));
        drop(only);
        releaser.join().unwrap();
        acquirer.join().unwrap();
        world.assert_ended([0; 4]);
    });
}

/// Queued or woken, whoever goes away leaves the wake-up to the next.
fn who_is_woken_and_goes_away_wakes_the_next<W: Kind>() {
    model(|| {
        let world = Arc::new(World::<W>::new());
        let (first, mut second) = (waiting(&world, 0), waiting(&world, 0));
        let releaser = spawn(&world, |world| world.release(0, 1));
        drop(first);
        releaser.join().unwrap();
        assert!(poll(&mut second).is_ready(), "stranded");
        world.assert_ended([0; 4]);
    });
}

/// Queued or granted, whoever goes away leaves the permit to the next.
fn who_is_granted_and_goes_away_leaves_the_permit<W: Kind>() {
    model(|| {
        let world = Arc::new(World::<W>::new());
        let (first, mut second) = (waiting(&world, 0), waiting(&world, 0));
        let releaser = spawn(&world, |world| world.hand_off(0));
        drop(first);
        releaser.join().unwrap();
        assert!(poll(&mut second).is_ready(), "stranded");
        world.assert_ended([0; 4]);
    });
}

/// Neighbours go away at once, while a release comes for the third.
fn neighbours_leave_at_once<W: Kind>() {
    model(|| {
        let world = Arc::new(World::<W>::new());
        let (first, second, mut third) = (waiting(&world, 0), waiting(&world, 0), waiting(&world, 0));
        let leaver = thread::spawn(move || drop(first));
        let releaser = spawn(&world, |world| world.release(0, 1));
        drop(second);
        leaver.join().unwrap();
        releaser.join().unwrap();
        assert!(poll(&mut third).is_ready(), "stranded");
        world.assert_ended([0; 4]);
    });
}

/// A deadline at the instant of the wake-up: the permit is the waiter's, or the next one's.
fn a_deadline_at_the_instant_of_the_release_loses_nothing<W: Kind>() {
    model(|| {
        let world = Arc::new(World::<W>::new());
        let mut first = Box::pin(world.acquire(0));
        assert!(poll(&mut first).is_pending());
        let mut second = waiting(&world, 0);
        let releaser = spawn(&world, |world| world.release(0, 1));
        let expired = WaitOptions::new().deadline(std::time::Instant::now());
        let result = first.as_mut().wait_pinned(expired);
        releaser.join().unwrap();
        match result {
            Ok(()) => assert!(poll(&mut second).is_pending()),
            Err(error) => {
                assert_eq!(error, WaitError::TimedOut);
                assert!(poll(&mut second).is_ready(), "stranded");
            }
        }
        drop(second);
        world.assert_ended([0; 4]);
    });
}

/// G9: somebody else is faster, and whoever was woken joins again, with the same node.
fn who_loses_joins_again<W: Kind>() {
    model(|| {
        let world = Arc::new(World::<W>::new());
        let mut waiter = waiting(&world, 0);
        let releaser = spawn(&world, |world| world.release(0, 1));
        let faster = world.try_acquire(0);
        let mut ready = poll(&mut waiter).is_ready();
        releaser.join().unwrap();
        world.release(0, 1);
        ready = ready || poll(&mut waiter).is_ready();
        assert!(ready, "stranded");
        world.assert_ended([1 - u32::from(faster), 0, 0, 0]);
    });
}

/// B11: whoever was given the permit makes something else of the memory at once, even before its waker has been called.
fn the_word_may_be_freed<W: Kind>(release: fn(&World<W>)) {
    model(move || {
        let world = Arc::new(World::<W>::new());
        let mut waiter = waiting(&world, 0);
        let releaser = spawn(&world, move |world| release(world));
        let mut ready = poll(&mut waiter).is_ready();
        if !ready {
            ready = poll(&mut waiter).is_ready();
        }
        if ready {
            // SAFETY: the permit was the only one, and its releaser has released.
            unsafe { world.overwrite(0, u32::MAX) };
        }
        releaser.join().unwrap();
        if ready {
            assert_eq!(world.count(0), W::count_of(u32::MAX), "what stands there now has been touched");
        } else {
            assert!(poll(&mut waiter).is_ready(), "stranded");
        }
    });
}

fn the_word_may_be_freed_after_a_release<W: Kind>() {
    the_word_may_be_freed::<W>(|world| world.release(0, 1));
}

fn the_word_may_be_freed_after_a_hand_off<W: Kind>() {
    the_word_may_be_freed::<W>(|world| world.hand_off(0));
}

/// B11, with nobody in the queue at first: the releaser may still be on its way when the memory has become another word, on
/// which others wait. It may wake them, for nothing.
fn the_word_may_become_another<W: Kind>() {
    model(|| {
        let world = Arc::new(World::<W>::new());
        let releaser = spawn(&world, |world| world.release(0, 1));
        let mut others = None;
        if world.try_acquire(0) {
            // SAFETY: the permit was the only one, and its releaser has released.
            unsafe { world.overwrite(0, 0) };
            others = Some([waiting(&world, 0), waiting(&world, 0)]);
        }
        releaser.join().unwrap();
        match &mut others {
            None => world.assert_ended([1, 0, 0, 0]),
            Some(tasks) => {
                tasks.iter_mut().for_each(|task| assert!(poll(task).is_pending(), "granted what was not there"));
                world.release(0, 1);
                world.hand_off(0);
                tasks.iter_mut().for_each(|task| assert!(poll(task).is_ready(), "stranded"));
                world.assert_ended([0; 4]);
            }
        }
    });
}

macro_rules! for_both {
    ($($name:ident),* $(,)?) => {
        mod bit {
            $(#[test]
            fn $name() {
                super::$name::<super::Sema>();
            })*
        }
        mod raw {
            $(#[test]
            fn $name() {
                super::$name::<super::RawSema>();
            })*
        }
    };
}
pub(super) use for_both;

for_both! {
    a_release_reaches_whoever_acquires,
    two_releases_reach_two_who_acquire,
    two_releases_at_once_wake_both,
    a_release_at_an_address_that_shares_its_bucket,
    a_release_of_many_serves_them_all,
    nobody_passes_a_hand_off,
    a_hand_off_reaches_whoever_acquires,
    a_hand_off_and_a_release_at_once,
    the_last_one_leaves_while_a_release_comes,
    the_last_one_leaves_while_another_joins,
    who_is_woken_and_goes_away_wakes_the_next,
    who_is_granted_and_goes_away_leaves_the_permit,
    neighbours_leave_at_once,
    a_deadline_at_the_instant_of_the_release_loses_nothing,
    who_loses_joins_again,
    the_word_may_be_freed_after_a_release,
    the_word_may_be_freed_after_a_hand_off,
    the_word_may_become_another,
}

/// A seeded bug, and the scenario of this file that catches it.
macro_rules! seeded {
    ($($test:ident: $mutant:ident in $check:literal, $because:literal;)*) => {
        $(#[test]
        fn $test() {
            super::caught(super::Mutant::$mutant, concat!("address::tests::", $check), $because);
        })*
    };
}
pub(super) use seeded;

mod seeded_bugs {
    super::seeded! {
        two_locations_need_their_order: FenceMissing in "loom::raw::a_release_reaches_whoever_acquires", "deadlock";
        to_look_before_announcing_strands: LookBeforeAnnounce in "loom::raw::a_release_reaches_whoever_acquires", "deadlock";
        a_bit_that_is_not_set_strands: BitUnset in "loom::bit::a_release_reaches_whoever_acquires", "deadlock";
        a_bit_that_is_cleared_early_strands: BitClearedEarly in "loom::bit::two_releases_at_once_wake_both", "stranded";
        a_bit_that_is_cleared_late_is_somebody_elses: BitClearedLate
            in "loom::bit::the_word_may_be_freed_after_a_hand_off", "Causality violation";
        a_word_that_is_touched_late_is_somebody_elses: WordTouchedLate
            in "loom::raw::the_word_may_be_freed_after_a_release", "Causality violation";
        a_waker_that_is_taken_late_is_somebody_elses: WakerTakenLate in "loom::raw::who_loses_joins_again", "Causality violation";
        a_wake_up_that_is_not_passed_on_strands: WakeNotPassedOn
            in "loom::bit::who_is_woken_and_goes_away_wakes_the_next", "stranded";
        a_wake_up_that_is_lost_at_a_deadline_strands: WakeNotPassedOn
            in "loom::raw::a_deadline_at_the_instant_of_the_release_loses_nothing", "stranded";
        a_grant_that_is_not_given_back_strands: GrantLost
            in "loom::raw::who_is_granted_and_goes_away_leaves_the_permit", "stranded";
        a_hand_off_through_the_count_is_passed: HandoffThroughCount
            in "loom::bit::nobody_passes_a_hand_off", "it has been handed over";
        a_service_that_ends_with_a_batch_strands: BatchUnfinished
            in "loom::bit::a_release_of_many_serves_them_all", "deadlock";
    }
}
