//! `try_acquire` and its siblings: what they answer, and that they pass nobody.

use crate::common::panics::caught;
use crate::common::task::Task;
use gatepost::{Semaphore, TryAcquireError};
use std::sync::Arc;

const MAX: usize = Semaphore::MAX_PERMITS;

#[test]
fn t6_each_form_takes_its_permits_and_gives_them_back() {
    let semaphore = Arc::new(Semaphore::new(4));
    macro_rules! check {
        ($on:expr, $acquire:ident, $try_acquire:ident, $blocking:ident, ($($n:expr)?), $count:expr) => {{
            let permit = $on.$try_acquire($($n)?).expect(stringify!($try_acquire));
            assert_eq!(permit.num_permits(), $count);
            assert_eq!(semaphore.available_permits(), 4 - $count);
            drop(permit);
            assert_eq!(semaphore.available_permits(), 4);
        }};
    }
    each_form!(check, semaphore);
}

#[test]
fn t6_closed_comes_before_permits() {
    macro_rules! check {
        ($on:expr, $acquire:ident, $try_acquire:ident, $blocking:ident, ($($n:expr)?), $count:expr) => {
            assert_eq!($on.$try_acquire($($n)?).unwrap_err(), TryAcquireError::Closed);
        };
    }
    for permits in [0, 4] {
        let semaphore = Arc::new(Semaphore::new(permits));
        semaphore.close();
        each_form!(check, semaphore);
        assert_eq!(semaphore.available_permits(), permits);
    }
}

#[test]
fn t6_all_or_nothing() {
    let semaphore = Arc::new(Semaphore::new(0));
    macro_rules! check {
        ($on:expr, $acquire:ident, $try_acquire:ident, $blocking:ident, ($($n:expr)?), $count:expr) => {
            semaphore.add_permits($count - 1);
            assert_eq!($on.$try_acquire($($n)?).unwrap_err(), TryAcquireError::NoPermits);
            assert_eq!(semaphore.available_permits(), $count - 1);
            semaphore.forget_permits($count - 1);
        };
    }
    each_form!(check, semaphore);
}

#[test]
fn t6_a_count_is_taken_to_the_last_permit() {
    let semaphore = Semaphore::new(MAX);
    let all = semaphore.try_acquire_n(MAX).expect("all");
    assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
    assert_eq!(all.num_permits(), MAX);
    drop(all);
    assert_eq!(semaphore.available_permits(), MAX);
    let rest = semaphore.try_acquire_many(u32::MAX).expect("2^32 - 1");
    assert_eq!(semaphore.available_permits(), MAX - u32::MAX as usize);
    drop(rest);
}

#[test]
fn t7_asking_for_more_than_max_permits_panics_at_the_caller() {
    let text = "a semaphore may not have more than MAX_PERMITS permits";
    let semaphore = Arc::new(Semaphore::new(4));
    caught(|| semaphore.try_acquire_n(MAX + 1)).says(text, file!());
    caught(|| semaphore.acquire_n(MAX + 1)).says(text, file!());
    #[cfg(feature = "alloc")]
    {
        caught(|| semaphore.clone().try_acquire_n_owned(MAX + 1)).says(text, file!());
        caught(|| semaphore.clone().acquire_n_owned(usize::MAX)).says(text, file!());
    }
    #[cfg(feature = "std")]
    {
        caught(|| semaphore.blocking_acquire_n(MAX + 1)).says(text, file!());
        caught(|| semaphore.clone().blocking_acquire_n_owned(MAX + 1)).says(text, file!());
    }
    assert_eq!(semaphore.available_permits(), 4);
    assert_eq!(Arc::strong_count(&semaphore), 1, "a refused owned form kept its handle");
    semaphore.close();
    caught(|| semaphore.try_acquire_n(MAX + 1)).says(text, file!());
}

