//! Slots and epochs.

use std::collections::HashSet;

use gatepost_shared::Semaphore;

use super::common::{Folder, LONG};

#[test]
fn the_lowest_free_numbers_are_given_out() {
    let folder = Folder::new();
    let s = folder.open(6);
    let [a, b, c] = [1, 2, 3].map(|n| s.acquire_many(n).wait().expect("free"));
    assert_eq!((a.slots(), b.slots(), c.slots()), (vec![0], vec![1, 2], vec![3, 4, 5]));
    drop(b);
    drop(a);
    let d = s.acquire_many(3).wait().expect("free");
    assert_eq!(d.slots(), [0, 1, 2]);
    drop(c);
    assert_eq!(s.acquire().wait().expect("free").slots(), [3]);
}

#[test]
fn epochs_grow_with_each_use_of_a_number_and_only_then() {
    let folder = Folder::new();
    let s = folder.open(3);
    let mut last = [0; 3];
    for n in [1, 3, 2, 1, 3, 1, 2] {
        let permit = s.acquire_many(n).wait().expect("free");
        for (slot, epoch) in permit.slots().into_iter().zip(permit.epochs()) {
            assert_eq!(epoch, last[slot as usize] + 1);
            last[slot as usize] = epoch;
        }
    }
    assert_eq!(last, [7, 4, 2]);
    drop(s);
    let s = folder.open(3);
    assert_eq!(s.acquire().wait().expect("free").epochs(), [8], "they outlive all sessions");
}

#[test]
fn after_a_lower_limit_only_numbers_below_it_are_given_out() {
    let folder = Folder::new();
    let s = folder.open(6);
    let held = [(); 6].map(|()| s.acquire().wait().expect("free"));
    s.resize(3).expect("less");
    let [zero, one, two, three, four, five] = held;
    drop((zero, one, three, four));
    let more = s.acquire().wait_timeout(LONG).expect("two are in use");
    assert_eq!((two.slots(), five.slots(), more.slots()), (vec![2], vec![5], vec![0]));
}

#[test]
fn no_number_is_given_to_two_at_one_time() {
    let folder = Folder::new();
    let s = folder.open(5);
    let used = std::sync::Mutex::new(HashSet::new());
    std::thread::scope(|scope| {
        for k in 0..4 {
            let (s, used) = (&s, &used);
            scope.spawn(move || {
                for round in 0..200 {
                    let permit = s.acquire_many(1 + (k + round) % 4).wait_timeout(LONG).expect("its turn");
                    let slots = permit.slots();
                    let mut set = used.lock().expect("no panic");
                    assert!(slots.iter().all(|slot| *slot < 5 && set.insert(*slot)), "{slots:?}");
                    drop(set);
                    std::thread::yield_now();
                    let mut set = used.lock().expect("no panic");
                    assert!(slots.iter().all(|slot| set.remove(slot)));
                }
            });
        }
    });
}

#[test]
fn without_slots_there_are_no_numbers_and_the_limit_may_be_large() {
    let folder = Folder::new();
    let s = Semaphore::open("s", &folder.options().limit(2000)).expect("a semaphore");
    let permit = s.acquire_many(1999).wait().expect("free");
    assert_eq!((permit.slots(), permit.epochs(), permit.permits()), (vec![], vec![], 1999));
    let status = s.status().expect("a look");
    assert!(!status.slots && status.holders[0].slots.is_empty());
    assert_eq!(status.capacity.limit, (1 << 30) - 1);
    let small = Semaphore::open("t", &folder.options().limit(2).without_slots()).expect("a semaphore");
    assert!(small.acquire().wait().expect("free").slots().is_empty());
    small.resize((1 << 30) - 1).expect("room enough");
    assert_eq!(small.acquire_many((1 << 30) - 1).wait().expect("free").permits(), (1 << 30) - 1);
}
