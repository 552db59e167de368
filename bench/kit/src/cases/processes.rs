//! P: processes that share a semaphore.
//!
//! | case | what |
//! |---|---|
//! | P1 | one process, the permits are there |
//! | P2 | 2 to 8 processes that contend, each with a little work inside |
//! | P3 | two processes that pass permits to and fro |
//! | P4 | a holder is killed: how long until a waiter has its permit |
//!
//! P3 has to work with peers whose permits only their holder can give back, and with those that let a running process
//! overtake: so there are three semaphores of one permit, and whoever has two gives one back and asks for the third, which
//! the other holds. Ping begins with A and C, Pong with B; after three turns each has what it had. Nobody can go on without
//! the other, and half of a turn is the way of one permit.

use super::{AUDIT, Counted, LATEST, PATIENCE, nanoseconds_each};
use crate::across::{self, Across, Folder, MOST_WORKERS, Mapped, Part, Process, Role, check_permits, sleeps, until};
use crate::cases::uncontended::PERMITS;
use crate::protocol::{Ask, Sample};
use crate::stats::median;
use crate::work::work;
use anyhow::{Context as _, Result, bail, ensure};
use std::hint::black_box;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// P1.
pub fn alone<S: Across>(ask: &Ask) -> Result<Sample> {
    #[inline(never)]
    fn operations<S: Across>(semaphore: &S, n: u64) {
        for _ in 0..n {
            let permit = semaphore.acquire();
            black_box(&permit);
            drop(permit);
        }
    }
    let (folder, permits) = (Folder::new()?, PERMITS.min(S::MOST));
    let semaphore = across::create::<S>(&place(&folder, 0), permits)?;
    let sample = alone_without(ask, |n| operations(&semaphore, n));
    check_permits(&semaphore, permits)?;
    Ok(sample)
}

/// P1 of what is no semaphore.
pub fn alone_without(ask: &Ask, operations: impl Fn(u64)) -> Sample {
    let mut cpu_ns = 0.0;
    let ns = nanoseconds_each(ask.window(), |n| {
        let before = processor_time();
        operations(n);
        // The last call is the one that counts.
        cpu_ns = (processor_time() - before) as f64 / n as f64;
    });
    Sample::of("ns", ns).with("cpu_ns", cpu_ns)
}

