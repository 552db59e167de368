//! Each operation, with those around it whom it concerns.
//!
//! A scenario sets the stage, has a victim do one thing that it may not survive, and does what the others need to get on.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use super::super::check::Truth;
use super::super::process::{forever, until};
use super::stage::Stage;
use crate::layout::{BOOT_ID_AT, Claim, LockWord, SlotWord, State};
use crate::protocol;
use crate::{Error, EventKind, HolderState, Policy, Semaphore, remove, repair};

/// One of them.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) limit: u32,
    /// Whether the death alone makes room for one who waits: nobody else has to do anything.
    pub(super) waiter_alone: bool,
    pub(super) play: fn(&mut Stage),
}

const fn scenario(name: &'static str, limit: u32, play: fn(&mut Stage)) -> Scenario {
    Scenario { name, limit, waiter_alone: false, play }
}

/// One in which a living waiter has to get its permit without anybody's help.
const fn for_waiters(name: &'static str, limit: u32, play: fn(&mut Stage)) -> Scenario {
    Scenario { name, limit, waiter_alone: true, play }
}

pub(super) static ALL: &[Scenario] = &[
    scenario("create", 4, create),
    scenario("open", 4, open),
    scenario("open with the number of a dead session", 4, open_after_dead),
    for_waiters("try_acquire", 4, try_acquire),
    scenario("try_acquire of several", 4, try_acquire_many),
    scenario("try_acquire without slots", 1_000_000, without_slots),
    for_waiters("wait, be granted, claim and release", 2, wait),
    scenario("time out", 2, time_out),
    for_waiters("cancel", 4, cancel),
    scenario("a future is granted and claims", 2, future),
    for_waiters("a future is dropped when it has been granted", 2, granted_and_dropped),
    scenario("be refused while waiting", 4, refused),
    scenario("release, nobody waits", 4, release),
    for_waiters("release, one waits", 4, release_to_one),
    for_waiters("release, several wait", 4, release_to_several),
    scenario("release, the first in line needs more", 4, release_to_bigger),
    for_waiters("release under the overtaking policy", 4, release_overtaking),
    scenario("acquire under the overtaking policy", 4, acquire_overtaking),
    scenario("resize up", 2, resize_up),
    scenario("resize down", 4, resize_down),
    scenario("pause", 4, pause),
    scenario("resume", 4, resume),
    scenario("revoke", 4, revoke),
    scenario("release by number", 4, release_by_number),
    scenario("keep", 4, keep),
    scenario("lease", 4, lease),
    for_waiters("reap a dead holder", 4, reap_holder),
    scenario("reap a dead holder by trying", 4, reap_by_trying),
    for_waiters("reap a dead waiter", 2, reap_waiter),
    for_waiters("reap one who died when it had been granted", 2, reap_granted),
    for_waiters("a dead head, and its holder dies", 2, dead_head),
    scenario("take over: lock taken", 4, |stage| take_over(stage, "section: entered")),
    scenario("take over: a slot taken", 4, |stage| take_over(stage, "slots: took one")),
    for_waiters("take over: grant freed", 4, |stage| take_over(stage, "free: stored")),
    for_waiters("take over: grant for a waiter stored", 4, |stage| take_over(stage, "grant: stored")),
    for_waiters("take over: waiter answered", 4, |stage| take_over(stage, "waiter: answered")),
    for_waiters("take over: about to leave", 4, |stage| take_over(stage, "section: about to leave")),
    scenario("take over: place in the queue stored", 4, take_over_enqueue),
    scenario("repair", 4, repair_damage),
    scenario("restart of the machine", 4, reboot),
    scenario("close", 4, close),
    scenario("remove", 4, remove_file),
];

fn create(stage: &mut Stage) {
    stage.victim(|stage, victim| {
        victim.arm();
        let semaphore = stage.open();
        assert_eq!(semaphore.limit(), 4);
    });
    stage.settle();
    stage.rescue();
}

