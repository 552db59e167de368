//! The stage of one kill: a process with a session of its own, others that live on, and one that dies.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;

use super::super::check::{self, Allow, Row, Truth};
use super::super::process::{Child, forever, fork, pipe, read_all, readable, until};
use crate::layout::{FIXED_SIZE, Fixed, LockWord, SessionWord, State};
use crate::map::Map;
use crate::table::Table;
use crate::{Error, EventKind, Options, Permit, Semaphore, step};

/// Who makes the file whole after the death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rescue {
    /// A session that lived before.
    Own,
    /// One that opens the file, and gets the number of the dead.
    Newcomer,
    /// Nobody in particular: whoever waits has to see to it.
    Waiter,
}

/// A process that waits for permits and gets them whatever dies.
#[derive(Debug)]
struct Living {
    child: Child,
    answered: OwnedFd,
    go: OwnedFd,
}

/// One kill.
pub(super) struct Stage {
    pub(super) path: PathBuf,
    pub(super) options: Options,
    pub(super) allow: Allow,
    pub(super) rescue: Rescue,
    /// Grants that the scenario takes away by force, and that others hold.
    pub(super) forced: Vec<u64>,
    /// Grants of the dead that the scenario gives back.
    pub(super) returned: Vec<u64>,
    /// What the file says cannot be, on purpose.
    pub(super) is_damaged: bool,
    kill: i64,
    own: OnceCell<Semaphore>,
    living: Vec<Living>,
    before: Option<Truth>,
    first: Option<Child>,
    victim: Option<(Child, OwnedFd)>,
    cues: Option<(OwnedFd, OwnedFd)>,
    /// The step at which the victim died; none inside if it ended of itself.
    death: Option<Option<String>>,
    at_death: Option<Truth>,
    /// The dead sessions' claims, as they were when the victim had died.
    remains: Vec<Row>,
    dead: BTreeSet<u32>,
}

/// What a victim is told.
pub(super) struct Victim {
    kill: i64,
    ready: OwnedFd,
    told: OwnedFd,
}

impl Victim {
    /// Waits for [`Stage::tell_victim`].
    pub(super) fn when_told(&self) {
        rustix::io::write(&self.ready, b"x").expect("the pipe is open");
        rustix::io::retry_on_intr(|| rustix::io::read(&self.told, &mut [0; 1][..])).expect("the pipe is open");
    }

    /// From here on it may die.
    pub(super) fn arm(&self) {
        step::count::die_at(self.kill);
        // Before it has begun.
        step::at("victim: armed");
    }
}

impl Stage {
    pub(super) fn new(folder: &Path, limit: u32, rescue: Rescue, kill: i64) -> Self {
        Self {
            path: folder.join("kill.gate"),
            options: Options::new().limit(limit),
            allow: Allow::default(),
            rescue,
            forced: Vec::new(),
            returned: Vec::new(),
            is_damaged: false,
            kill,
            own: OnceCell::new(),
            living: Vec::new(),
            before: None,
            first: None,
            victim: None,
            cues: None,
            death: None,
            at_death: None,
            remains: Vec::new(),
            dead: BTreeSet::new(),
        }
    }

    /// Opens another session of the file.
    pub(super) fn open(&self) -> Semaphore {
        let (name, options) = self.place();
        Semaphore::open(&name, &options).expect("the file can be opened")
    }

    /// What the free functions are given.
    pub(super) fn place(&self) -> (String, Options) {
        let name = self.path.to_str().expect("text").to_owned();
        // Only the first one says the limit: it may have been changed since.
        let options = Options { limit: self.options.limit.filter(|_| !self.path.exists()), ..self.options.clone() };
        (name, options)
    }

    /// Our own session, which lives on.
    pub(super) fn own(&self) -> &Semaphore {
        self.own.get_or_init(|| self.open())
    }

    pub(super) fn table(&self) -> &Arc<Table> {
        self.own().table()
    }

    /// The file as it lies there, without a session; none if it is not there.
    pub(super) fn raw(&self) -> Option<Map> {
        let file = File::options().read(true).write(true).open(&self.path).ok()?;
        let mut bytes = [0; FIXED_SIZE];
        rustix::io::pread(&file, &mut bytes[..], 0).expect("it can be read");
        let fixed = Fixed::decode(&bytes).expect("nobody sees half a file (F1)");
        Some(Map::new(file.as_fd(), fixed.geometry, true).expect("it can be mapped"))
    }

