//! Statement by statement, each from several starting counters.

use super::super::line::looks;
use super::super::{Notified, NotifyList, less};
use super::STARTS;
use crate::sys::atomic::{Counts, counts};
use crate::wait::batch::CAPACITY;
use crate::{Interrupter, WaitError, WaitOptions};
use std::boxed::Box;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};
use std::vec::Vec;

type Task<'a> = Pin<Box<Notified<'a>>>;

fn poll(task: &mut Task<'_>) -> Poll<()> {
    task.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// A task with a new ticket, in line.
fn queued(list: &NotifyList) -> Task<'_> {
    let mut task = Box::pin(list.add().notified());
    assert!(poll(&mut task).is_pending());
    task
}

fn cost<R>(f: impl FnOnce() -> R) -> (Counts, R) {
    let before = counts();
    let result = f();
    (counts() - before, result)
}

fn looks_of<R>(f: impl FnOnce() -> R) -> (u64, R) {
    let before = looks::so_far();
    let result = f();
    (looks::so_far() - before, result)
}

#[test]
fn g44_a_ticket_is_one_fetch_add_and_no_lock() {
    for start in STARTS {
        let list = NotifyList::starting_at(start);
        let held = list.lock.lock(); // an add that took the lock would never return
        let (cost, first) = cost(|| list.add());
        assert_eq!(cost, Counts { loads: 2, rmws: 1, ..Counts::default() });
        let second = list.add();
        assert_eq!((first.number(), second.number()), (start, start.wrapping_add(1)));
        drop(held);
    }
}