fn open(stage: &mut Stage) {
    stage.own();
    stage.victim(|stage, victim| {
        victim.arm();
        drop(stage.open());
    });
    stage.settle();
    stage.rescue();
}

fn open_after_dead(stage: &mut Stage) {
    stage.own();
    stage.first(|semaphore| {
        semaphore.try_acquire_many(2).expect("free").leave();
        wait_in_line(semaphore, 3);
    });
    stage.kill_first();
    stage.victim(|stage, victim| {
        victim.arm();
        drop(stage.open());
    });
    stage.settle();
    stage.rescue();
}

fn try_acquire(stage: &mut Stage) {
    let held = stage.own().try_acquire_many(2).expect("free");
    stage.victim(|stage, victim| {
        let semaphore = stage.open();
        let first = semaphore.try_acquire().expect("free");
        victim.arm();
        let second = semaphore.try_acquire().expect("free");
        assert_ne!(first.slots(), second.slots());
        first.leave();
        second.leave();
    });
    stage.settle();
    stage.living(2);
    stage.rescue();
    stage.all_answered();
    drop(held);
}

fn try_acquire_many(stage: &mut Stage) {
    let held = stage.own().try_acquire().expect("free");
    stage.victim(|stage, victim| {
        let semaphore = stage.open();
        victim.arm();
        let permit = semaphore.try_acquire_many(3).expect("free");
        assert_eq!(permit.slots(), [1, 2, 3]);
        assert!(matches!(semaphore.try_acquire(), Err(Error::Busy { .. })));
        permit.leave();
    });
    stage.settle();
    stage.rescue();
    drop(held);
}

fn without_slots(stage: &mut Stage) {
    stage.options = stage.options.clone().without_slots();
    stage.own();
    stage.victim(|stage, victim| {
        let semaphore = stage.open();
        victim.arm();
        semaphore.try_acquire_many(1_000_000).expect("free").release();
    });
    stage.settle();
    stage.rescue();
}

fn wait(stage: &mut Stage) {
    let held = stage.own().try_acquire_many(2).expect("free");
    stage.victim(|stage, victim| {
        let semaphore = stage.open();
        victim.arm();
        drop(semaphore.acquire_many(2).label("victim").wait_timeout(forever()).expect("it is its turn"));
    });
    if stage.victim_waits(2) {
        stage.living(1);
    }
    drop(held);
    stage.settle();
    stage.rescue();
    stage.all_answered();
}

fn time_out(stage: &mut Stage) {
    let held = stage.own().try_acquire().expect("free");
    stage.victim(|stage, victim| {
        let semaphore = stage.open();
        victim.arm();
        let result = semaphore.acquire_many(2).wait_timeout(Duration::ZERO);
        assert!(matches!(result, Err(Error::TimedOut { .. })), "{result:?}");
    });
    stage.settle();
    stage.rescue();
    stage.living(1);
    stage.all_answered();
    drop(held);
}

/// One permit is free all the time, and the big one who waits is all that is between it and the next in line.
fn cancel(stage: &mut Stage) {
    let held = stage.own().try_acquire_many(3).expect("free");
    stage.victim(|stage, victim| {
        let semaphore = stage.open();
        let mut acquire = pin!(semaphore.acquire_many(2));
        assert!(poll_once(acquire.as_mut()).is_pending());
        until("another one waits", || stage.raw().is_some_and(|map| map.header().waiting.load(Relaxed) == 2));
        victim.arm();
        acquire.set(semaphore.acquire());
    });
    if stage.victim_waits(2) {
        stage.living(1);
    }
    stage.settle();
    stage.rescue();
    stage.all_answered();
    drop(held);
}

fn future(stage: &mut Stage) {
    let held = stage.own().try_acquire_many(2).expect("free");
    stage.victim(|stage, victim| {
        let semaphore = stage.open();
        victim.arm();
        block_on(semaphore.acquire_many(2)).expect("it is its turn").release();
    });
    stage.victim_waits(2);
    drop(held);
    stage.settle();
    stage.rescue();
}