#[test]
fn t8_no_permits_at_all_are_always_there_while_open() {
    let semaphore = Semaphore::new(0);
    assert_eq!(semaphore.try_acquire_many(0).expect("open").num_permits(), 0);
    assert_eq!(Task::new(semaphore.acquire_many(0)).permit().num_permits(), 0);

    let mut head = Task::queued(semaphore.acquire_many(2));
    assert_eq!(semaphore.try_acquire_n(0).expect("open").num_permits(), 0);
    assert_eq!(Task::new(semaphore.acquire_n(0)).permit().num_permits(), 0);
    semaphore.add_permits(1);
    assert_eq!(semaphore.try_acquire_n(0).expect("open").num_permits(), 0);
    assert_eq!(Task::new(semaphore.acquire_n(0)).permit().num_permits(), 0);
    #[cfg(feature = "std")]
    assert_eq!(semaphore.acquire_n(0).wait().expect("open").num_permits(), 0);
    assert_eq!((head.wakes(), semaphore.num_waiters()), (0, 1));

    semaphore.add_permits(1);
    drop(head.permit());
    assert_eq!(semaphore.available_permits(), 2);
}

#[test]
fn t8_not_even_no_permits_are_there_when_closed() {
    let semaphore = Semaphore::new(3);
    semaphore.close();
    assert_eq!(semaphore.try_acquire_many(0).unwrap_err(), TryAcquireError::Closed);
    let _ = Task::new(semaphore.acquire_many(0)).error();
    #[cfg(feature = "std")]
    assert!(semaphore.acquire_many(0).wait().is_err());
}

#[test]
fn t9_nobody_passes_the_queue() {
    let semaphore = Semaphore::new(5);
    let mut head = Task::queued(semaphore.acquire_many(10));
    for permits_there in 5..10 {
        assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits, "{permits_there} are there");
        assert_eq!(semaphore.available_permits(), 0);
        assert!(Task::new(semaphore.acquire()).is_pending());
        semaphore.add_permits(1);
    }
    drop(head.permit());
    assert_eq!(semaphore.try_acquire_many(10).expect("nobody waits").num_permits(), 10);
}

/// The other half of the rule (P7): it holds while anybody waits, however many are free, and no longer.
#[test]
fn p7_try_acquire_fails_exactly_while_anybody_waits() {
    let semaphore = Semaphore::new(100);
    let queue: Vec<_> = (0..3).map(|_| Task::queued(semaphore.acquire_many(101))).collect();
    for task in queue {
        assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
        drop(task);
    }
    assert!(semaphore.try_acquire().is_ok());
}

/// A deposit that another thread has yet to serve is no reason to say no: who releases more than the queue needs finds
/// the rest there.
#[test]
#[cfg(feature = "std")]
fn t9_what_one_released_oneself_is_there_for_oneself() {
    use crate::common::leaked;
    use crate::common::thread::start;
    use crate::common::wakers::Wakes;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Poll, Waker};

    const ROUNDS: usize = 3_000;
    static ROUND: AtomicUsize = AtomicUsize::new(0);
    let semaphore = leaked(0);

    // Takes the queue's lock again and again, by polling with another waker each time, until its permit is there.
    let restless = start(move || {
        let wakers: [Waker; 2] = [Arc::new(Wakes::default()).into(), Arc::new(Wakes::default()).into()];
        for round in 1..=ROUNDS {
            let mut task = Task::queued(semaphore.acquire());
            ROUND.store(round, Ordering::Release);
            let mut polls = 0;
            let permit = loop {
                polls += 1;
                if let Poll::Ready(permit) = task.poll_with(&wakers[polls % 2]) {
                    break permit.expect("open");
                }
                if polls % 1024 == 0 {
                    std::thread::yield_now();
                }
            };
            permit.forget();
            while ROUND.load(Ordering::Acquire) != 0 {
                std::thread::yield_now();
            }
        }
    });
    for round in 1..=ROUNDS {
        while ROUND.load(Ordering::Acquire) != round {
            std::thread::yield_now();
        }
        semaphore.add_permits(2);
        let mine = semaphore.try_acquire();
        assert!(mine.is_ok(), "round {round}: one waits, two were released, and the second is not there");
        mine.expect("just seen").forget();
        ROUND.store(0, Ordering::Release);
    }
    restless.join();
    assert_eq!(semaphore.available_permits(), 0);
}
