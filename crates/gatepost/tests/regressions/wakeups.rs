//! Wake-ups that were lost, late, or given to the wrong one.

use crate::common::task::Task;
use gatepost::Semaphore;

#[cfg(feature = "std")]
use {
    crate::common::leaked,
    crate::common::thread::{start, until_queued, within_limit},
    gatepost::{WaitError, WaitOptions},
    std::sync::Barrier,
    std::time::Duration,
};

/// The notification was skipped if the count was above 0 already.
#[test]
fn b1_two_single_releases_wake_two() {
    let semaphore = Semaphore::new(0);
    let mut tasks = [(); 2].map(|()| Task::queued(semaphore.acquire()));
    semaphore.add_permits(1);
    semaphore.add_permits(1);
    assert_eq!(tasks.each_ref().map(Task::wakes), [1, 1]);
    for task in &mut tasks {
        task.permit().forget();
    }
}

#[test]
#[cfg(feature = "std")]
fn b1_two_single_releases_wake_two_threads() {
    let semaphore = leaked(0);
    for _ in 0..200 {
        let threads = [(); 2].map(|()| start(|| semaphore.acquire().wait().expect("open").forget()));
        until_queued(semaphore, 2);
        semaphore.add_permits(1);
        semaphore.add_permits(1);
        threads.into_iter().for_each(|thread| thread.join());
    }
    assert_eq!(semaphore.available_permits(), 0);
}

#[test]
fn b2_a_release_wakes_all_whom_it_can_serve() {
    for n in [2, 3, 40] {
        let semaphore = Semaphore::new(0);
        let tasks: Vec<_> = (0..n + 1).map(|_| Task::queued(semaphore.acquire())).collect();
        semaphore.add_permits(n);
        assert_eq!(tasks.iter().map(Task::wakes).sum::<usize>(), n);
        assert_eq!(semaphore.num_waiters(), 1);
    }
}

#[test]
#[cfg(feature = "std")]
fn b2_a_release_wakes_all_threads_that_it_can_serve() {
    let semaphore = leaked(0);
    let threads: Vec<_> = (0..8).map(|_| start(|| semaphore.acquire().wait().expect("open").forget())).collect();
    until_queued(semaphore, 8);
    semaphore.add_permits(8);
    threads.into_iter().for_each(|thread| thread.join());
}