fn granted_and_dropped(stage: &mut Stage) {
    let held = stage.own().try_acquire_many(2).expect("free");
    stage.victim(|stage, victim| {
        let semaphore = stage.open();
        let mut acquire = pin!(semaphore.acquire_many(2));
        assert!(poll_once(acquire.as_mut()).is_pending());
        victim.when_told();
        let map = semaphore.table().map();
        until("it has been granted", || Truth::of(map).waiters.iter().any(|row| row.word.is(State::Granted)));
        victim.arm();
        acquire.set(semaphore.acquire());
    });
    stage.victim_is_ready();
    stage.living(1);
    drop(held);
    stage.tell_victim();
    stage.settle();
    stage.rescue();
    stage.all_answered();
}

fn refused(stage: &mut Stage) {
    stage.allow.excess = true;
    let held = stage.own().try_acquire().expect("free");
    stage.victim(|stage, victim| {
        let semaphore = stage.open();
        victim.arm();
        let result = semaphore.acquire_many(4).wait_timeout(forever());
        assert!(matches!(result, Err(Error::ExceedsLimit { asked: 4, limit: 3, .. })), "{result:?}");
    });
    if stage.victim_waits(4) {
        stage.living(2);
    }
    stage.own().resize(3).expect("it works");
    stage.settle();
    stage.rescue();
    stage.all_answered();
    drop(held);
}

fn release(stage: &mut Stage) {
    stage.own();
    stage.victim(|stage, victim| {
        let semaphore = stage.open();
        let permit = semaphore.try_acquire_many(3).expect("free");
        victim.arm();
        permit.release();
    });
    stage.settle();
    stage.rescue();
}

/// The victim holds `permits` and gives them back when `waiting` are in the queue.
fn releasing(stage: &mut Stage, permits: u32, waiting: u32) {
    stage.victim(move |stage, victim| {
        let semaphore = stage.open();
        let permit = semaphore.try_acquire_many(permits).expect("free");
        until("others wait", || semaphore.table().header().waiting.load(Relaxed) == waiting);
        victim.arm();
        permit.release();
    });
    let map = stage.table().map();
    let has = || Truth::of(map).grants.iter().any(|row| row.word.permits() == permits && row.word.session() != 0);
    until("the victim has its permits", || has() && Truth::of(map).lock.owner().is_none());
}

fn release_to_one(stage: &mut Stage) {
    let held = stage.own().try_acquire().expect("free");
    releasing(stage, 3, 1);
    stage.living(2);
    stage.settle();
    stage.rescue();
    stage.all_answered();
    drop(held);
}

fn release_to_several(stage: &mut Stage) {
    stage.own();
    releasing(stage, 4, 3);
    stage.living(1);
    stage.living(2);
    stage.living(1);
    stage.settle();
    stage.rescue();
    stage.all_answered();
}

fn release_to_bigger(stage: &mut Stage) {
    let held = stage.own().try_acquire().expect("free");
    releasing(stage, 3, 2);
    stage.living(4);
    stage.living(1);
    stage.settle();
    stage.rescue();
    drop(held);
    stage.dismiss();
}

fn release_overtaking(stage: &mut Stage) {
    stage.options = stage.options.clone().policy(Policy::Overtaking);
    let held = stage.own().try_acquire().expect("free");
    releasing(stage, 3, 2);
    stage.living(4);
    stage.living(2);
    stage.settle();
    stage.rescue();
    let map = stage.table().map();
    let passed = || Truth::of(map).grants.iter().any(|row| row.word.permits() == 2);
    until("the small one has passed the big one", passed);
    drop(held);
    stage.dismiss();
}

fn acquire_overtaking(stage: &mut Stage) {
    stage.options = stage.options.clone().policy(Policy::Overtaking);
    let held = stage.own().try_acquire().expect("free");
    stage.living(4);
    stage.victim(|stage, victim| {
        let semaphore = stage.open();
        victim.arm();
        semaphore.acquire_many(2).wait_timeout(forever()).expect("it passes").release();
    });
    stage.settle();
    stage.rescue();
    drop(held);
    stage.all_answered();
}

