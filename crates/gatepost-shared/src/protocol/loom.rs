//! Every interleaving, and the memory model, of the protocols, with two or three threads.
//!
//! What is run is the code of this module; of the parts around it - where a waiter's word, its futex and the futex are used -
//! there is as much here as a protocol needs, each with the place that it stands for. A sleep has no end but its wake-up
//! here: what is lost is a deadlock, which loom sees.

use std::process::Command;

use ::loom::model::Builder;
use ::loom::sync::{Arc, Condvar, Mutex};
use ::loom::thread;

use super::{Word, begin, bump, end, exchange, heard, leave, look};
use super::{publish_event, read_event, ring, unless, watch, write_event};
use crate::layout::LockWord;
use crate::step::has_bug;
use std::sync::atomic::Ordering::{self, Acquire, Relaxed, Release};

/// Loom's atomics, of which it explores more. It remembers one last access of each object, and so a thread that uses a word twice hides
/// from it that the second use races with what another thread did before. Here each use comes after an RMW of a word beside
/// it, which is relaxed and so orders nothing for the program; but loom sees that two of them race, and tries both orders.
macro_rules! touched {
    ($name:ident, $value:ty) => {
        struct $name {
            value: ::loom::sync::atomic::$name,
            touch: ::loom::sync::atomic::AtomicUsize,
        }

        impl $name {
            fn new(value: $value) -> Self {
                Self {
                    value: ::loom::sync::atomic::$name::new(value),
                    touch: ::loom::sync::atomic::AtomicUsize::new(0),
                }
            }

            fn touched(&self) -> &::loom::sync::atomic::$name {
                self.touch.fetch_add(0, Relaxed);
                &self.value
            }
        }

        impl Word<$value> for $name {
            fn load(&self, order: Ordering) -> $value {
                self.touched().load(order)
            }
            fn store(&self, value: $value, order: Ordering) {
                self.touched().store(value, order);
            }
            fn exchange(&self, old: $value, new: $value, order: Ordering) -> Result<$value, $value> {
                self.touched().compare_exchange(old, new, order, Relaxed)
            }
            fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                self.touched().fetch_add(value, order)
            }
            fn fetch_or(&self, value: $value, order: Ordering) -> $value {
                self.touched().fetch_or(value, order)
            }
            fn fence(order: Ordering) {
                ::loom::sync::atomic::fence(order);
            }
        }
    };
}

touched!(AtomicU32, u32);
touched!(AtomicU64, u64);

/// Every interleaving with at most three preemptions; all of them if `GATEPOST_LOOM_FULL` is set.
fn model(scenario: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = std::env::var_os("GATEPOST_LOOM_FULL").is_none().then_some(3);
    builder.check(scenario);
}

/// The kernel's part: whoever sleeps compares the word under the lock that whoever wakes takes.
struct Futex {
    bucket: Mutex<()>,
    sleepers: Condvar,
}

impl Futex {
    fn new() -> Self {
        Self { bucket: Mutex::new(()), sleepers: Condvar::new() }
    }

    fn wait(&self, word: &AtomicU32, expected: u32) {
        let bucket = self.bucket.lock().unwrap();
        if word.load(Relaxed) == expected {
            drop(self.sleepers.wait(bucket).unwrap());
        }
    }

    fn wake(&self) {
        let _bucket = self.bucket.lock().unwrap();
        self.sleepers.notify_all();
    }
}

/// `snapshot::status` against two sections one after the other.
#[test]
fn a_look_is_whole_or_says_that_it_is_not() {
    model(|| {
        let file = Arc::new((AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0)));
        let owner = Arc::clone(&file);
        let owner = thread::spawn(move || {
            for value in [1, 2] {
                let odd = begin(&owner.0);
                owner.1.store(value, Relaxed);
                owner.2.store(value, Relaxed);
                end(&owner.0, odd);
            }
        });
        let ((one, other), whole) = look(&file.0, || (file.1.load(Relaxed), file.2.load(Relaxed)));
        assert!(!whole || one == other, "torn");
        owner.join().unwrap();
        let (last, whole) = look(&file.0, || file.1.load(Relaxed));
        assert!(whole && last == 2, "nobody is there any more");
    });
}