/// Waiters of many semaphores shared a table whose counts and versions were taken for one semaphore's. Here two threads hand
/// a permit back and forth over each of many semaphores at once; a wake-up that got lost would be a time-out.
#[test]
#[cfg(feature = "std")]
fn b3_semaphores_do_not_take_each_others_wakeups() {
    const PAIRS: usize = 8;
    const ROUNDS: usize = 200;
    const NEVER: Duration = Duration::from_secs(40);
    let threads: Vec<_> = (0..PAIRS)
        .flat_map(|_| {
            let [there, back] = [leaked(0), leaked(0)];
            let play = |from: &'static Semaphore, to: &'static Semaphore| {
                start(move || {
                    for _ in 0..ROUNDS {
                        from.acquire().wait_timeout(NEVER).expect("no wake-up is lost").forget();
                        to.add_permits(1);
                    }
                })
            };
            let players = [play(there, back), play(back, there)];
            there.add_permits(1);
            players
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join());
}

/// A time of 0 or of 1 ns was taken for "no limit".
#[test]
#[cfg(feature = "std")]
fn b4_no_time_is_not_all_the_time() {
    let semaphore = leaked(1);
    for nanos in [0, 1, 2, 999] {
        let timeout = Duration::from_nanos(nanos);
        let result = within_limit(move || semaphore.acquire_many(2).wait_timeout(timeout).map(drop));
        assert_eq!(result, Err(WaitError::TimedOut));
        assert!(semaphore.acquire().wait_timeout(timeout).is_ok());
    }
}

#[test]
fn b7_a_release_of_two_resumes_two_and_one_of_one_no_request_for_two() {
    let semaphore = Semaphore::new(0);
    let mut singles = [(); 2].map(|()| Task::queued(semaphore.acquire()));
    semaphore.add_permits(2);
    assert_eq!(singles.each_ref().map(Task::wakes), [1, 1]);
    singles.iter_mut().for_each(|task| task.permit().forget());

    let mut double = Task::queued(semaphore.acquire_many(2));
    semaphore.add_permits(1);
    assert_eq!((double.wakes(), double.is_pending()), (0, true));
    semaphore.add_permits(1);
    assert_eq!(double.wakes(), 1);
    double.permit().forget();
    assert_eq!(semaphore.available_permits(), 0);
}

/// Permits that came back by a cancellation woke only waiters of one kind.
#[test]
#[cfg(feature = "std")]
fn b15_a_cancelled_task_wakes_a_thread_and_a_thread_a_task() {
    let semaphore = leaked(1);
    let task = Task::queued(semaphore.acquire_many(2));
    let thread = start(|| semaphore.acquire().wait().expect("open").forget());
    until_queued(semaphore, 2);
    drop(task);
    thread.join();

    semaphore.add_permits(1);
    let mut front = Task::queued(semaphore.acquire_many(2));
    let mut task = Task::queued(semaphore.acquire());
    let result = within_limit(move || {
        let options = WaitOptions::new().timeout(Duration::from_millis(1));
        front.pinned().wait_pinned(options).map(drop)
    });
    assert_eq!((result, task.wakes()), (Err(WaitError::TimedOut), 1));
    task.permit().forget();
}

#[test]
#[cfg(feature = "alloc")]
fn b15_each_kind_of_waiter_wakes_each_other() {
    use gatepost::PollSemaphore;
    use std::sync::Arc;
    use std::task::{Context, Waker};

    let semaphore = Arc::new(Semaphore::new(1));
    let owned = Task::queued(semaphore.clone().acquire_many_owned(2));
    let borrowed = Task::queued(semaphore.acquire_many(3));
    let mut polled = PollSemaphore::new(semaphore.clone());
    assert!(polled.poll_acquire_many(&mut Context::from_waker(Waker::noop()), 2).is_pending());
    let mut last = Task::queued(semaphore.clone().acquire_owned());
    drop(owned);
    drop(borrowed);
    assert!(last.is_pending());
    drop(polled);
    assert_eq!(last.wakes(), 1);
    drop(last.permit());
}

/// Waiters for n were signalled only if the count had been at least n *before* the release, or was exactly n.
#[test]
fn b16_a_release_need_not_hit_the_number() {
    for (first, steps) in [(0, vec![5]), (2, vec![5]), (2, vec![1, 1, 4]), (1, vec![1, 9]), (3, vec![1])] {
        let semaphore = Semaphore::new(first);
        let mut task = Task::queued(semaphore.acquire_many(4));
        let sum = first + steps.iter().sum::<usize>();
        for step in steps {
            semaphore.add_permits(step);
        }
        assert_eq!(task.wakes(), 1);
        task.permit().forget();
        assert_eq!(semaphore.available_permits(), sum - 4);
    }
}

/// Between the look at the count and the enqueueing a release found an empty queue.
#[test]
#[cfg(feature = "std")]
fn b17_no_release_falls_between_the_look_and_the_queue() {
    const ROUNDS: usize = 3_000;
    let semaphore = leaked(0);
    let barrier: &'static Barrier = Box::leak(Box::new(Barrier::new(2)));
    let releasing = start(move || {
        for _ in 0..ROUNDS {
            barrier.wait();
            semaphore.add_permits(1);
        }
    });
    let acquiring = start(move || {
        for round in 0..ROUNDS {
            let mut task = Task::new(semaphore.acquire());
            barrier.wait();
            if round % 2 == 0 {
                semaphore.acquire().wait().expect("open").forget();
            } else {
                while task.poll().map(|permit| permit.expect("open").forget()).is_pending() {
                    std::thread::yield_now();
                }
            }
        }
    });
    releasing.join();
    acquiring.join();
    assert_eq!((semaphore.num_waiters(), semaphore.available_permits()), (0, 0));
}
