//! The blocking forms, and tasks and threads in one queue.

use crate::common::leaked;
use crate::common::task::Task;
use crate::common::thread::{start, until, until_queued};
use gatepost::Semaphore;
use std::sync::{Arc, Mutex};

#[test]
fn t42_each_form_returns_at_once_if_its_permits_are_free() {
    let semaphore = Arc::new(Semaphore::new(4));
    macro_rules! check {
        ($on:expr, $acquire:ident, $try_acquire:ident, $blocking:ident, ($($n:expr)?), $count:expr) => {{
            let permit = $on.$blocking($($n)?).expect("open");
            assert_eq!((permit.num_permits(), semaphore.available_permits()), ($count, 4 - $count));
            drop(permit);
            let permit = $on.$acquire($($n)?).wait().expect("open");
            assert_eq!((permit.num_permits(), semaphore.available_permits()), ($count, 4 - $count));
        }};
    }
    each_form!(check, semaphore);
    assert_eq!(semaphore.available_permits(), 4);
}

#[test]
fn t42_each_form_blocks_until_its_permits_are_there() {
    let semaphore = Arc::new(Semaphore::new(0));
    macro_rules! check {
        ($on:expr, $acquire:ident, $try_acquire:ident, $blocking:ident, ($($n:expr)?), $count:expr) => {{
            let on = Arc::clone(&$on);
            let thread = start(move || on.$blocking($($n)?).map(|permit| permit.num_permits()));
            until_queued(&semaphore, 1);
            semaphore.add_permits($count - 1);
            assert_eq!((semaphore.num_waiters(), thread.has_ended()), (1, false));
            semaphore.add_permits(1);
            assert_eq!(thread.join().expect("open"), $count);
            assert_eq!(semaphore.forget_permits(4), $count, "the thread gave them back");
        }};
    }
    each_form!(check, semaphore);
}

#[test]
fn t42_each_form_fails_when_closed() {
    macro_rules! check {
        ($on:expr, $acquire:ident, $try_acquire:ident, $blocking:ident, ($($n:expr)?), $count:expr) => {{
            let semaphore = Arc::new(Semaphore::new(0));
            let on = semaphore.clone();
            let thread = start(move || on.$blocking($($n)?).map(drop));
            until_queued(&semaphore, 1);
            semaphore.close();
            assert_eq!(thread.join().unwrap_err().to_string(), "semaphore closed");
            semaphore.add_permits(4);
            let on = semaphore.clone();
            assert_eq!(on.$blocking($($n)?).unwrap_err().to_string(), "semaphore closed");
            assert_eq!(semaphore.available_permits(), 4);
        }};
    }
    let _each_its_own = ();
    each_form!(check, _each_its_own);
}

#[test]
fn t14_tasks_and_threads_are_served_in_one_order() {
    let semaphore = leaked(0);
    let served: &'static Mutex<Vec<usize>> = Box::leak(Box::default());
    let mut tasks = Vec::new();
    let mut threads = Vec::new();
    for place in 0..20 {
        if place % 2 == 0 {
            tasks.push((place, Task::queued(semaphore.acquire_many(2))));
        } else {
            threads.push(start(move || {
                let permit = semaphore.acquire_many(2).wait().expect("open");
                served.lock().unwrap().push(place);
                permit.forget();
            }));
        }
        until_queued(semaphore, place + 1);
    }
    let mut tasks = tasks.into_iter();
    for place in 0..20 {
        semaphore.add_permits(1);
        assert_eq!(semaphore.num_waiters(), 20 - place);
        semaphore.add_permits(1);
        if place % 2 == 0 {
            let (at, mut task) = tasks.next().expect("as many tasks");
            assert_eq!((at, task.wakes()), (place, 1));
            task.permit().forget();
            served.lock().unwrap().push(place);
        }
        until("this one has been served", || served.lock().unwrap().len() == place + 1);
    }
    threads.into_iter().for_each(|thread| thread.join());
    assert_eq!(*served.lock().unwrap(), (0..20).collect::<Vec<_>>());
}

#[test]
fn one_release_serves_a_batch_of_threads_and_tasks() {
    let semaphore = leaked(0);
    let threads: Vec<_> = (0..40).map(|_| start(|| semaphore.acquire().wait().expect("open").forget())).collect();
    until_queued(semaphore, 40);
    let mut tasks: Vec<_> = (0..40).map(|_| Task::queued(semaphore.acquire())).collect();
    semaphore.add_permits(80);
    threads.into_iter().for_each(|thread| thread.join());
    tasks.iter_mut().for_each(|task| task.permit().forget());
    assert_eq!((semaphore.num_waiters(), semaphore.available_permits()), (0, 0));
}

/// A thread that waits leaves the token of `std::thread::park` alone, and does not take a stray one for its permits.
#[test]
fn waiting_and_the_users_own_parking_do_not_meet() {
    use std::thread;

    let semaphore = leaked(0);
    let waiting = start(|| {
        thread::current().unpark();
        semaphore.acquire().wait().expect("open").forget();
        thread::park(); // the token is still there
    });
    until_queued(semaphore, 1);
    assert!(!waiting.has_ended());
    semaphore.add_permits(1);
    waiting.join();
}

/// The node of a waiting thread is on its stack, and its parker goes back to a pool when the thread ends.
#[test]
fn threads_come_and_go() {
    let semaphore = leaked(0);
    for _ in 0..50 {
        let threads = [(); 4].map(|()| start(|| semaphore.acquire().wait().expect("open").forget()));
        until_queued(semaphore, 4);
        semaphore.add_permits(4);
        threads.into_iter().for_each(|thread| thread.join());
    }
    assert_eq!((semaphore.num_waiters(), semaphore.available_permits()), (0, 0));
}