fn resize_up(stage: &mut Stage) {
    let held = stage.own().try_acquire_many(2).expect("free");
    stage.living(1);
    stage.living(2);
    stage.victim(|stage, victim| {
        let semaphore = stage.open();
        victim.arm();
        semaphore.resize(5).expect("it works");
    });
    stage.settle();
    stage.rescue();
    drop(held);
    stage.dismiss();
}

fn resize_down(stage: &mut Stage) {
    stage.allow.excess = true;
    let held = stage.own().try_acquire_many(3).expect("free");
    stage.living(4);
    stage.living(1);
    stage.victim(|stage, victim| {
        let semaphore = stage.open();
        victim.arm();
        semaphore.resize(2).expect("it works");
    });
    stage.settle();
    stage.rescue();
    drop(held);
    stage.dismiss();
}

fn pause(stage: &mut Stage) {
    let held = stage.own().try_acquire_many(4).expect("free");
    stage.living(2);
    stage.victim(|stage, victim| {
        let semaphore = stage.open();
        victim.arm();
        semaphore.pause().expect("it works");
    });
    stage.settle();
    stage.rescue();
    drop(held);
    stage.own().resume().expect("it works");
    stage.all_answered();
}

fn resume(stage: &mut Stage) {
    stage.own().pause().expect("it works");
    stage.living(2);
    stage.living(2);
    stage.victim(|stage, victim| {
        let semaphore = stage.open();
        victim.arm();
        semaphore.resume().expect("it works");
    });
    stage.settle();
    stage.rescue();
    stage.own().resume().expect("it works");
    stage.all_answered();
}

fn revoke(stage: &mut Stage) {
    let held = stage.own().try_acquire_many(3).expect("free");
    let id = held.id();
    stage.forced.push(id.get());
    stage.living(2);
    stage.victim(|stage, victim| {
        let semaphore = stage.open();
        victim.arm();
        semaphore.revoke(id, "the test says so").expect("it works");
    });
    stage.settle();
    stage.rescue();
    held.leave();
    stage.own().revoke(id, "the test says so").expect("it works");
    stage.all_answered();
}

fn release_by_number(stage: &mut Stage) {
    let held = stage.own().try_acquire_many(3).expect("free");
    let id = held.id();
    stage.living(2);
    stage.victim(|stage, victim| {
        let semaphore = stage.open();
        victim.arm();
        semaphore.release(id).expect("it works");
    });
    stage.settle();
    stage.rescue();
    drop(held);
    stage.all_answered();
}

/// Whatever of it has been done: the permit is held as long as it says, and then is to be had.
fn kept(stage: &mut Stage, state: HolderState) {
    stage.settle();
    stage.rescue();
    let status = stage.own().status().expect("it can be seen");
    if let Some(holder) = status.holders.first() {
        assert_eq!(holder.state, state);
        stage.returned.push(holder.id.get());
        stage.own().release(holder.id).expect("it works");
    }
}

fn keep(stage: &mut Stage) {
    stage.own();
    stage.victim(|stage, victim| {
        let semaphore = stage.open();
        let permit = semaphore.try_acquire_many(2).expect("free");
        victim.arm();
        permit.keep(std::os::unix::process::parent_id()).expect("held");
        permit.leave();
    });
    kept(stage, HolderState::Kept);
}

fn lease(stage: &mut Stage) {
    stage.own();
    stage.victim(|stage, victim| {
        let semaphore = stage.open();
        let permit = semaphore.try_acquire_many(2).expect("free");
        victim.arm();
        permit.lease(Duration::from_secs(3600)).expect("held");
        permit.leave();
    });
    kept(stage, HolderState::Leased);
}