/// How long a processor has worked for this thread, in ns: what else runs meanwhile is not in it.
fn processor_time() -> u64 {
    across::clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// Where the semaphores of a folder are.
fn place(folder: &Path, nth: usize) -> std::path::PathBuf {
    folder.join(["a.gate", "b.gate", "c.gate"][nth])
}

/// P2.
pub fn contend<S: Across>(ask: &Ask) -> Result<Sample> {
    let (processes, permits) = (ask.count("processes")?, ask.count("limit")?);
    if ask.audit {
        let folder = Folder::new()?;
        let semaphore = across::create::<S>(&place(&folder, 0), permits)?;
        let (page, _) = crowd(&folder, S::NAME, &Part::Contend { audit: true }, (processes, permits), (AUDIT, AUDIT))?;
        ensure!(!page.broken.load(Relaxed), "more than {permits} permits were out at one time");
        check_permits(&semaphore, permits)?;
    }
    let folder = Folder::new()?;
    let semaphore = across::create::<S>(&place(&folder, 0), permits)?;
    let times = (ask.warm(), ask.window());
    let (page, counted) = crowd(&folder, S::NAME, &Part::Contend { audit: false }, (processes, permits), times)?;
    counted.check()?;
    check_permits(&semaphore, permits)?;
    Ok(sample(&page, &counted))
}

/// P2 of what is no semaphore.
pub fn no_semaphore(ask: &Ask) -> Result<Sample> {
    let folder = Folder::new()?;
    let (page, counted) = crowd(&folder, "", &Part::Work, (ask.count("processes")?, 1), (ask.warm(), ask.window()))?;
    Ok(sample(&page, &counted))
}

fn sample(page: &Mapped, counted: &Counted) -> Sample {
    let sum = |of: fn(&across::Worker) -> u64| page.workers.iter().map(|worker| of(worker)).sum::<u64>() as f64;
    let turns = sum(|worker| worker.turns.load(Relaxed)).max(1.0);
    Sample::of("ops_per_s", counted.per_second())
        .with("share", counted.share())
        .with("idle", counted.idle())
        .with("cpu_ns", sum(|worker| worker.cpu_ns.load(Relaxed)) / turns)
        .with("switches", sum(|worker| worker.switches.load(Relaxed)) / turns)
}

/// Has processes take turns, as threads do in C2.
fn crowd(
    folder: &Path,
    peer: &str,
    part: &Part,
    (processes, permits): (usize, usize),
    (warm, window): (Duration, Duration),
) -> Result<(Mapped, Counted)> {
    ensure!(processes <= MOST_WORKERS, "no more than {MOST_WORKERS} processes");
    let page = Mapped::create(folder)?;
    let role = |index| Role { peer: peer.to_owned(), part: part.clone(), folder: folder.to_owned(), index, permits };
    let started: Result<Vec<Process>> = (0..processes).map(|index| Process::start(&role(index))).collect();
    let mut started = started?;
    until(&mut started, PATIENCE, || page.ready.load(Relaxed) as usize == processes)?;
    let counts = || -> Vec<u64> { page.workers[..processes].iter().map(|worker| worker.count.load(Relaxed)).collect() };
    // Sleeps on until somebody has done something: on a busy machine nobody may have run meanwhile.
    let pass = |time: Duration, before: &[u64]| {
        let start = Instant::now();
        std::thread::sleep(time);
        while counts() == before && start.elapsed() < PATIENCE {
            std::thread::sleep(time.max(Duration::from_millis(1)));
        }
    };
    page.go.store(true, Relaxed);
    pass(warm, &vec![0; processes]);
    let start = Instant::now();
    while counts().contains(&0) && start.elapsed() < LATEST {
        std::thread::sleep(Duration::from_millis(1));
    }
    let (start, before) = (Instant::now(), counts());
    pass(window, &before);
    let (took, after) = (start.elapsed(), counts());
    page.stop.store(true, Relaxed);
    started.into_iter().try_for_each(|process| process.end(PATIENCE))?;
    let each = after.iter().zip(&before).map(|(after, before)| after - before).collect();
    Ok((page, Counted { each, took }))
}

/// P3.
pub fn ping_pong<S: Across>(ask: &Ask) -> Result<Sample> {
    let folder = Folder::new()?;
    let page = Mapped::create(&folder)?;
    let all = (0..3).map(|nth| across::create::<S>(&place(&folder, nth), 1)).collect::<Result<Vec<S>>>()?;
    let role = |part, index| Role { peer: S::NAME.to_owned(), part, folder: folder.to_path_buf(), index, permits: 1 };
    let (warm_ns, window_ns) = (ask.warm().as_nanos() as u64, ask.window().as_nanos() as u64);
    let pong = Process::start(&role(Part::Pong, 1))?;
    let ping = Process::start(&role(Part::Ping { warm_ns, window_ns }, 0))?;
    let patience = PATIENCE + ask.warm() + ask.window();
    ping.end(patience)?;
    pong.end(patience)?;
    all.iter().try_for_each(|semaphore| check_permits(semaphore, 1))?;
    let ns = f64::from_bits(page.figure.load(Relaxed));
    ensure!(ns > 0.0, "nothing was measured");
    Ok(Sample::of("ns", ns))
}

/// P4: how long until a waiter has the permit of a holder that was killed; whose permits do not come back is told so.
pub fn recovery<S: Across>(ask: &Ask) -> Result<Sample> {
    /// Of the least that is measured, the median counts.
    const LEAST: usize = 3;
    let (start, waited) = (Instant::now(), Duration::from_millis(ask.count("waited_ms")? as u64));
    let mut each = Vec::new();
    while start.elapsed() < ask.window() || each.len() < LEAST {
        each.push(after_a_kill::<S>(waited, ask.limit())? as f64);
    }
    Ok(Sample::of("ns", median(&each).context("no sample")?))
}

fn after_a_kill<S: Across>(waited: Duration, limit: Duration) -> Result<u64> {
    let folder = Folder::new()?;
    let page = Mapped::create(&folder)?;
    let semaphore = across::create::<S>(&place(&folder, 0), 1)?;
    let role = |part| Role { peer: S::NAME.to_owned(), part, folder: folder.to_path_buf(), index: 0, permits: 1 };
    let mut holder = [Process::start(&role(Part::Hold))?];
    until(&mut holder, PATIENCE, || page.ready.load(Relaxed) == 1)?;
    let mut waiter = [Process::start(&role(Part::Wait))?];
    let id = waiter[0].id();
    until(&mut waiter, PATIENCE, || page.ready.load(Relaxed) == 2 && sleeps(id))?;
    std::thread::sleep(waited);
    let killed = holder[0].kill()?;
    let start = Instant::now();
    while page.figure.load(Relaxed) == 0 {
        if start.elapsed() > limit {
            bail!("lost: the permit of a killed holder had not come back after {limit:?}");
        }
        std::thread::sleep(Duration::from_micros(50));
    }
    let took = page.figure.load(Relaxed).saturating_sub(killed);
    let [waiter] = waiter;
    waiter.end(PATIENCE)?;
    check_permits(&semaphore, 1)?;
    Ok(took)
}

/// P4 of what is no semaphore: how long until the kernel says that a process which was killed is dead.
pub fn death(ask: &Ask) -> Result<Sample> {
    let (start, mut each) = (Instant::now(), Vec::new());
    while start.elapsed() < ask.window() || each.len() < 3 {
        let folder = Folder::new()?;
        let page = Mapped::create(&folder)?;
        let role = Role { peer: String::new(), part: Part::Idle, folder: folder.to_path_buf(), index: 0, permits: 1 };
        let mut process = [Process::start(&role)?];
        until(&mut process, PATIENCE, || page.ready.load(Relaxed) == 1)?;
        // SAFETY: no pointers.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, process[0].id(), 0) } as libc::c_int;
        ensure!(fd >= 0, "pidfd_open: {}", io::Error::last_os_error());
        let killed = process[0].kill()?;
        let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        // SAFETY: one structure of this frame's, and a descriptor of ours that is closed once.
        let told = unsafe {
            let told = libc::poll(&mut poll, 1, PATIENCE.as_millis() as libc::c_int);
            libc::close(fd);
            told
        };
        each.push(across::now().saturating_sub(killed) as f64);
        ensure!(told == 1, "nobody tells of a death");
    }
    Ok(Sample::of("ns", median(&each).context("no sample")?))
}

/// Plays a role, which names this peer.
pub fn be<S: Across>(role: &Role) -> Result<()> {
    let page = Mapped::open(&role.folder)?;
    let open = |nth| S::open(&place(&role.folder, nth), role.permits);
    match role.part {
        Part::Contend { audit: false } => {
            let semaphore = open(0)?;
            take_turns(&page, role.index, || {
                let permit = semaphore.acquire();
                black_box(&permit);
                work();
                drop(permit);
            })
        }
        Part::Contend { audit: true } => {
            let semaphore = open(0)?;
            take_turns(&page, role.index, || {
                let permit = semaphore.acquire();
                if page.inside.fetch_add(1, Relaxed) + 1 > role.permits {
                    page.broken.store(true, Relaxed);
                }
                work();
                page.inside.fetch_sub(1, Relaxed);
                drop(permit);
            })
        }
        Part::Ping { warm_ns, window_ns } => ping(&page, &[open(0)?, open(1)?, open(2)?], warm_ns, window_ns),
        Part::Pong => pong(&page, &[open(0)?, open(1)?, open(2)?]),
        Part::Hold => {
            let semaphore = open(0)?;
            let _permit = semaphore.acquire();
            page.ready.fetch_add(1, Relaxed);
            wait_to_be_killed()
        }
        Part::Wait => {
            let semaphore = open(0)?;
            page.ready.fetch_add(1, Relaxed);
            let permit = semaphore.acquire();
            page.figure.store(across::now(), Relaxed);
            drop(permit);
            Ok(())
        }
        Part::HoldUntilAsleep(process) => {
            let semaphore = open(0)?;
            let permit = semaphore.acquire();
            page.ready.fetch_add(1, Relaxed);
            until(&mut [], PATIENCE, || page.go.load(Relaxed) && sleeps(process))?;
            drop(permit);
            Ok(())
        }
        Part::Idle | Part::Work => be_nobody(role),
    }
}

/// Plays a role that has no semaphore.
pub fn be_nobody(role: &Role) -> Result<()> {
    let page = Mapped::open(&role.folder)?;
    match role.part {
        Part::Idle => {
            page.ready.fetch_add(1, Relaxed);
            wait_to_be_killed()
        }
        Part::Work => take_turns(&page, role.index, work),
        _ => bail!("there is no peer {:?}", role.peer),
    }
}

fn wait_to_be_killed() -> Result<()> {
    std::thread::sleep(6 * PATIENCE);
    bail!("nobody has killed this process")
}

/// Waits to be let go, takes turns until it is told to stop, and writes down what that took.
fn take_turns(page: &Mapped, index: usize, turn: impl Fn()) -> Result<()> {
    let worker = page.workers.get(index).context("no place for that worker")?;
    page.ready.fetch_add(1, Relaxed);
    until(&mut [], PATIENCE, || page.go.load(Relaxed))?;
    let before = usage();
    let mut done = 0;
    while !page.stop.load(Relaxed) {
        turn();
        done += 1;
        worker.count.store(done, Relaxed);
    }
    let after = usage();
    worker.cpu_ns.store(after.0 - before.0, Relaxed);
    worker.switches.store(after.1 - before.1, Relaxed);
    worker.turns.store(done, Relaxed);
    Ok(())
}

/// How long processors have worked for this process, in ns, and how often it gave one up to wait.
fn usage() -> (u64, u64) {
    // SAFETY: plain numbers, which getrusage overwrites.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let ns = |time: libc::timeval| time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1000;
    (ns(usage.ru_utime) + ns(usage.ru_stime), usage.ru_nvcsw as u64)
}

fn ping<S: Across>(page: &Mapped, semaphores: &[S; 3], warm_ns: u64, window_ns: u64) -> Result<()> {
    let mut held = [Some(semaphores[0].acquire()), None, Some(semaphores[2].acquire())];
    page.ready.fetch_add(1, Relaxed);
    until(&mut [], PATIENCE, || page.ready.load(Relaxed) == 2)?;
    let mut turns = [(0, 1), (2, 0), (1, 2)].into_iter().cycle();
    for time in [warm_ns, window_ns] {
        let (start, mut n) = (across::now(), 0_u64);
        let took = loop {
            let (give, ask) = turns.next().expect("a cycle has no end");
            held[give] = None;
            held[ask] = Some(semaphores[ask].acquire());
            n += 1;
            let took = across::now() - start;
            if took >= time && n >= 3 {
                break took;
            }
        };
        page.figure.store((took as f64 / (2 * n) as f64).to_bits(), Relaxed);
    }
    // The other waits for something that is given back now, and orders this before it.
    page.stop.store(true, Relaxed);
    drop(held);
    Ok(())
}

fn pong<S: Across>(page: &Mapped, semaphores: &[S; 3]) -> Result<()> {
    let mut held = [None, Some(semaphores[1].acquire()), None];
    until(&mut [], PATIENCE, || page.ready.load(Relaxed) == 1)?;
    page.ready.fetch_add(1, Relaxed);
    held[0] = Some(semaphores[0].acquire());
    for (give, ask) in [(1, 2), (0, 1), (2, 0)].into_iter().cycle() {
        if page.stop.load(Relaxed) {
            break;
        }
        held[give] = None;
        held[ask] = Some(semaphores[ask].acquire());
    }
    Ok(())
}