    /// A process that waits for `permits`, and stays when it has them. Comes back when it is in the queue, or has them.
    pub(super) fn living(&mut self, permits: u32) {
        let (answered, answer) = pipe();
        let (wait, go) = pipe();
        let known = Truth::of(self.table().map()).serial;
        let child = fork(|| {
            let semaphore = self.open();
            let result = semaphore.acquire_many(permits).label("living").wait_timeout(forever());
            let word = match &result {
                Ok(_) => "granted",
                Err(Error::ExceedsLimit { .. }) => "refused",
                Err(error) => panic!("a living waiter is stranded: {error}"),
            };
            rustix::io::write(&answer, word.as_bytes()).expect("the pipe is open");
            // Until we are told, or our parent has gone.
            rustix::io::retry_on_intr(|| rustix::io::read(&wait, &mut [0; 1][..])).expect("the pipe is open");
            drop(result);
            0
        });
        let map = self.table().map();
        until("a living waiter is in the queue", || Truth::of(map).serial > known);
        // The serial is taken before the row is stored.
        until("a living waiter is in the queue", || Truth::of(map).lock.owner().is_none());
        self.living.push(Living { child, answered, go });
    }

    /// The living stop where they are, and live.
    pub(super) fn freeze(&self) {
        for living in &self.living {
            living.child.stop();
        }
    }

    /// They go on.
    pub(super) fn thaw(&self) {
        for living in &self.living {
            living.child.signal(Signal::CONT);
        }
    }

    /// A process that does `work`, and lives until [`kill_first`](Self::kill_first).
    pub(super) fn first(&mut self, work: impl FnOnce(&Semaphore)) {
        let (done, end) = pipe();
        let child = fork(|| {
            let semaphore = self.open();
            work(&semaphore);
            rustix::io::write(&end, b"x").expect("the pipe is open");
            loop {
                std::thread::park();
            }
        });
        drop(end);
        assert!(readable(&done, forever()), "the first victim does its work");
        assert_eq!(rustix::io::read(&done, &mut [0; 1][..]), Ok(1), "the first victim has done its work");
        self.first = Some(child);
    }

    /// It dies.
    pub(super) fn kill_first(&mut self) {
        let mut child = self.first.take().expect("there is one");
        child.kill();
        self.dead.insert(child.id());
    }

    /// A process that dies at the step of this name in `work`, once that has called what it is given.
    pub(super) fn first_dies_at(&mut self, name: &'static str, work: impl FnOnce(&Semaphore, &dyn Fn())) {
        self.first = Some(fork(|| {
            let semaphore = self.open();
            quiet();
            work(&semaphore, &|| step::count::signal_at(name, Signal::KILL));
            0
        }));
    }

    /// It is dead.
    pub(super) fn first_died(&mut self) {
        let mut child = self.first.take().expect("there is one");
        let status = child.wait();
        assert_eq!(status.terminating_signal(), Some(libc::SIGKILL), "it does not come to its step: {status:?}");
        self.dead.insert(child.id());
    }

    /// The process whose death this is about: `work` arms it. It goes on while the scenario does, until [`settle`](Self::settle).
    pub(super) fn victim(&mut self, work: impl FnOnce(&Self, &Victim)) {
        self.before = self.raw().map(|map| Truth::of(&map));
        let (said, stderr) = pipe();
        let (is_ready, ready) = pipe();
        let (told, tell) = pipe();
        let kill = self.kill;
        let this = &*self;
        let child = fork(|| {
            // SAFETY: both are descriptors.
            unsafe { libc::dup2(stderr.as_raw_fd(), 2) };
            let victim = Victim { kill, ready, told };
            work(this, &victim);
            step::count::die_at(-1);
            0
        });
        self.victim = Some((child, said));
        self.cues = Some((is_ready, tell));
    }

    /// Waits until the victim waits to be told.
    pub(super) fn victim_is_ready(&self) {
        let (is_ready, _) = self.cues.as_ref().expect("there is a victim");
        assert!(readable(is_ready, forever()), "the victim gets ready");
        assert_eq!(rustix::io::read(is_ready, &mut [0; 1][..]), Ok(1), "the victim is ready");
    }

    /// The victim goes on.
    pub(super) fn tell_victim(&self) {
        let (_, tell) = self.cues.as_ref().expect("there is a victim");
        rustix::io::write(tell, b"x").expect("it waits");
    }