fn reap_holder(stage: &mut Stage) {
    stage.own();
    stage.victim(|stage, victim| {
        let semaphore = stage.open();
        victim.when_told();
        victim.arm();
        assert_eq!(semaphore.reclaim().expect("it works"), 2);
    });
    stage.victim_is_ready();
    stage.first(|semaphore| {
        semaphore.try_acquire().expect("free").leave();
        semaphore.try_acquire_many(3).expect("free").leave();
    });
    stage.living(3);
    stage.freeze();
    stage.kill_first();
    stage.tell_victim();
    stage.settle();
    stage.rescue();
    stage.all_answered();
}

fn reap_by_trying(stage: &mut Stage) {
    stage.own();
    stage.victim(|stage, victim| {
        let semaphore = stage.open();
        victim.when_told();
        victim.arm();
        semaphore.try_acquire_many(2).expect("those of the dead").leave();
    });
    stage.victim_is_ready();
    stage.first(|semaphore| {
        semaphore.try_acquire_many(4).expect("free").leave();
    });
    stage.kill_first();
    stage.tell_victim();
    stage.settle();
    stage.rescue();
}

/// A place in the queue that is not given up.
fn wait_in_line(semaphore: &Semaphore, permits: u32) {
    let mut acquire = Box::pin(semaphore.acquire_many(permits));
    assert!(poll_once(acquire.as_mut()).is_pending());
    std::mem::forget(acquire);
}

/// One dies who waits, first in line, and another one waits behind it, for whom there is room.
fn reap_waiter(stage: &mut Stage) {
    let held = stage.own().try_acquire().expect("free");
    stage.victim(|stage, victim| {
        let semaphore = stage.open();
        victim.when_told();
        victim.arm();
        semaphore.reclaim().expect("it works");
    });
    stage.victim_is_ready();
    stage.first(|semaphore| wait_in_line(semaphore, 2));
    stage.living(1);
    stage.freeze();
    stage.kill_first();
    stage.tell_victim();
    stage.settle();
    stage.rescue();
    stage.all_answered();
    drop(held);
}

fn reap_granted(stage: &mut Stage) {
    let held = stage.own().try_acquire_many(2).expect("free");
    stage.victim(|stage, victim| {
        let semaphore = stage.open();
        victim.when_told();
        victim.arm();
        assert_eq!(semaphore.reclaim().expect("it works"), 1);
    });
    stage.victim_is_ready();
    stage.first(|semaphore| wait_in_line(semaphore, 2));
    stage.living(2);
    stage.freeze();
    stage.kill_first();
    // Nobody looks whether it lives: it is granted.
    drop(held);
    stage.tell_victim();
    stage.settle();
    stage.rescue();
    stage.all_answered();
}

/// The first in line is dead, the victim is the holder, and only one who is second in line is left to see it.
fn dead_head(stage: &mut Stage) {
    stage.own();
    stage.victim(|stage, victim| {
        let semaphore = stage.open();
        let permit = semaphore.try_acquire_many(2).expect("free");
        victim.when_told();
        victim.arm();
        permit.release();
    });
    stage.victim_is_ready();
    stage.first(|semaphore| wait_in_line(semaphore, 2));
    stage.living(1);
    stage.kill_first();
    stage.tell_victim();
    stage.settle();
    stage.rescue();
    stage.all_answered();
}

/// Somebody dies in the section, at the step of this name, when it takes or gives back permits; the victim follows it.
fn take_over(stage: &mut Stage, at: &'static str) {
    let held = stage.own().try_acquire().expect("free");
    stage.victim(|stage, victim| {
        let semaphore = stage.open();
        victim.when_told();
        victim.arm();
        semaphore.table().section(|_| Ok(())).expect("it works");
    });
    stage.victim_is_ready();
    if at == "slots: took one" {
        stage.first_dies_at(at, |semaphore, arm| {
            arm();
            drop(semaphore.try_acquire_many(3));
        });
    } else {
        stage.first_dies_at(at, |semaphore, arm| {
            let permit = semaphore.try_acquire_many(3).expect("free");
            until("others wait", || semaphore.table().header().waiting.load(Relaxed) == 2);
            until("they are stopped", || LockWord(semaphore.table().header().lock.load(Relaxed)).is_watched());
            arm();
            drop(permit);
        });
        let map = stage.table().map();
        until("it has its permits", || Truth::of(map).used() == 4 && Truth::of(map).lock.owner().is_none());
        stage.living(2);
        stage.living(1);
        stage.freeze();
        // The word for those who look on is as good a cue as any.
        protocol::watch(&stage.table().header().lock);
    }
    stage.first_died();
    stage.tell_victim();
    stage.settle();
    stage.rescue();
    stage.all_answered();
    drop(held);
}

