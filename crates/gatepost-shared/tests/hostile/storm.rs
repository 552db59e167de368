//! Bits that flip anywhere in the file while threads and processes use it: no panic, no end that does not come, and a
//! repair after which all is there.
//!
//! Everybody goes on for a while, with waits that are short; one thread flips; one repairs, as a person would who is told to. Then
//! everybody must come to an end, which the test waits for with a bound; and what an honest user finds after a last repair is a
//! semaphore with all its permits.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use gatepost_shared::{Observer, Options, PermitId, Semaphore, repair};

use super::common::{Bytes, Dice, Folder, LONG, Other, at};

const LIMIT: u32 = 8;
const SHORT: Duration = Duration::from_millis(3);

/// One thing that a user does; what goes wrong is an error value, and nothing else.
fn act(s: &Semaphore, options: &Options, dice: &mut Dice) {
    let n = 1 + dice.below(4) as u32;
    match dice.below(16) {
        0..4 => drop(s.try_acquire_many(n)),
        4..7 => drop(s.acquire_many(n).label("storm").wait_timeout(SHORT)),
        7 => {
            if let Ok(permit) = s.acquire().wait_timeout(SHORT) {
                let _ = permit.keep(std::process::id());
                let _ = permit.lease(Duration::from_millis(dice.below(5)));
                let _ = (permit.slots(), permit.epochs(), permit.is_held());
                permit.lost().wait_timeout(Duration::from_micros(dice.below(900)));
            }
        }
        8 => {
            let mut wait = pin!(s.acquire_many(n));
            let mut context = Context::from_waker(Waker::noop());
            if wait.as_mut().poll(&mut context).is_pending() && dice.below(2) == 0 {
                drop(s.try_acquire());
                let _ = wait.as_mut().poll(&mut context).map(drop);
            }
        }
        9 => {
            if let Ok(status) = s.status() {
                let json = serde_json::to_string(&status).expect("whatever is in the file is a status");
                assert!(json.len() > 100);
                if let Some(holder) = status.holders.get(dice.below(8) as usize) {
                    let _ = s.revoke(holder.id, "a storm");
                }
            }
        }
        10 => drop(s.resize(dice.below(12) as u32)),
        11 => drop(s.reclaim()),
        12 => {
            let mut events = s.events();
            let _ = events.by_ref().map(|event| event.to.map_or(0, |to| to.pid)).max();
            let _ = events.wait(Duration::from_micros(dice.below(900)));
        }
        13 => {
            let _ = s.release(PermitId::from(dice.below(2000)));
            let _ = if dice.below(2) == 0 { s.pause() } else { s.resume() };
            let _ = s.resume();
        }
        14 => {
            if let Ok(observer) = Observer::open("s", options) {
                let _ = observer.status().map(|status| status.statistics.wait.quantile(0.99));
                observer.wait_change(Duration::from_micros(dice.below(900)));
            }
        }
        _ => drop(Semaphore::open("s", options)),
    }
}

/// Uses the semaphore for `time`; how many things it did.
fn worker(options: &Options, seed: u64, time: Duration) -> u64 {
    let mut dice = Dice(seed);
    let end = Instant::now() + time;
    let mut count = 0;
    while Instant::now() < end {
        // It may be so damaged that nobody can open it: until it is repaired.
        let Ok(s) = Semaphore::open("s", options) else {
            std::thread::yield_now();
            continue;
        };
        for _ in 0..200 {
            act(&s, options, &mut dice);
            count += 1;
            if Instant::now() >= end {
                break;
            }
        }
    }
    count
}

/// What a process of the storm does that is told to: `storm SEED MILLISECONDS`.
pub(crate) fn command(words: &[&str], options: &Options) -> Option<String> {
    let number = |k: usize| words[k].parse().expect("a number");
    (words[0] == "storm").then(|| format!("did {}", worker(options, number(1), Duration::from_millis(number(2)))))
}

/// Flips a bit, or writes a word, where it is likely to matter.
fn damage(bytes: &Bytes, dice: &mut Dice) {
    let place = match dice.below(8) {
        // The header, but not beyond what is used of it. Seldom what is written once: damaged beyond recognition it is another
        // program's file; `repair` has a test for each of its bits.
        0 if dice.below(40) == 0 => return bytes.flip(0x08 * 8 + dice.below(0x78 * 8)),
        0..3 => 0x80 + dice.below(0x400),
        3 => at::GRANTS + dice.below(12 * 192),
        4 => at::WAITERS + dice.below(12 * 192),
        5 => at::SLOTS + dice.below(16 * 16),
        6 => at::SESSIONS + dice.below(12 * 64),
        _ => dice.below(at::END),
    };
    match dice.below(8) {
        0 => bytes.put_u64(place & !7, u64::MAX - dice.below(3)),
        1 => bytes.put_u32(place & !3, dice.below(2000) as u32),
        _ => bytes.flip(place * 8 + dice.below(8)),
    }
}