    /// Whether the victim has ended.
    pub(super) fn victim_has_ended(&self) -> bool {
        self.victim.as_ref().is_none_or(|(child, _)| child.has_ended())
    }

    /// Waits until the victim is in the queue with `permits`, or has ended; true: it is.
    pub(super) fn victim_waits(&self, permits: u32) -> bool {
        let map = self.table().map();
        let is_there = || {
            let truth = Truth::of(map);
            truth.waiters.iter().any(|row| row.word.permits() == permits && row.word.is(State::Active))
        };
        until("the victim waits", || is_there() || self.victim_has_ended());
        is_there()
    }

    /// Waits for the end of the victim, and looks at what it left.
    pub(super) fn settle(&mut self) {
        let Some((mut child, said)) = self.victim.take() else { return };
        let status = child.wait();
        let said = read_all(said);
        let step = said.lines().find_map(|line| line.strip_prefix("died at ")).map(str::to_owned);
        match (status.exit_status(), status.terminating_signal()) {
            (Some(0), _) => assert_eq!(step, None),
            (_, Some(libc::SIGKILL)) if step.is_some() => {}
            _ => panic!("the victim ended badly: {status:?}\n{said}"),
        }
        self.dead.insert(child.id());
        self.death = Some(step);
        let Some(map) = self.raw() else { return };
        if self.is_damaged {
            return;
        }
        let before = self.before.get_or_insert_with(|| Truth::of(&map)).clone();
        let truth = self.look(&map, &before);
        let dead: BTreeSet<(u32, u32)> = (map.sessions())
            .filter(|(_, row)| self.dead.contains(&row.pid.load(std::sync::atomic::Ordering::Relaxed)))
            .map(|(index, row)| {
                let word = SessionWord(row.word.load(std::sync::atomic::Ordering::Relaxed));
                (index, u32::from(word.generation() as u16))
            })
            .collect();
        let rows = truth.grants.iter().chain(&truth.waiters);
        self.remains = rows.filter(|row| dead.contains(&row.word.owner())).copied().collect();
        self.at_death = Some(truth);
    }

    /// Looks while nobody who lives is in the section: the living may be at work already.
    fn look(&self, map: &Map, before: &Truth) -> Truth {
        use std::sync::atomic::Ordering::Acquire;
        let header = map.header();
        let is_alive = |index| self.own.get().is_some_and(|own| own.table().is_session_alive(index));
        let mut seen = None;
        until("nobody changes the file", || {
            let (seq, lock) = (header.seq.load(Acquire), header.lock.load(Acquire));
            let result = check::at_any_moment(map, before, self.allow);
            let is_same = (header.seq.load(Acquire), header.lock.load(Acquire)) == (seq, lock);
            if is_same && !LockWord(lock).owner().is_some_and(is_alive) {
                seen = Some(result);
            }
            seen.is_some()
        });
        let seen = seen.expect("it was seen");
        seen.unwrap_or_else(|what| panic!("at the death: {what}"))
    }

    /// Has somebody make the file whole.
    pub(super) fn rescue(&mut self) {
        self.thaw();
        match self.rescue {
            Rescue::Own => {
                // Whatever the dead hold; and one section, in which a dead owner of the lock is followed.
                self.own().reclaim().expect("it can be recovered");
                self.table().section(|_| Ok(())).expect("it can be recovered");
            }
            Rescue::Newcomer => {
                let mut child = fork(|| {
                    drop(self.open());
                    0
                });
                child.succeed();
            }
            Rescue::Waiter => {}
        }
    }

    /// Every living waiter has its answer.
    pub(super) fn all_answered(&self) {
        for living in &self.living {
            assert!(readable(&living.answered, forever()), "stranded: a living waiter is not answered");
        }
    }

    /// The living go, one after the other, as they get what they wait for.
    pub(super) fn dismiss(&mut self) {
        while !self.living.is_empty() {
            let mut at = None;
            until("one more is answered", || {
                at = self.living.iter().position(|living| readable(&living.answered, Duration::ZERO));
                at.is_some()
            });
            let Some(Living { mut child, go, .. }) = at.map(|at| self.living.remove(at)) else { return };
            // A byte, and not the end of the pipe: those who were forked later have it open, too.
            rustix::io::write(&go, b"x").expect("it lives");
            child.succeed();
        }
    }