fn take_over_enqueue(stage: &mut Stage) {
    let held = stage.own().try_acquire_many(4).expect("free");
    stage.victim(|stage, victim| {
        let semaphore = stage.open();
        victim.when_told();
        victim.arm();
        semaphore.table().section(|_| Ok(())).expect("it works");
    });
    stage.victim_is_ready();
    stage.first_dies_at("enqueue: stored", |semaphore, arm| {
        arm();
        drop(semaphore.acquire_many(2).wait_timeout(forever()));
    });
    stage.first_died();
    stage.tell_victim();
    stage.settle();
    stage.rescue();
    stage.living(1);
    drop(held);
    stage.all_answered();
}

/// Three things that cannot be: a grant of nobody, slots that are too few, and a list that leads nowhere.
fn repair_damage(stage: &mut Stage) {
    stage.own();
    let held = stage.own().try_acquire().expect("free");
    {
        let map = stage.table().map();
        let grant = map.grant(7).expect("there is one");
        grant.word.store(Claim::new(State::Active, 3, (0x3FFF, 1)).0, Relaxed);
        let slot = map.slot(held.slots()[0]).expect("there is one");
        slot.word.store(SlotWord::free(SlotWord(slot.word.load(Relaxed)).epoch()).0, Relaxed);
        map.header().free_grant.store(7, Relaxed);
    }
    assert!(matches!(stage.own().try_acquire(), Err(Error::Poisoned { .. })));
    stage.is_damaged = true;
    stage.victim(|stage, victim| {
        let (name, options) = stage.place();
        victim.arm();
        let done = repair(&name, &options).expect("it works");
        assert!(done.len() >= 3, "{done:?}");
    });
    stage.settle();
    let (name, options) = stage.place();
    repair(&name, &options).expect("it works");
    stage.is_damaged = false;
    assert!(!held.is_held());
    stage.rescue();
}

fn reboot(stage: &mut Stage) {
    stage.allow.excess = true;
    stage.first(|semaphore| {
        semaphore.try_acquire_many(2).expect("free").leave();
        semaphore.resize(3).expect("it works");
        semaphore.try_acquire().expect("free").leave();
        wait_in_line(semaphore, 2);
    });
    stage.kill_first();
    let map = stage.raw().expect("it is there");
    let other = 0x5555_AAAA;
    map.header().fixed[BOOT_ID_AT].store(other, Relaxed);
    stage.victim(|stage, victim| {
        victim.arm();
        let semaphore = stage.open();
        let status = semaphore.status().expect("it can be seen");
        assert_eq!((status.limit, status.used, status.waiters.len()), (3, 0, 0));
    });
    stage.settle();
    stage.rescue();
    let events: Vec<_> = stage.own().events().map(|event| event.kind).collect();
    assert!(events.contains(&EventKind::Rebooted), "{events:?}");
    assert_eq!(stage.own().limit(), 3);
    assert_eq!(stage.own().status().expect("it can be seen").used, 0);
}

fn close(stage: &mut Stage) {
    stage.own();
    stage.victim(|stage, victim| {
        let semaphore = stage.open();
        victim.arm();
        drop(semaphore);
    });
    stage.settle();
    stage.rescue();
}

fn remove_file(stage: &mut Stage) {
    drop(stage.open());
    stage.victim(|stage, victim| {
        let (name, options) = stage.place();
        victim.arm();
        remove(&name, &options).expect("nobody uses it");
    });
    stage.settle();
    stage.rescue();
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        std::thread::park_timeout(forever());
    }
}