#[test]
fn g44_tickets_of_racing_threads_are_distinct() {
    let list = NotifyList::starting_at(u32::MAX - 3);
    let mut numbers: Vec<u32> = std::thread::scope(|scope| {
        let take = || {
            let tickets: Vec<_> = (0..1000).map(|_| list.add()).collect();
            tickets.iter().map(|ticket| ticket.number().wrapping_add(4)).collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    numbers.sort_unstable();
    assert_eq!(numbers, (0..4000).collect::<Vec<_>>());
    assert_eq!((list.num_waiters(), list.inside()), (0, (0, 0, 0)), "all were dropped");
}

#[test]
fn g45_a_ticket_that_was_notified_returns_at_once_and_others_wait() {
    for start in STARTS {
        let list = NotifyList::starting_at(start);
        let (first, second) = (list.add(), list.add());
        list.notify_one();
        let mut waits = Box::pin(second.notified());
        assert!(poll(&mut waits).is_pending());
        assert_eq!(list.inside().0, 1);
        let (cost, ()) = cost(|| first.notified().wait());
        assert_eq!(cost, Counts { loads: 1, ..Counts::default() }, "no lock either");
        assert_eq!(list.inside().0, 1);
    }
}

#[test]
fn g46_less_is_right_across_the_wrap_around() {
    for a in [0, 1, 7, u32::MAX / 2, u32::MAX / 2 + 1, u32::MAX - 3, u32::MAX] {
        for ahead in [1, 2, 4, 1000, u32::MAX / 2] {
            let b = a.wrapping_add(ahead);
            assert!(less(a, b) && !less(b, a) && !less(a, a), "{a} and {b}");
            assert_eq!(less(a, b), (a.wrapping_sub(b) as i32) < 0, "Go's own expression");
        }
    }
}

#[test]
fn g47_g48_nobody_since_the_last_notification_means_no_lock() {
    for start in STARTS {
        let list = NotifyList::starting_at(start);
        let ticket = list.add();
        list.notify_one();
        list.notify_all();
        let held = list.lock.lock(); // taken again, it would never return
        let nothing = Counts { loads: 2, ..Counts::default() };
        assert_eq!(cost(|| list.notify_one()).0, nothing);
        assert_eq!(cost(|| list.notify_all()).0, nothing);
        drop(held);
        ticket.notified().wait();
    }
}

#[test]
fn g47_notify_all_takes_the_lock_once_for_each_batch() {
    for (n, holds) in [(1, 1), (CAPACITY, 1), (CAPACITY + 1, 2), (3 * CAPACITY + 1, 4)] {
        let list = NotifyList::starting_at(u32::MAX - 3);
        let mut tasks: Vec<_> = (0..n).map(|_| queued(&list)).collect();
        assert_eq!(cost(|| list.notify_all()).0.rmws, 2 * holds, "{n} waiters");
        assert!(tasks.iter_mut().all(|task| poll(task).is_ready()));
    }
}

#[test]
fn g47_wakers_of_one_batch_find_the_whole_list_detached() {
    /// Looks at the list when it is woken, for the first time only.
    struct Looks(&'static NotifyList, AtomicUsize);
    impl Wake for Looks {
        fn wake(self: Arc<Self>) {
            if self.1.fetch_add(1, SeqCst) == 0 {
                assert_eq!((self.0.num_waiters(), self.0.inside()), (0, (0, 0, 0)));
                let late = self.0.add();
                self.0.notify_one();
                assert!(late.is_notified(), "notifications are for those who came after");
            }
        }
    }
    let list = Box::leak(Box::new(NotifyList::new()));
    let looks = Arc::new(Looks(list, AtomicUsize::new(0)));
    let waker = Waker::from(looks.clone());
    let mut tasks: Vec<_> = (0..2 * CAPACITY + 1).map(|_| Box::pin(list.add().notified())).collect();
    for task in &mut tasks {
        assert!(task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    list.notify_all();
    assert_eq!(looks.1.load(SeqCst), tasks.len());
    assert!(tasks.iter_mut().all(|task| poll(task).is_ready()));
}

#[test]
fn g47_who_leaves_while_it_is_being_told_counts_as_notified() {
    /// Has the last of the line time out, and the last but one dropped, when the first batch is woken.
    struct Leaves(std::sync::Mutex<Vec<Task<'static>>>);
    impl Wake for Leaves {
        fn wake(self: Arc<Self>) {
            let mut tasks = self.0.lock().unwrap();
            if let (Some(mut last), Some(other)) = (tasks.pop(), tasks.pop()) {
                let expired = WaitOptions::new().deadline(Instant::now());
                assert_eq!(last.as_mut().wait_pinned(expired), Ok(()), "the notification wins over the deadline");
                drop(other);
            }
        }
    }
    let list: &NotifyList = Box::leak(Box::new(NotifyList::starting_at(u32::MAX - 3)));
    let mut front = Box::pin(list.add().notified());
    let mut all: Vec<_> = (0..CAPACITY + 2).map(|_| queued(list)).collect();
    let behind = all.split_off(CAPACITY);
    // The front's ticket comes first, so it is in the first batch, though it joined last.
    let leaves = Arc::new(Leaves(std::sync::Mutex::new(behind)));
    assert!(front.as_mut().poll(&mut Context::from_waker(&leaves.clone().into())).is_pending());
    list.notify_all();
    assert!(leaves.0.lock().unwrap().is_empty());
    assert!(poll(&mut front).is_ready() && all.iter_mut().all(|task| poll(task).is_ready()));
    let mut after = queued(list);
    drop(all);
    assert!(poll(&mut after).is_pending(), "nobody passes on what everybody got");
    assert_eq!(list.inside(), (1, 0, 0));
}

#[test]
fn g48_each_call_consumes_one_ticket_in_line_or_not() {
    for start in STARTS {
        let list = NotifyList::starting_at(start);
        let tickets: Vec<_> = (0..6).map(|_| list.add()).collect();
        // 1, 2 and 4 are in line, 0, 3 and 5 are not.
        let mut tasks: Vec<_> = tickets.into_iter().map(|ticket| Box::pin(ticket.notified())).collect();
        for i in [4, 1, 2] {
            assert!(poll(&mut tasks[i]).is_pending());
        }
        for n in 0..6 {
            assert_eq!(list.num_waiters(), 6 - n);
            list.notify_one();
            assert!(poll(&mut tasks[n]).is_ready(), "ticket {n}");
            let later: Vec<_> = [1, 2, 4].into_iter().filter(|&i| i > n).collect();
            assert!(later.iter().all(|&i| poll(&mut tasks[i]).is_pending()));
            assert_eq!(list.inside(), (later.len() as u32, 0, 0), "nothing but Go's list");
        }
        list.notify_one();
        assert!(poll(&mut queued(&list)).is_pending(), "a notification that finds nobody is not kept");
    }
}

#[test]
fn g48_a_notification_takes_the_lock_once_however_many_wait() {
    for n in [1, 10, 10_000] {
        let list = NotifyList::starting_at(u32::MAX - 3);
        let mut tasks: Vec<_> = (0..n).map(|_| queued(&list)).collect();
        let (cost, ()) = cost(|| list.notify_one());
        assert_eq!((cost.rmws, cost.syscalls), (2, 0));
        let (looks, ()) = looks_of(|| list.notify_one());
        assert!(looks <= 1, "{looks} looks");
        assert!(tasks.iter_mut().take(2).all(|task| poll(task).is_ready()));
    }
}

#[test]
fn g49_a_line_is_in_the_order_of_its_tickets() {
    for start in STARTS {
        let list = NotifyList::starting_at(start);
        let tickets: Vec<_> = (0..9).map(|_| list.add()).collect();
        let mut tasks: Vec<_> = tickets.into_iter().map(|ticket| Box::pin(ticket.notified())).collect();
        for i in [3, 8, 0, 7, 1, 5, 2, 6, 4] {
            assert!(poll(&mut tasks[i]).is_pending());
            list.inside(); // checks the order
        }
        for task in &mut tasks {
            assert!(poll(task).is_pending());
            list.notify_one();
            assert!(poll(task).is_ready());
        }
    }
}

#[test]
#[cfg(all(target_pointer_width = "64", not(feature = "profile")))]
fn g49_sizes() {
    assert_eq!(size_of::<NotifyList>(), 80);
    assert_eq!(size_of::<Notified<'_>>(), 64);
    assert_eq!(size_of::<super::super::Ticket<'_>>(), 16);
    assert_eq!(size_of::<crate::sync::Condvar>(), 80);
}

#[test]
fn g50_to_join_in_order_looks_at_one_other() {
    let list = NotifyList::starting_at(u32::MAX - 3);
    let mut tasks: Vec<Task<'_>> = Vec::new();
    for _ in 0..1000 {
        let (looks, task) = looks_of(|| queued(&list));
        assert!(looks <= 1, "{looks} looks");
        tasks.push(task);
    }
}

#[test]
fn g50_a_ticket_that_is_not_in_line_is_missed_with_one_look() {
    let list = NotifyList::starting_at(u32::MAX - 3);
    let late = list.add();
    let tasks: Vec<_> = (0..10_000).map(|_| queued(&list)).collect();
    // Go looks through the whole list for it.
    let (looks, ()) = looks_of(|| list.notify_one());
    assert!(looks <= 1, "{looks} looks");
    late.notified().wait();
    drop(tasks);
}

#[test]
fn g50_to_join_late_looks_at_those_who_overtook_or_were_overtaken() {
    for place in [0, 1, 2, 50, 5_000, 9_950, 9_998, 9_999] {
        let list = NotifyList::starting_at(u32::MAX - 3);
        let before: Vec<_> = (0..place).map(|_| queued(&list)).collect();
        let mut late = Box::pin(list.add().notified());
        let after: Vec<_> = (place..10_000).map(|_| queued(&list)).collect();
        let (looks, pending) = looks_of(|| poll(&mut late).is_pending());
        assert!(pending);
        let nearer = before.len().min(after.len()) as u64;
        assert!(looks <= 2 * nearer + 4, "{looks} looks to the place {place}");
        list.inside();
    }
}

#[test]
fn a_void_ticket_swallows_nothing() {
    for start in STARTS {
        for gone in 0..4 {
            let list = NotifyList::starting_at(start);
            let mut tasks: Vec<_> = (0..4).map(|_| queued(&list)).collect();
            drop(tasks.remove(gone));
            assert_eq!((list.num_waiters(), list.inside().2), (3, 0));
            for task in &mut tasks {
                assert!(poll(task).is_pending());
                list.notify_one();
                assert!(poll(task).is_ready());
            }
            assert_eq!(list.num_waiters(), 0);
            assert_eq!(cost(|| list.notify_one()).0.rmws, 0, "nobody is left, and that is known without the lock");
        }
    }
}

/// A racer keeps the list from knowing which tickets are void: then a notification reaches it *and* who is behind.
#[test]
fn among_voids_a_racer_may_be_notified_too_often_and_nobody_too_rarely() {
    for start in STARTS {
        let list = NotifyList::starting_at(start);
        let (racer, void) = (list.add(), queued(&list));
        let mut behind = queued(&list);
        drop(void);
        assert_eq!((list.inside(), list.num_waiters()), ((1, 0, 1), 2));
        list.notify_one(); // of the two first tickets one is a racer's
        assert!(racer.is_notified() && poll(&mut behind).is_pending());
        assert_eq!(list.num_waiters(), 1);
        list.notify_one();
        assert!(poll(&mut behind).is_ready());
        racer.notified().wait();
    }
}

#[test]
fn a_racer_that_arrives_settles_the_line() {
    let list = NotifyList::starting_at(u32::MAX - 3);
    let mut racer = Box::pin(list.add().notified());
    let mut tasks: Vec<_> = (0..3).map(|_| queued(&list)).collect();
    drop(tasks.remove(1));
    assert_eq!(list.inside(), (2, 0, 1));
    drop(tasks.remove(1));
    assert_eq!(list.inside(), (1, 0, 2));
    assert!(poll(&mut racer).is_pending());
    let next = queued(&list);
    drop(next);
    assert_eq!(list.inside(), (2, 2, 0), "no racer: what is not in line is void, and forgotten");
    list.notify_one();
    assert!(poll(&mut racer).is_ready() && poll(&mut tasks[0]).is_pending());
    list.notify_one();
    assert!(poll(&mut tasks[0]).is_ready());
}

/// The voids behind a waiter that stays neither add up towards the limit nor cost the notification anything.
#[test]
fn a_million_time_outs_behind_a_waiter_leave_nothing() {
    let list = NotifyList::starting_at(u32::MAX - 3);
    let mut stays = queued(&list);
    for _ in 0..1_000_000 {
        drop(queued(&list));
        assert_eq!(list.num_waiters(), 1);
    }
    assert_eq!(list.inside(), (1, 1, 0));
    let (looks, ()) = looks_of(|| list.notify_one());
    assert!(looks <= 1 && poll(&mut stays).is_ready());
}

/// After an O4 among voids it is not known how many are left. They are forgotten all the same when there are many, even at the
/// price of a spurious wake-up.
#[test]
fn voids_that_may_be_racers_do_not_add_up_either() {
    let list = NotifyList::starting_at(u32::MAX - 3);
    let (first, void, racer) = (list.add(), list.add(), list.add());
    let mut stays = queued(&list);
    drop(void);
    list.notify_one(); // past the first and the void, but the list cannot tell which of the three is void
    assert!(first.is_notified() && !racer.is_notified());
    assert_eq!(list.inside(), (1, 0, 1));
    let mut most = 0;
    for _ in 0..10_000 {
        drop(queued(&list));
        most = most.max(list.inside().2);
        assert!(list.num_waiters() >= 1);
    }
    assert!(most <= 201, "{most} voids");
    racer.notified().wait(); // freed by S, or it would never return
    assert!(poll(&mut stays).is_pending());
    list.notify_one();
    assert!(poll(&mut stays).is_ready());
    first.notified().wait();
}

#[test]
fn who_waits_while_all_tickets_are_used_up_is_still_the_first() {
    let list = NotifyList::new();
    let mut stays = queued(&list);
    let next = queued(&list);
    drop(next); // settles
    // As if 2^32 tickets had been taken and given up: the counters have gone once around, and a bit.
    for _ in 0..3 {
        let jump = u32::MAX / 2 - 10;
        list.with_line(|line| {
            list.wait.fetch_add(jump, super::super::Relaxed);
            line.jump(jump);
            list.show(line);
        });
        let mut behind = queued(&list);
        let gone = queued(&list);
        drop(gone);
        assert!(poll(&mut behind).is_pending());
        drop(behind);
    }
    let mut behind = queued(&list);
    list.notify_one();
    assert!(poll(&mut stays).is_ready() && poll(&mut behind).is_pending());
    list.notify_one();
    assert!(poll(&mut behind).is_ready());
}

#[test]
fn too_many_tickets_are_refused_before_anything_changes() {
    for start in STARTS {
        let list = NotifyList::starting_at(start);
        let mut first = queued(&list);
        // Nobody has memory for as many: the counter is moved by hand.
        list.wait.fetch_add(NotifyList::MAX_TICKETS - 2, super::super::Relaxed);
        let last = list.add();
        assert_eq!(list.num_waiters(), NotifyList::MAX_TICKETS as usize);
        let before = std::format!("{list:?}");
        let panic = std::panic::catch_unwind(|| drop(list.add())).expect_err("one more");
        let text = panic.downcast_ref::<std::string::String>().expect("it says why");
        assert!(text.contains("takes no more"), "{text}");
        assert_eq!(std::format!("{list:?}"), before);
        list.notify_one();
        assert!(poll(&mut first).is_ready());
        assert!(!last.is_notified());
        let again = list.add(); // there is room for one again
        list.notify_all();
        assert!(last.is_notified() && again.is_notified());
    }
}

#[test]
fn a_notification_that_nobody_saw_goes_on() {
    for start in STARTS {
        let list = NotifyList::starting_at(start);
        let (mut a, mut b, mut c) = (queued(&list), queued(&list), queued(&list));
        list.notify_one();
        drop(a);
        assert!(poll(&mut b).is_ready(), "from one in line");
        let racer = list.add();
        list.notify_one();
        assert!(poll(&mut c).is_ready());
        let mut d = queued(&list);
        list.notify_one();
        drop(racer);
        assert!(poll(&mut d).is_ready(), "from a ticket");
        a = queued(&list);
        b = queued(&list);
        list.notify_one();
        list.notify_all();
        c = queued(&list);
        drop((a, b));
        assert!(poll(&mut c).is_pending(), "after notify_all there is nobody whom it was for");
    }
}

#[test]
fn a_thread_that_is_notified_returns_so_whatever_else_happens() {
    let list = NotifyList::starting_at(u32::MAX - 3);
    let interrupter = Interrupter::new();
    let ticket = list.add();
    list.notify_one();
    interrupter.interrupt();
    let options = WaitOptions::new().deadline(Instant::now()).interrupter(&interrupter);
    assert_eq!(ticket.notified().wait_with(options), Ok(()));
    assert!(interrupter.is_pending(), "it was not needed");
    assert_eq!(list.add().notified().wait_interruptible(&interrupter), Err(WaitError::Interrupted));
    assert_eq!(list.add().notified().wait_timeout(Duration::from_millis(1)), Err(WaitError::TimedOut));
    assert_eq!(list.add().notified().wait_deadline(Instant::now()), Err(WaitError::TimedOut));
    assert_eq!(list.num_waiters(), 0);

    let mut task = queued(&list);
    list.notify_one();
    assert_eq!(task.as_mut().wait_pinned(WaitOptions::new().timeout(Duration::ZERO)), Ok(()));
    let mut task = pin!(list.add().notified());
    assert_eq!(task.as_mut().wait_pinned(WaitOptions::new().timeout(Duration::ZERO)), Err(WaitError::TimedOut));
    assert_eq!(list.num_waiters(), 0, "the future is done, though it is still there");
}

#[test]
fn debug_never_waits() {
    let list = NotifyList::starting_at(u32::MAX);
    let task = queued(&list);
    let held = list.lock.lock();
    let ticket = list.add(); // to drop it takes the lock
    let shown = std::format!("{list:?} {task:?} {ticket:?}");
    drop(held);
    assert_eq!(
        shown,
        "NotifyList { waiters: 2, next_ticket: 1, next_notified: 4294967295 } Notified { ticket: 4294967295, .. } \
         Ticket { number: 0, notified: false }"
    );
}