    /// Waits until nobody is in the critical section any more.
    pub(super) fn quiet(&self) -> Truth {
        // Sections come and go while watchers look; one at a time is enough to look between.
        let map = self.table().map();
        let before = self.before.clone().unwrap_or_else(|| Truth::of(map));
        let mut what = String::new();
        let mut found = None;
        until("the file is whole", || {
            let seq = map.header().seq.load(std::sync::atomic::Ordering::Acquire);
            let result = check::at_rest(map, &before, self.allow);
            let is_still = seq % 2 == 0 && map.header().seq.load(std::sync::atomic::Ordering::Acquire) == seq;
            if let Err(wrong) = &result {
                // What is wrong while nobody stores is wrong for good.
                assert!(!is_still || wrong.starts_with("the lock is"), "{wrong}");
                what.clone_from(wrong);
            }
            found = result.ok().filter(|_| is_still);
            found.is_some()
        });
        found.unwrap_or_else(|| panic!("{what}"))
    }

    /// All that has to hold when the dust has settled: the file is whole, everything by force is written down, and all permits are to
    /// be had.
    pub(super) fn finish(mut self) -> Option<String> {
        self.dismiss();
        self.own().reclaim().expect("it can be recovered");
        self.table().section(|_| Ok(())).expect("it can be recovered");
        let after = self.quiet();
        let before = self.before.clone().unwrap_or_else(|| after.clone());
        let death = self.death.clone().expect("it was settled");
        self.check_events(&before, &after, death.as_deref());
        let all = self.take_all();
        let taken = self.quiet();
        if let Some(at_death) = &self.at_death {
            for slot in all.slots() {
                let (then, now) = (at_death.slots[slot as usize].epoch(), taken.slots[slot as usize].epoch());
                assert!(now > then, "I7: slot {slot} was given out again with epoch {now}, after {then}");
            }
        }
        drop(all);
        assert_eq!(self.quiet().used(), 0, "permits are lost");
        death
    }

    /// Takes every permit there is.
    fn take_all(&self) -> Permit {
        let own = self.own();
        own.resume().expect("it works");
        let limit = match own.limit() {
            0 => {
                own.resize(1).expect("it works");
                1
            }
            limit => limit,
        };
        own.try_acquire_many(limit).unwrap_or_else(|error| panic!("permits are lost: {error}"))
    }

    fn check_events(&self, before: &Truth, after: &Truth, death: Option<&str>) {
        let map = self.table().map();
        let events = check::events(map, before.next_event).unwrap_or_else(|what| panic!("{what}"));
        let what = |text: &str| format!("{text}: died at {death:?}; {events:#?}");
        if let Err(wrong) = check::check_records(before, after, &events) {
            panic!("{}", what(&wrong));
        }
        let has = |kinds: &[EventKind], serial: u64| {
            events
                .iter()
                .any(|event| kinds.contains(&event.kind) && event.permit.is_some_and(|permit| permit.get() == serial))
        };
        let is_restart = self.at_death.as_ref().is_some_and(|truth| truth.boot != after.boot);
        for row in self.remains.iter().filter(|_| !is_restart) {
            let is_there = after.grant(row.serial).is_some() || after.waiter(row.serial).is_some();
            let is_returned = self.forced.contains(&row.serial) || self.returned.contains(&row.serial);
            let kinds = [EventKind::Reclaimed, EventKind::Ended, EventKind::Abandoned];
            assert!(is_there || is_returned || has(&kinds, row.serial), "{}", what(&format!("I10: {row:?} is gone")));
        }
        for serial in &self.forced {
            let is_there = after.grant(*serial).is_some();
            let is_written = has(&[EventKind::Revoked], *serial);
            assert_eq!(is_there, !is_written, "{}", what(&format!("I10: revocation of {serial}")));
        }
        // A death in the section is written down, but for one before the file was in use.
        let owner = self.at_death.as_ref().filter(|_| !is_restart).and_then(|truth| truth.lock.owner());
        let taken_over = events.iter().any(|event| event.kind == EventKind::TakenOver);
        assert!(owner.is_none() || taken_over, "{}", what("I10: a takeover is not written down"));
    }
}

/// Its last words are for nobody.
fn quiet() {
    let null = File::options().write(true).open("/dev/null").expect("there is one");
    // SAFETY: both are descriptors.
    unsafe { libc::dup2(null.as_raw_fd(), 2) };
    let _ = std::io::stderr().flush();
}