/// The last even `seq` brings with it what was stored before: a reader that sees it does not look at something older.
#[test]
fn a_look_is_as_new_as_the_seq_that_it_began_with() {
    model(|| {
        let file = Arc::new((AtomicU32::new(0), AtomicU32::new(0)));
        let owner = Arc::clone(&file);
        let owner = thread::spawn(move || {
            let odd = begin(&owner.0);
            owner.1.store(1, Relaxed);
            end(&owner.0, odd);
        });
        let seen = file.0.load(Relaxed);
        let (value, whole) = look(&file.0, || file.1.load(Relaxed));
        assert!(!whole || seen < 2 || value == 1, "stale");
        owner.join().unwrap();
    });
}

/// `table::events`: a reader of event 0 while event 4 of a ring of four takes its row.
#[test]
fn an_event_is_whole_or_gone() {
    model(|| {
        let row = Arc::new([0; 4].map(AtomicU64::new));
        let write = |row: &[AtomicU64; 4], event: u64| {
            let [number, next, one, other] = row;
            write_event(number, event, || {
                one.store(event + 1, Relaxed);
                other.store(event + 1, Relaxed);
            });
            publish_event(next, event);
        };
        let owner = Arc::clone(&row);
        let owner = thread::spawn(move || {
            write(&owner, 0);
            write(&owner, 4);
        });
        let [number, next, one, other] = &*row;
        let end = next.load(Acquire);
        let found = read_event(number, 0, || (one.load(Relaxed), other.load(Relaxed)));
        assert!(found.is_none_or(|found| found == (1, 1)), "torn");
        owner.join().unwrap();
        assert!(end == 0 || end == 1 || end == 5);
        assert!(read_event(number, 4, || one.load(Relaxed)) == Some(5), "it stays");
    });
}

/// An event that has been announced is there, if nobody has taken its row since.
#[test]
fn an_event_that_is_announced_is_there() {
    model(|| {
        let row = Arc::new([0; 3].map(AtomicU64::new));
        let owner = Arc::clone(&row);
        let owner = thread::spawn(move || {
            let [number, next, text] = &*owner;
            write_event(number, 0, || text.store(7, Relaxed));
            publish_event(next, 0);
        });
        let [number, next, text] = &*row;
        if next.load(Acquire) == 1 {
            assert!(read_event(number, 0, || text.load(Relaxed)) == Some(7), "announced and not there");
        }
        owner.join().unwrap();
    });
}

/// `Acquire::sleep_until` against `answer_waiter` and `tell`: the waiter sees its answer, and what came before it.
#[test]
fn whoever_waits_gets_its_answer() {
    model(|| {
        const WAITING: u64 = 1;
        const GRANTED: u64 = 2;
        let row = Arc::new((AtomicU64::new(WAITING), AtomicU32::new(0), AtomicU32::new(0), Futex::new()));
        let owner = Arc::clone(&row);
        let owner = thread::spawn(move || {
            let (word, bell, grant, futex) = &*owner;
            grant.store(3, Relaxed);
            if has_bug("told before it is answered") {
                bump(bell);
                word.store(GRANTED, Release);
            } else {
                word.store(GRANTED, unless("answered relaxed", Release));
                bump(bell);
            }
            futex.wake();
        });
        let (word, bell, grant, futex) = &*row;
        loop {
            let seen = heard(bell);
            if word.load(Acquire) != WAITING {
                break;
            }
            futex.wait(bell, seen);
        }
        assert_eq!(grant.load(Relaxed), 3, "an answer without its grant");
        owner.join().unwrap();
    });
}

/// The lock's two ends, without those who sleep for it (they are in `model::lock`).
#[test]
fn the_next_owner_sees_what_the_last_one_did() {
    model(|| {
        let file = Arc::new((AtomicU64::new(0), AtomicU32::new(0)));
        let add = |file: &(AtomicU64, AtomicU32), me: u32| {
            let old = LockWord(file.0.load(Relaxed));
            if old.owner().is_none() && exchange(&file.0, old, old.owned_by(me)).is_ok() {
                file.1.store(file.1.load(Relaxed) + 1, Relaxed);
                assert!(leave(&file.0, me, 0).is_some(), "it is ours");
                return 1;
            }
            0
        };
        let other = Arc::clone(&file);
        let other = thread::spawn(move || add(&other, 1));
        let done = add(&file, 0);
        let done = done + other.join().unwrap();
        assert_eq!(file.1.load(Relaxed), done, "something was lost");
    });
}