fn give_up(seed: u64, ended: u32) -> ! {
    eprintln!("seed {seed}: only {ended} of 5 came to an end");
    std::process::exit(101);
}

fn storm(seed: u64, time: Duration) -> (u64, u64) {
    let folder = Folder::new();
    drop(folder.open(LIMIT));
    let options = folder.options();
    let (done, ended) = mpsc::channel();
    let stop = AtomicBool::new(false);
    let flips = AtomicU64::new(0);
    let mut others = [(); 2].map(|()| Other::start(&folder));
    for (k, other) in others.iter_mut().enumerate() {
        other.say(&format!("storm {} {}", seed + 100 + k as u64, time.as_millis()));
    }
    let acts = std::thread::scope(|scope| {
        for k in 0..3 {
            let (done, options) = (done.clone(), &options);
            scope.spawn(move || {
                // A panic drops the sender, and the scope passes it on.
                let count = worker(options, seed + k, time);
                done.send(count).expect("the test waits");
            });
        }
        for mut other in others {
            let done = done.clone();
            scope.spawn(move || {
                let answer = other.hear();
                let count = answer.strip_prefix("did ").and_then(|count| count.parse().ok());
                done.send(count.unwrap_or_else(|| panic!("{answer}"))).expect("the test waits");
            });
        }
        scope.spawn(|| {
            let bytes = folder.bytes();
            let mut dice = Dice(seed ^ 0xF11B);
            let end = Instant::now() + time;
            while Instant::now() < end {
                for _ in 0..=dice.below(3) {
                    damage(&bytes, &mut dice);
                    flips.fetch_add(1, Relaxed);
                }
                std::thread::park_timeout(Duration::from_micros(dice.below(3000)));
            }
        });
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                // It may fail: what it mends is damaged again meanwhile.
                let _ = repair("s", &options);
                std::thread::park_timeout(Duration::from_millis(5));
            }
        });
        // Who hangs would keep the scope from its end, and the test from failing.
        let acts = (0..5).map(|k| ended.recv_timeout(LONG).unwrap_or_else(|_| give_up(seed, k))).sum();
        stop.store(true, Relaxed);
        acts
    });
    let (mut tries, deadline) = (0, Instant::now() + LONG);
    while let Err(error) = repair("s", &options) {
        tries += 1;
        assert!(tries < 3 && Instant::now() < deadline, "seed {seed}: {error}");
    }
    // A limit, a pause, a policy, or an owner that can be is no damage that anybody could see.
    let s = Semaphore::open("s", &options).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    s.resume().expect("sound");
    s.resize(LIMIT).expect("sound");
    for holder in s.status().expect("a look").holders {
        s.revoke(holder.id, "nobody's").expect("sound");
    }
    let all = s.acquire_many(LIMIT).wait_timeout(LONG);
    let all = all.unwrap_or_else(|error| panic!("seed {seed}: {error}: {:#?}", s.status()));
    assert_eq!(all.slots(), (0..LIMIT).collect::<Vec<_>>(), "seed {seed}");
    assert!(matches!(s.try_acquire(), Err(gatepost_shared::Error::Busy { .. })));
    drop(all);
    assert_eq!(s.status().expect("a look").used, 0);
    (acts, flips.into_inner())
}

#[test]
fn bits_that_flip_during_use_neither_panic_nor_hang_and_can_be_repaired() {
    for seed in 0..4 {
        let (acts, flips) = storm(seed * 1000, Duration::from_millis(700));
        assert!(acts > 0 && flips > 0);
        println!("seed {seed}: {acts} acts, {flips} flips");
    }
}

#[test]
#[ignore = "for as long as GATEPOST_SOAK_SECS says"]
fn bits_that_flip_for_a_long_time() {
    let seconds = std::env::var("GATEPOST_SOAK_SECS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut seed = std::process::id().into();
    let (mut acts, mut flips, mut rounds) = (0, 0, 0);
    while Instant::now() < end {
        let round = storm(seed, Duration::from_millis(1500));
        acts += round.0;
        flips += round.1;
        rounds += 1;
        seed += 1000;
    }
    println!("{rounds} storms, {acts} acts, {flips} flips");
}
