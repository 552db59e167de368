//! Random kills of random processes under load: nothing is held twice, nothing is lost, nobody is stranded.
//!
//! Workers - this program, run again - take, hold, give back, run out of time and change their minds, all on one file; the
//! test kills one after the other, stops some for a while, and starts new ones. In memory that all share there is a word
//! for each slot. Whoever has been granted a slot writes itself there: to find somebody there whom nobody has killed is to
//! find two in one slot. And each slot's epoch has to be greater than every one before.

use std::fs::File;
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use gatepost_shared::{Error, Options, Permit, Semaphore};
use rustix::event::{Timespec, poll};
use rustix::mm::{MapFlags, ProtFlags, mmap};
use rustix::process::{Pid, Signal, kill_process};

const LIMIT: u32 = 5;
const WORKERS: usize = 6;
/// More workers than one run ever starts.
const MOST: usize = 1 << 24;
/// Whoever waits longer is stranded.
const FOREVER: Duration = Duration::from_secs(60);
/// Where a worker finds the folder, and its number.
const FOLDER: &str = "GATEPOST_SOAK_FOLDER";
const NUMBER: &str = "GATEPOST_SOAK_NUMBER";

/// What all share. All zero at the beginning.
#[repr(C)]
struct Log {
    /// Who is in each slot: a worker's number; 0: nobody.
    inside: [AtomicU32; LIMIT as usize],
    /// The greatest epoch seen of each.
    epoch: [AtomicU64; LIMIT as usize],
    /// How often somebody was let in, ran out of time, and changed its mind.
    entered: AtomicU64,
    timed_out: AtomicU64,
    cancelled: AtomicU64,
    /// 1: no more.
    is_over: AtomicU32,
    /// By worker: 1: it works; 2: it is killed, or was.
    state: [AtomicU32; MOST],
}

impl Log {
    /// The log in `folder`, made if it is not there.
    fn open(folder: &Path) -> &'static Self {
        let path = folder.join("log");
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path).expect("a file");
        file.set_len(size_of::<Self>() as u64).expect("there is room");
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: no address is asked for, so nothing that exists is replaced.
        let at = unsafe { mmap(std::ptr::null_mut(), size_of::<Self>(), access, MapFlags::SHARED, &file, 0) };
        // SAFETY: the mapping is that long, page-aligned, and is never taken away; all in it is atomic.
        unsafe { &*at.expect("it can be mapped").cast::<Self>() }
    }
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }
}

/// Lets time pass, in microseconds.
fn pass(micros: u64) {
    let time = Timespec { tv_sec: 0, tv_nsec: micros as i64 * 1000 };
    let _ = poll(&mut [], Some(&time));
}

