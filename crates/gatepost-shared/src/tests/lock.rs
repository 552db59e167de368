//! A lock whose owner is stopped, or is another one than it was a moment ago.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;

use rustix::process::Signal;

use super::alone::{alone, caught};
use super::process::{Child, fork, until};
use crate::layout::LockWord;
use crate::{Options, Semaphore, step};

/// A process with a session that stops in the critical section, once it has opened the file; and
/// then ends.
fn stops_inside(options: &Options) -> Child {
    let child = fork(|| {
        let semaphore = Semaphore::open("lock", options).expect("it opens");
        step::count::signal_at("section: entered", Signal::STOP);
        semaphore.table().section(|_| Ok(())).expect("it is let in");
        0
    });
    child.wait_stopped();
    child
}

#[test]
fn one_that_is_stopped_in_the_section_keeps_the_others_out_and_is_named() {
    alone("tests::lock::one_that_is_stopped_in_the_section_keeps_the_others_out_and_is_named", || {
        let folder = tempfile::tempdir().expect("a folder");
        let options = Options::new().directory(folder.path());
        let semaphore = Semaphore::open("lock", &options.clone().limit(1)).expect("it opens");
        let mut stopped = stops_inside(&options);
        let status = semaphore.status().expect("to look takes no lock");
        let owner = status.locked_by.expect("it is named");
        assert_eq!((owner.process.pid, owner.alive), (stopped.id(), true));

        // Twenty times it is asked whether the owner lives; then that goes on.
        let pid = rustix::process::Pid::from_raw(i32::try_from(stopped.id()).expect("a pid")).expect("a pid");
        let looks = Rc::new(Cell::new(0));
        let count = Rc::clone(&looks);
        step::count::call(move |name| {
            if name == "lock: the owner stays" {
                count.set(count.get() + 1);
                if count.get() == 20 {
                    rustix::process::kill_process(pid, Signal::CONT).expect("it lives");
                }
            }
        });
        let permit = semaphore.try_acquire().expect("free");
        assert!(looks.get() >= 20, "let in after {} looks", looks.get());
        assert_eq!(permit.slots(), [0]);
        stopped.succeed();
        let status = semaphore.status().expect("it can be seen");
        assert_eq!(status.statistics.takeovers, 0, "it was taken for dead");
        assert_eq!(status.locked_by, None);
    });
}

/// L3. T sees the word name session 1 in epoch e. That one leaves and ends, T finds byte 1 unlocked, and before T does
/// anything about it another process gets byte 1, goes into the section and has others wait for it: the word is, but for the
/// epoch, what T has seen.
#[test]
fn a_living_owner_is_not_followed_for_its_predecessors_death() {
    alone(SUCCESSOR, || {
        let folder = tempfile::tempdir().expect("a folder");
        let options = Options::new().directory(folder.path());
        let semaphore = Semaphore::open("lock", &options.clone().limit(1)).expect("it opens");
        let first = Rc::new(RefCell::new(Some(stops_inside(&options))));
        let successor: Rc<RefCell<Option<Child>>> = Rc::default();
        let table = std::sync::Arc::clone(semaphore.table());
        let (mut looks, later) = (0, Rc::clone(&successor));
        step::count::call(move |name| match name {
            "lock: the owner stays" => {
                looks += 1;
                if looks == 1 {
                    let mut first = first.borrow_mut().take().expect("it is stopped");
                    first.signal(Signal::CONT);
                    first.succeed();
                } else if let Some(successor) = &*later.borrow() {
                    successor.signal(Signal::CONT);
                }
            }
            "lock: the owner is dead" => {
                let successor = stops_inside(&options);
                let word = &table.header().lock;
                let now = LockWord(word.load(Relaxed));
                assert_eq!(now.owner(), Some(1), "it has the same number");
                word.store(now.contended().0, Relaxed);
                *later.borrow_mut() = Some(successor);
            }
            "lock: followed the dead owner" => panic!("a living owner was followed"),
            _ => {}
        });
        semaphore.table().section(|_| Ok(())).expect("it is let in");
        let mut successor = successor.borrow_mut().take().expect("there was one");
        successor.succeed();
        until("the lock is free", || LockWord(semaphore.table().header().lock.load(Relaxed)).owner().is_none());
        assert_eq!(semaphore.status().expect("it can be seen").statistics.takeovers, 0);
    });
}

/// One asks whether session 1 lives, which holds twice and is dead. Before it goes on, another process gets number 1, and holds
/// twice: what is found in its name is not the dead one's.
#[test]
fn what_a_successor_holds_is_not_taken_for_its_predecessors() {
    alone(CENSUS, || {
        let folder = super::process::folder();
        let options = Options::new().directory(folder.path());
        let semaphore = Semaphore::open("lock", &options.clone().limit(2)).expect("it opens");
        let holds_twice = move |options: &Options| {
            let child = fork(|| {
                let semaphore = Semaphore::open("lock", options).expect("it opens");
                semaphore.try_acquire().expect("free").leave();
                semaphore.try_acquire().expect("free").leave();
                rustix::process::kill_process(rustix::process::getpid(), Signal::STOP).expect("ourselves");
                0
            });
            child.wait_stopped();
            child
        };
        let mut first = holds_twice(&options);
        first.kill();
        let successor: Rc<RefCell<Option<Child>>> = Rc::default();
        let later = Rc::clone(&successor);
        step::count::call(move |name| {
            if name == "census: asked" && later.borrow().is_none() {
                *later.borrow_mut() = Some(holds_twice(&options));
            }
        });
        semaphore.reclaim().expect("it works");
        let status = semaphore.status().expect("it can be seen");
        let owners: Vec<_> = status.holders.iter().map(|holder| (holder.session.index, holder.session.alive)).collect();
        assert_eq!(owners, [(1, true), (1, true)], "the living have lost what they hold");
        drop(successor.borrow_mut().take());
    });
}

const CENSUS: &str = "tests::lock::what_a_successor_holds_is_not_taken_for_its_predecessors";

#[test]
fn a_census_by_number_alone_is_seen() {
    caught("census by number", CENSUS, &[], "the living have lost what they hold");
}

const SUCCESSOR: &str = "tests::lock::a_living_owner_is_not_followed_for_its_predecessors_death";

#[test]
fn an_arrival_in_the_old_epoch_is_seen() {
    caught("no first epoch", SUCCESSOR, &[], "a living owner was followed");
}