/// `Source::sleep_unless` against a section: no change is slept through.
#[test]
fn whoever_watches_sees_each_change() {
    model(|| {
        let file = Arc::new((AtomicU64::new(0), AtomicU32::new(0), AtomicU32::new(0), Futex::new()));
        let owner = Arc::clone(&file);
        let owner = thread::spawn(move || {
            let (lock, changes, data, futex) = &*owner;
            let mut old = LockWord(lock.load(Relaxed));
            while let Err(seen) = exchange(lock, old, old.owned_by(0)) {
                old = seen;
            }
            data.store(1, Relaxed);
            if leave(lock, 0, 0).expect("it is ours").is_watched() {
                ring(changes);
                futex.wake();
            }
        });
        let (lock, changes, data, futex) = &*file;
        loop {
            let seen = heard(changes);
            watch(lock);
            if data.load(Relaxed) == 1 {
                break;
            }
            futex.wait(changes, seen);
        }
        owner.join().unwrap();
    });
}

/// The scheme that this replaces: a flag in a word of its own, which the one who leaves looks at. Both store and then load what the
/// other one stores, and without a full fence on each side both may see nothing.
#[test]
#[should_panic(expected = "deadlock")]
fn a_flag_of_its_own_would_be_missed() {
    model(|| {
        let file = Arc::new((AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0), Futex::new()));
        let owner = Arc::clone(&file);
        let owner = thread::spawn(move || {
            let (flag, changes, data, futex) = &*owner;
            data.store(1, Release);
            if flag.load(Relaxed) != 0 {
                flag.store(0, Relaxed);
                bump(changes);
                futex.wake();
            }
        });
        let (flag, changes, data, futex) = &*file;
        loop {
            let seen = heard(changes);
            flag.store(1, Relaxed);
            if data.load(Acquire) == 1 {
                break;
            }
            futex.wait(changes, seen);
        }
        owner.join().unwrap();
    });
}

/// Each ordering is needed: without it one of the tests fails. A model that has failed may abort, so it is run on its own.
mod seeded_bugs {
    use super::Command;

    fn caught(bug: &str, check: &str, because: &str) {
        let output = Command::new(std::env::current_exe().expect("a test has an executable"))
            .args([&format!("protocol::loom::{check}"), "--exact", "--nocapture", "--test-threads=1"])
            .env(crate::step::unwind::VARIABLE, bug)
            .env("RUST_BACKTRACE", "0")
            .output()
            .expect("a test's executable can be run again");
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("running 1 test"), "there is no test {check}:\n{said}");
        assert!(!output.status.success(), "{check} passes although {bug}: it cannot fail");
        assert!(said.contains(because), "{check} fails although {bug}, but not with {because:?}:\n{said}");
    }

    macro_rules! seeded {
        ($($name:ident: $bug:literal in $check:ident, $because:literal;)*) => {$(
            #[test]
            fn $name() {
                caught($bug, stringify!($check), $because);
            }
        )*};
    }

    seeded! {
        begin_has_its_fence: "a section begins without a fence" in a_look_is_whole_or_says_that_it_is_not, "torn";
        look_has_its_fence: "one looks without a fence" in a_look_is_whole_or_says_that_it_is_not, "torn";
        end_releases: "a section ends relaxed" in a_look_is_whole_or_says_that_it_is_not, "torn";
        an_event_has_its_fence: "an event begins without a fence" in an_event_is_whole_or_gone, "torn";
        its_reader_has_its_fence: "an event is read without a fence" in an_event_is_whole_or_gone, "torn";
        its_number_releases: "an event ends relaxed" in an_event_is_whole_or_gone, "torn";
        bump_releases: "one is told relaxed" in whoever_waits_gets_its_answer, "deadlock";
        heard_acquires: "one hears relaxed" in whoever_waits_gets_its_answer, "deadlock";
        an_answer_releases: "answered relaxed" in whoever_waits_gets_its_answer, "an answer without its grant";
        the_answer_comes_first: "told before it is answered" in whoever_waits_gets_its_answer, "deadlock";
        exchange_acquires: "the lock is taken relaxed" in the_next_owner_sees_what_the_last_one_did, "something was lost";
        leave_releases: "the lock is left relaxed" in the_next_owner_sees_what_the_last_one_did, "something was lost";
        watch_acquires: "one watches relaxed" in whoever_watches_sees_each_change, "deadlock";
        leave_releases_to_watchers: "the lock is left relaxed" in whoever_watches_sees_each_change, "deadlock";
    }
}