/// A worker of the soak; nothing to do if it is run as a test.
#[test]
fn worker() {
    let (Some(folder), Ok(number)) = (std::env::var_os(FOLDER), std::env::var(NUMBER)) else { return };
    // If the test goes, so does it.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).expect("it is allowed");
    let number: u32 = number.parse().expect("a number");
    let folder = Path::new(&folder);
    let log = Log::open(folder);
    let semaphore = Semaphore::open("soak", &Options::new().directory(folder)).expect("it opens");
    log.state[number as usize].store(1, SeqCst);
    let mut random = Random(u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    while log.is_over.load(SeqCst) == 0 {
        let permits = 1 + random.below(LIMIT.into()) as u32 % (1 + random.below(LIMIT.into()) as u32);
        match random.below(8) {
            0 => match semaphore.try_acquire_many(permits) {
                Ok(permit) => hold(log, number, permit, &mut random),
                Err(Error::Busy { .. }) => {}
                Err(error) => panic!("{error}"),
            },
            1 | 2 => match semaphore.acquire_many(permits).wait_timeout(Duration::from_micros(random.below(3000))) {
                Ok(permit) => hold(log, number, permit, &mut random),
                Err(Error::TimedOut { .. }) => drop(log.timed_out.fetch_add(1, SeqCst)),
                Err(error) => panic!("{error}"),
            },
            3 => {
                // It takes a place in the queue, and leaves it, or what it has been granted meanwhile.
                let mut acquire = pin!(semaphore.acquire_many(permits));
                let _ = acquire.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                pass(random.below(500));
                log.cancelled.fetch_add(1, SeqCst);
            }
            _ => match semaphore.acquire_many(permits).label("soak").wait_timeout(FOREVER) {
                Ok(permit) => hold(log, number, permit, &mut random),
                Err(error) => panic!("stranded: {error}"),
            },
        }
    }
}

/// Is in the slots of `permit` for a moment.
fn hold(log: &Log, number: u32, permit: Permit, random: &mut Random) {
    let (slots, epochs) = (permit.slots(), permit.epochs());
    assert_eq!(slots.len(), permit.permits() as usize, "it is not held");
    for (slot, epoch) in slots.iter().map(|slot| *slot as usize).zip(epochs) {
        let before = log.inside[slot].swap(number, SeqCst);
        let is_dead = before == 0 || log.state[before as usize].load(SeqCst) == 2;
        assert!(is_dead, "held twice: worker {before} is in slot {slot}");
        let last = log.epoch[slot].swap(epoch, SeqCst);
        assert!(last < epoch, "slot {slot} has epoch {epoch} after {last}");
    }
    log.entered.fetch_add(1, SeqCst);
    match random.below(4) {
        0 => pass(random.below(1000)),
        1 => std::thread::yield_now(),
        _ => {}
    }
    for slot in slots {
        let was = log.inside[slot as usize].compare_exchange(number, 0, SeqCst, SeqCst);
        assert_eq!(was, Ok(number), "held twice: somebody else is in slot {slot}");
    }
    drop(permit);
}

struct Worker {
    number: usize,
    child: Child,
}

impl Worker {
    fn start(folder: &Path, number: usize) -> Self {
        assert!(number < MOST, "more workers than there is room for");
        let child = Command::new(std::env::current_exe().expect("a test has an executable"))
            .args(["worker", "--exact", "--nocapture", "--test-threads=1"])
            .envs([(FOLDER, folder.as_os_str()), (NUMBER, number.to_string().as_ref())])
            .stdout(Stdio::null())
            .spawn()
            .expect("it can be run again");
        Self { number, child }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is our child");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Kills until `is_enough` says so; how many it were.
fn soak(mut is_enough: impl FnMut(u64) -> bool) -> u64 {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
    let folder = folder.path();
    let log = Log::open(folder);
    let options = Options::new().directory(folder);
    let semaphore = Semaphore::open("soak", &options.limit(LIMIT)).expect("it opens");
    let started = Instant::now();
    let mut random = Random(u64::from(std::process::id()) << 17 | 0x5_0A4B);
    let mut workers: Vec<Worker> = (1..=WORKERS).map(|number| Worker::start(folder, number)).collect();
    let (mut next, mut kills, mut stops, mut stopped) = (WORKERS + 1, 0, 0, None::<usize>);
    while !is_enough(kills) {
        pass(random.below(3000));
        for worker in &mut workers {
            let ended = worker.child.try_wait().expect("it is our child");
            assert!(ended.is_none(), "worker {} has ended by itself: {ended:?}", worker.number);
        }
        // One that was stopped goes on.
        if let Some(worker) = stopped.take().and_then(|number| workers.iter().find(|worker| worker.number == number)) {
            worker.signal(Signal::CONT);
        }
        let at = random.below(WORKERS as u64) as usize;
        let worker = &mut workers[at];
        if log.state[worker.number].load(SeqCst) == 0 {
            continue; // It has not even begun.
        }
        if random.below(8) == 0 {
            worker.signal(Signal::STOP);
            stopped = Some(worker.number);
            stops += 1;
            continue;
        }
        log.state[worker.number].store(2, SeqCst);
        worker.signal(Signal::KILL);
        worker.child.wait().expect("it is our child");
        workers[at] = Worker::start(folder, next);
        next += 1;
        kills += 1;
    }
    // Now nobody is killed any more, and everybody comes to an end.
    log.is_over.store(1, SeqCst);
    for worker in &mut workers {
        worker.signal(Signal::CONT);
        let end = Instant::now() + FOREVER * 2;
        let status = loop {
            match worker.child.try_wait().expect("it is our child") {
                Some(status) => break status,
                None => pass(1000),
            }
            assert!(Instant::now() < end, "worker {} is stranded", worker.number);
        };
        assert!(status.success(), "worker {} ended badly: {status}", worker.number);
    }
    semaphore.reclaim().expect("it works");
    let status = semaphore.status().expect("it can be seen");
    assert_eq!((status.used, status.holders.len(), status.waiters.len()), (0, 0, 0), "{status:#?}");
    assert_eq!(status.damage, None);
    let all = semaphore.try_acquire_many(LIMIT).expect("no permit is lost");
    assert_eq!(all.slots(), (0..LIMIT).collect::<Vec<_>>());
    drop(all);
    let load = |word: &AtomicU64| word.load(SeqCst);
    let (entered, timed_out, cancelled) = (load(&log.entered), load(&log.timed_out), load(&log.cancelled));
    assert!(entered > 0 && timed_out > 0 && cancelled > 0, "no load");
    let statistics = status.statistics;
    println!(
        "{kills} kills and {stops} stops in {:.1} s: {entered} times let in, {timed_out} timed out, {cancelled} cancelled; {} grants \
         reclaimed, {} sections taken over; 0 permits lost, 0 held twice, 0 stranded",
        started.elapsed().as_secs_f64(),
        statistics.reclaimed,
        statistics.takeovers,
    );
    assert!(statistics.reclaimed > 0, "nobody was killed while it held");
    kills
}

#[test]
fn a_few_hundred_random_kills() {
    assert!(soak(|kills| kills >= 300) >= 300);
}

/// For `GATEPOST_SOAK_SECS` seconds, and for 10,000 kills at least.
#[test]
#[ignore = "minutes; GATEPOST_SOAK_SECS says how long at least"]
fn ten_thousand_random_kills() {
    let seconds = std::env::var("GATEPOST_SOAK_SECS").map_or(0, |s| s.parse().expect("a number of seconds"));
    let end = Instant::now() + Duration::from_secs(seconds);
    assert!(soak(|kills| kills >= 10_000 && Instant::now() >= end) >= 10_000);
}
