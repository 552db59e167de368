//! Every interleaving of a split with what goes on at the addresses that it moves.
//!
//! A bucket with two addresses is split: whoever joins word 3 while somebody waits at word 1 moves both to bucket 1, and
//! leaves bucket 0 empty; then bucket 0, of which nobody is, and then bucket 1.

use super::loom::{for_both, seeded, spawn, waiting};
use super::world::{Kind, World, poll};
use crate::address::{RawSema, Sema};
use crate::sys::explore::model;
use crate::sys::mutant::{Mutant, caught};
use loom::future::block_on;
use loom::sync::Arc;

/// Joins word 3, which splits, and goes away.
fn split<W: Kind>(world: &Arc<World<W>>) {
    drop(waiting(world, 3));
}

/// B-I3: in each moment of the split the releaser finds whom it moves.
fn a_release_finds_whom_a_split_moves<W: Kind>() {
    model(|| {
        let world = Arc::new(World::<W>::new());
        let mut moved = waiting(&world, 1);
        let splitter = spawn(&world, split);
        world.release(1, 1);
        splitter.join().unwrap();
        assert!(poll(&mut moved).is_ready(), "stranded");
        world.assert_ended([0; 4]);
    });
}

/// The same when somebody stays, and goes on waiting.
fn a_release_finds_whom_a_split_takes_from_others<W: Kind>() {
    model(|| {
        let world = Arc::new(World::<W>::new());
        let mut moved = waiting(&world, 1);
        let splitter = spawn(&world, |world| drop(waiting(world, 0)));
        world.release(1, 1);
        splitter.join().unwrap();
        assert!(poll(&mut moved).is_ready(), "stranded");
        world.assert_ended([0; 4]);
    });
}

/// Nobody passes, at an address that moves.
fn a_hand_off_finds_whom_a_split_moves<W: Kind>() {
    model(|| {
        let world = Arc::new(World::<W>::new());
        let mut moved = waiting(&world, 1);
        let splitter = spawn(&world, split);
        world.hand_off(1);
        assert!(!world.try_acquire(1), "it has been handed over");
        splitter.join().unwrap();
        assert!(poll(&mut moved).is_ready(), "stranded");
        world.assert_ended([0; 4]);
    });
}

/// Who leaves is taken out of the bucket in which it is now.
fn whoever_a_split_moves_may_leave<W: Kind>() {
    model(|| {
        let world = Arc::new(World::<W>::new());
        let moved = waiting(&world, 1);
        let splitter = spawn(&world, split);
        drop(moved);
        splitter.join().unwrap();
        world.assert_ended([0; 4]);
    });
}

/// And leaves its wake-up to the one behind it.
fn whoever_a_split_moves_may_leave_while_a_release_comes<W: Kind>() {
    model(|| {
        let world = Arc::new(World::<W>::new());
        let (first, mut second) = (waiting(&world, 1), waiting(&world, 1));
        let splitter = spawn(&world, split);
        let releaser = spawn(&world, |world| world.release(1, 1));
        drop(first);
        splitter.join().unwrap();
        releaser.join().unwrap();
        assert!(poll(&mut second).is_ready(), "stranded");
        world.assert_ended([0; 4]);
    });
}

/// Who joins while its bucket is split waits in the one to which it belongs, and the release finds it there.
fn whoever_joins_during_a_split_is_found<W: Kind>() {
    model(|| {
        let world = Arc::new(World::<W>::new());
        let acquirer = spawn(&world, |world| block_on(world.acquire(1)));
        let splitter = spawn(&world, |world| {
            let other = waiting(world, 0);
            split(world);
            drop(other);
        });
        world.release(1, 1);
        acquirer.join().unwrap();
        splitter.join().unwrap();
        world.assert_ended([0; 4]);
    });
}

/// Two who make their buckets crowded at one time, and a release.
fn two_splits_at_once<W: Kind>() {
    model(|| {
        let world = Arc::new(World::<W>::new());
        let mut moved = waiting(&world, 3);
        let one = spawn(&world, |world| waiting(world, 1));
        let other = spawn(&world, |world| waiting(world, 2));
        world.release(3, 1);
        let mut rest = [(1, one.join().unwrap()), (2, other.join().unwrap())];
        assert_eq!(world.check(), 2);
        assert!(poll(&mut moved).is_ready(), "stranded");
        for (i, task) in &mut rest {
            world.release(*i, 1);
            assert!(poll(task).is_ready(), "stranded");
        }
        world.assert_ended([0; 4]);
    });
}

for_both! {
    a_release_finds_whom_a_split_moves,
    a_release_finds_whom_a_split_takes_from_others,
    a_hand_off_finds_whom_a_split_moves,
    whoever_a_split_moves_may_leave,
    whoever_a_split_moves_may_leave_while_a_release_comes,
    whoever_joins_during_a_split_is_found,
    two_splits_at_once,
}

mod seeded_bugs {
    super::seeded! {
        a_bucket_that_is_not_the_right_one_strands: StaleBucket
            in "loom_table::bit::a_release_finds_whom_a_split_moves", "stranded";
        a_bucket_that_is_not_the_right_one_does_not_hold_who_leaves: StaleBucket
            in "loom_table::raw::whoever_a_split_moves_may_leave", "this one waits there";
        a_split_that_is_not_seen_strands: SplitUnseen in "loom_table::raw::a_release_finds_whom_a_split_moves", "stranded";
        a_split_out_of_order_strands: SplitOutOfOrder in "loom_table::raw::a_release_finds_whom_a_split_moves", "stranded";
        who_is_moved_and_not_counted_is_missed: MovedUncounted
            in "loom_table::raw::a_release_finds_whom_a_split_moves", "B-I2: each waiter is counted";
        two_locations_need_their_order_in_a_split_too: FenceMissing
            in "loom_table::raw::whoever_joins_during_a_split_is_found", "deadlock";
    }
}
