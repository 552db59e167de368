//! The lock with crashes: `lock.rs`, one access of memory at a time.
//!
//! Processes come, take the lowest byte that is free, lock some times, and go, or die between any two steps, whereupon a new one may
//! come. A process that is stopped is one that is not chosen. The words are those of `layout::LockWord`. `take`'s loop of
//! `SPINS` is its first look again and again, and so is not told apart from it here. Each step has the name of what it does in
//! `lock.rs`, in brackets, and `the_steps_are_those_of_the_code` holds them in the code's order.
//!
//! Left out: what a session does under the setup lock, which makes newcomers wait for each other; here they need not.

use super::{Explored, Kind, Model, explore};
use crate::layout::LockWord;

const PROCESSES: usize = 3;

/// A bug that the model has to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    None,
    /// Only followers begin an epoch, and not who locks for the first time.
    EpochOfFollowersOnly,
    /// Nobody does.
    NoEpoch,
    /// A newcomer waits for a word that names itself, and takes a free one as if nobody had been there.
    NoPredecessor,
    /// The owner's byte is probed before the word is read again.
    ProbeFirst,
    /// Leaving takes whoever has the same number for itself.
    LeavesAnyEpoch,
    /// Leaving overwrites what is there.
    LeaveBySwap,
    /// Leaving stores, and so does not see who has begun to sleep.
    LeaveByStore,
    /// Whoever has slept takes the lock as if nobody else did.
    ForgetsSleepers,
    /// Whoever gives up does so before it has seen to it that the lock is contended.
    QuitsUncontended,
    /// Whoever leaves wakes nobody.
    WakesNobody,
    /// Whoever follows goes on as if the file were whole.
    FollowsBlindly,
}

/// What is explored.
#[derive(Debug, Clone, Copy)]
struct Lock {
    bug: Bug,
    sessions: usize,
    /// How often each process locks.
    rounds: u8,
    /// How many die, all in all.
    deaths: u8,
    /// How many processes come after the first ones.
    comers: u8,
    /// How many times a living process that has its session loses its byte: something has closed its descriptor.
    losses: u8,
    /// How many times somebody gives up waiting (`take_within`).
    quits: u8,
    /// A sleeper looks again after a time.
    rechecks: bool,
}

const USUAL: Lock =
    Lock { bug: Bug::None, sessions: 3, rounds: 1, deaths: 2, comers: 1, losses: 0, quits: 0, rechecks: true };

/// Where a process is: before the step that is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum At {
    /// There is none.
    Nobody,
    /// [try_lock] The lowest byte that is free.
    Byte,
    /// [take] [lock_word] of the fast path.
    Look,
    /// [exchange_lock] from free.
    Take,
    /// [take_slow] [lock_word], in its loop.
    SlowLook,
    /// [exchange_lock] from free, as contended; or, for one that is new, from its dead predecessor.
    SlowTake,
    /// [exchange_lock] to contended.
    Contend,
    /// [futex::wait] compares.
    Wait,
    /// It sleeps.
    Asleep,
    /// [lock_word] compared with what was seen.
    Again,
    /// [is_session_alive].
    Probe,
    /// [exchange_lock] to the next epoch.
    Follow,
    /// [enter] In the section, which it has got so; the file is about to be half changed.
    Enter { over: bool },
    /// [finish] In the section: the file is about to be whole.
    Finish,
    /// [protocol::leave] looks.
    LeaveLook,
    /// [protocol::leave] to free.
    Leave,
    /// [futex::wake].
    Wake,
    /// Its byte is about to be free.
    Close,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Process {
    at: At,
    /// Its number; `NO_BYTE` while it has none.
    session: u8,
    /// The word that it has seen.
    old: u64,
    /// In which epoch it has the lock.
    epoch: u32,
    rounds: u8,
    /// It has not locked yet.
    first: bool,
    /// It lives, and its byte is not locked any more.
    lost: bool,
}

const NO_BYTE: u8 = u8::MAX;
const NOBODY: Process =
    Process { at: At::Nobody, session: NO_BYTE, old: 0, epoch: 0, rounds: 0, first: false, lost: false };

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    word: u64,
    processes: [Process; PROCESSES],
    /// Who has changed the file and has not finished.
    half_changed: Option<u8>,
    deaths: u8,
    comers: u8,
    losses: u8,
    quits: u8,
}

impl Process {
    /// Between the exchange that takes the lock and the one that gives it back.
    fn owns(self) -> bool {
        matches!(self.at, At::Enter { .. } | At::Finish | At::LeaveLook | At::Leave)
    }
}

impl State {
    fn is_alive(&self, session: u32) -> bool {
        self.processes
            .iter()
            .any(|process| process.at != At::Nobody && u32::from(process.session) == session && !process.lost)
    }

    /// The word becomes `new` if it is `old`.
    fn exchange(&mut self, old: u64, new: LockWord) -> bool {
        let same = self.word == old;
        if same {
            self.word = new.0;
        }
        same
    }
}

impl Lock {
    fn new_process(&self) -> Process {
        Process { at: At::Byte, rounds: self.rounds, first: true, ..NOBODY }
    }

    /// The next step of process `p`: each state in which it may end.
    fn step(&self, state: &State, p: usize, to: &mut dyn FnMut(Kind, State)) -> Result<(), String> {
        let mut next = state.clone();
        let me = state.processes[p];
        let session = u32::from(me.session);
        let old = LockWord(me.old);
        let word = LockWord(state.word);
        let epoch =
            |word: LockWord, begins: bool| if begins && self.bug != Bug::NoEpoch { word.next_epoch() } else { word };
        let is_ours = |word: LockWord| {
            word.owner() == Some(session) && (word.epoch() == me.epoch || self.bug == Bug::LeavesAnyEpoch)
        };
        let begins = me.first && self.bug != Bug::EpochOfFollowersOnly;
        let go = |state: &mut State, at: At| state.processes[p].at = at;
        match me.at {
            At::Nobody => return Ok(()),
            At::Byte => {
                let Some(free) = (0..self.sessions as u32).find(|session| !state.is_alive(*session)) else {
                    return Ok(()); // It would go away with an error.
                };
                next.processes[p].session = free as u8;
                go(&mut next, At::SlowLook);
            }
            At::Look => {
                next.processes[p].old = word.0;
                go(&mut next, if word.owner().is_none() { At::Take } else { At::SlowLook });
            }
            At::Take => {
                let taken = next.exchange(old.0, old.owned_by(session));
                go(&mut next, if taken { At::Enter { over: false } } else { At::SlowLook });
            }
            At::SlowLook => {
                next.processes[p].old = word.0;
                let predecessor = me.first && word.owner() == Some(session) && self.bug != Bug::NoPredecessor;
                go(
                    &mut next,
                    match word.owner() {
                        None => At::SlowTake,
                        Some(_) if predecessor => At::SlowTake,
                        Some(_) if !word.is_contended() => At::Contend,
                        Some(_) => At::Wait,
                    },
                );
            }
            At::SlowTake => {
                let over = old.owner().is_some();
                let mut new = epoch(old, begins || over && self.bug == Bug::EpochOfFollowersOnly).owned_by(session);
                if self.bug != Bug::ForgetsSleepers {
                    new = new.contended();
                }
                let taken = next.exchange(old.0, new);
                next.processes[p].first &= !taken;
                go(&mut next, if taken { At::Enter { over } } else { At::SlowLook });
            }
            At::Contend => {
                let done = next.exchange(old.0, old.contended());
                next.processes[p].old = old.contended().0;
                go(&mut next, if done { At::Wait } else { At::SlowLook });
            }
            At::Wait => {
                let asleep = word.futex() == old.futex();
                go(&mut next, if asleep { At::Asleep } else { At::Again });
            }
            At::Asleep => {
                if !self.rechecks {
                    return Ok(());
                }
                go(&mut next, At::Again);
            }
            At::Again if self.bug == Bug::ProbeFirst => {
                // The other way round: the probe, then the word, from which it follows.
                let dead = old.owner().is_some_and(|owner| !state.is_alive(owner));
                go(&mut next, if dead { At::Probe } else { At::SlowLook });
            }
            At::Probe if self.bug == Bug::ProbeFirst => {
                next.processes[p].old = word.0;
                let same = word.owner() == old.owner() && word.is_contended();
                go(&mut next, if same { At::Follow } else { At::SlowLook });
            }
            At::Again => go(&mut next, if word == old { At::Probe } else { At::SlowLook }),
            At::Probe => {
                let dead = old.owner().is_some_and(|owner| !state.is_alive(owner));
                go(&mut next, if dead { At::Follow } else { At::SlowLook });
            }
            At::Follow => {
                let followed = next.exchange(old.0, epoch(old, true).owned_by(session).contended());
                next.processes[p].first &= !followed;
                go(&mut next, if followed { At::Enter { over: true } } else { At::SlowLook });
            }
            At::Enter { over } => {
                if me.lost {
                    // What it does to the file now is a hostile program's doing, which closed its descriptor.
                    go(&mut next, At::Finish);
                    to(Kind::Step, next);
                    return Ok(());
                }
                if state.half_changed.is_some() && (!over || self.bug == Bug::FollowsBlindly) {
                    return Err("L4: it takes a half changed file for whole".to_owned());
                }
                next.half_changed = Some(p as u8);
                go(&mut next, At::Finish);
            }
            At::Finish => {
                next.half_changed = state.half_changed.filter(|author| usize::from(*author) != p);
                go(&mut next, At::LeaveLook);
            }
            At::LeaveLook => {
                next.processes[p].old = word.0;
                let ours = is_ours(word);
                if !ours && !me.lost && self.bug == Bug::None {
                    return Err("L1: it owns the lock, and the word names another".to_owned());
                }
                go(&mut next, if ours { At::Leave } else { At::Close });
            }
            At::Leave => {
                let seen = match self.bug {
                    Bug::LeaveBySwap => std::mem::replace(&mut next.word, old.free().0),
                    Bug::LeaveByStore => {
                        next.word = old.free().0;
                        old.0
                    }
                    _ if next.exchange(old.0, old.free()) => old.0,
                    _ => {
                        // It looks again, by the exchange itself.
                        next.processes[p].old = word.0;
                        go(&mut next, if is_ours(word) { At::Leave } else { At::Close });
                        to(Kind::Step, next);
                        return Ok(());
                    }
                };
                next.processes[p].rounds -= 1;
                let more = if next.processes[p].rounds > 0 { At::Look } else { At::Close };
                go(&mut next, if LockWord(seen).is_contended() { At::Wake } else { more });
            }
            At::Wake => {
                let more = if me.rounds > 0 { At::Look } else { At::Close };
                go(&mut next, more);
                if self.bug != Bug::WakesNobody {
                    let mut woken = false;
                    for sleeper in (0..PROCESSES).filter(|q| state.processes[*q].at == At::Asleep) {
                        let mut next = next.clone();
                        next.processes[sleeper].at = At::Again;
                        to(Kind::Step, next);
                        woken = true;
                    }
                    if woken {
                        return Ok(());
                    }
                }
            }
            At::Close => next.processes[p] = NOBODY,
        }
        let after = &mut next.processes[p];
        if !me.owns() && after.owns() {
            after.epoch = LockWord(next.word).epoch();
        } else if !after.owns() {
            after.epoch = 0;
        }
        if !matches!(next.processes[p].at, At::Wait | At::Contend | At::SlowTake | At::Take | At::Again | At::Probe)
            && !matches!(next.processes[p].at, At::Follow | At::Leave | At::Asleep)
        {
            // What it saw does not matter any more.
            next.processes[p].old = 0;
        }
        to(Kind::Step, next);
        Ok(())
    }
}

impl Model for Lock {
    type State = State;

    fn start(&self) -> State {
        let processes = [self.new_process(); PROCESSES];
        let Self { deaths, comers, losses, quits, .. } = *self;
        State { word: 0, processes, half_changed: None, deaths, comers, losses, quits }
    }

    fn next(&self, state: &State, to: &mut dyn FnMut(Kind, State)) -> Result<(), String> {
        for p in 0..PROCESSES {
            self.step(state, p, to)?;
            let process = state.processes[p];
            if process.at == At::Nobody {
                if state.comers > 0 {
                    let mut next = state.clone();
                    next.comers -= 1;
                    next.processes[p] = self.new_process();
                    to(Kind::Choice, next);
                }
                continue;
            }
            if state.deaths > 0 && process.at != At::Byte {
                let mut next = state.clone();
                next.deaths -= 1;
                next.processes[p] = NOBODY;
                to(Kind::Fault, next);
            }
            if state.quits > 0
                && (process.at == At::Wait || process.at == At::Contend && self.bug == Bug::QuitsUncontended)
            {
                let mut next = state.clone();
                next.quits -= 1;
                next.processes[p] = Process { at: At::Close, old: 0, ..process };
                to(Kind::Choice, next);
            }
            if state.losses > 0 && process.session != NO_BYTE && !process.first && !process.lost {
                let mut next = state.clone();
                next.losses -= 1;
                next.processes[p].lost = true;
                to(Kind::Fault, next);
            }
        }
        Ok(())
    }

    fn check(&self, state: &State) -> Result<(), String> {
        let owners = state.processes.iter().filter(|process| process.owns() && !process.lost).count();
        if owners > 1 {
            return Err("L3: two living owners".to_owned());
        }
        let word = LockWord(state.word);
        if word.owner().is_none() && word.is_contended() {
            return Err("nobody's, and contended".to_owned());
        }
        let begun = PROCESSES as u64 + u64::from(self.comers) + u64::from(self.deaths) + u64::from(self.losses);
        if state.word >> 32 > begun {
            return Err("more epochs than newcomers and followers".to_owned());
        }
        Ok(())
    }

    fn is_done(&self, state: &State) -> bool {
        state.processes.iter().all(|process| matches!(process.at, At::Nobody | At::Byte))
            && !(state.processes.iter().any(|process| process.at == At::Byte)
                && (0..self.sessions as u32).any(|session| !state.is_alive(session)))
    }
}

fn all_is_well(lock: Lock) -> Explored {
    let explored = explore(&lock).unwrap_or_else(|what| panic!("{what}"));
    println!("{lock:?}: {explored:?}");
    explored
}

/// What of `lock.rs` is a step here, function by function, in the order of the code.
const STEPS: [(&str, &[&str]); 6] = [
    ("exchange_lock", &["protocol::exchange("]),
    ("take", &["lock_word()", "exchange_lock("]),
    ("wait_for_lock", &[]),
    ("take_first", &[]),
    (
        "take_slow",
        &[
            // The spin: `Look` and `Take`.
            "lock_word()",
            "exchange_lock(",
            "lock_word()",       // SlowLook
            "exchange_lock(",    // SlowTake, from free
            "exchange_lock(",    // SlowTake, from the predecessor
            "exchange_lock(",    // Contend
            "futex::wait(",      // Wait, Asleep
            "lock_word()",       // Again
            "is_session_alive(", // Probe
            "exchange_lock(",    // Follow
        ],
    ),
    // LeaveLook, Leave, Wake. The last two are for watchers, of whom there are none here: see `protocol::loom`.
    ("leave", &["protocol::leave(", "futex::wake(", "protocol::ring(", "futex::wake("]),
];

#[test]
fn the_steps_are_those_of_the_code() {
    const ALL: [&str; 8] = [
        "lock_word()",
        "exchange_lock(",
        "protocol::exchange(",
        "protocol::leave(",
        "futex::wait(",
        "futex::wake(",
        "is_session_alive(",
        "protocol::ring(",
    ];
    let code = include_str!("../lock.rs");
    for (function, steps) in STEPS {
        let begin = code.find(&format!("fn {function}(")).unwrap_or_else(|| panic!("no {function}"));
        let body = &code[begin + function.len() + 3..];
        let body = &body[..body.find("\n    }\n").expect("its end")];
        let mut found: Vec<(usize, &str)> = ALL.iter().flat_map(|step| body.match_indices(step)).collect();
        found.sort_unstable();
        let found: Vec<&str> = found.into_iter().map(|(_, step)| step).collect();
        assert_eq!(found, steps, "{function} has changed: let the model change with it");
    }
}

/// Every sequence ends with everybody who lives having had the lock: nobody is left asleep.
fn nobody_is_stuck(lock: Lock) {
    assert_eq!(all_is_well(lock).stuck, 0);
}

#[test]
fn three_processes_two_of_which_die() {
    nobody_is_stuck(USUAL);
}

#[test]
fn three_processes_that_lock_twice() {
    nobody_is_stuck(Lock { rounds: 2, deaths: 1, comers: 0, ..USUAL });
}

#[test]
fn numbers_that_are_used_again() {
    nobody_is_stuck(Lock { sessions: 2, deaths: 1, comers: 2, ..USUAL });
    nobody_is_stuck(Lock { sessions: 2, deaths: 1, comers: 1, rounds: 2, ..USUAL });
}

#[test]
fn one_that_loses_its_byte_learns_it_and_harms_nobody_who_has_not() {
    nobody_is_stuck(Lock { losses: 1, deaths: 0, comers: 0, rounds: 2, sessions: 2, ..USUAL });
}

/// L6: the recheck is for the dead alone.
#[test]
fn without_a_death_no_wake_up_is_lost_and_with_one_it_may_be() {
    nobody_is_stuck(Lock { rechecks: false, deaths: 0, rounds: 2, comers: 0, ..USUAL });
    nobody_is_stuck(Lock { rechecks: false, deaths: 0, rounds: 2, comers: 0, quits: 1, ..USUAL });
    assert!(all_is_well(Lock { rechecks: false, deaths: 1, comers: 0, ..USUAL }).stuck > 0);
}

/// A model that cannot find these would say nothing.
mod seeded_bugs {
    use super::*;

    fn caught(lock: Lock, what: &str) {
        let found = explore(&lock);
        assert!(found.as_ref().is_err_and(|found| found.starts_with(what)), "{:?}: {found:?}", lock.bug);
    }

    #[test]
    fn an_epoch_for_followers_only() {
        let bug = Bug::EpochOfFollowersOnly;
        caught(Lock { bug, sessions: 2, deaths: 0, comers: 1, ..USUAL }, "L3");
    }

    #[test]
    fn no_epoch_at_all() {
        caught(Lock { bug: Bug::NoEpoch, ..USUAL }, "L3");
    }

    #[test]
    fn no_look_at_the_predecessor() {
        let lock = Lock { bug: Bug::NoPredecessor, sessions: 1, ..USUAL };
        assert!(all_is_well(lock).stuck > 0);
    }

    #[test]
    fn a_probe_before_the_word() {
        caught(Lock { bug: Bug::ProbeFirst, sessions: 2, comers: 2, deaths: 1, ..USUAL }, "L3");
    }

    #[test]
    fn leaving_by_a_swap() {
        caught(Lock { bug: Bug::LeaveBySwap, losses: 1, deaths: 0, comers: 0, ..USUAL }, "L3");
    }

    #[test]
    fn leaving_for_another_with_the_same_number() {
        caught(Lock { bug: Bug::LeavesAnyEpoch, losses: 1, deaths: 0, comers: 0, ..USUAL }, "L3");
    }

    #[test]
    fn leaving_by_a_store() {
        let lock = Lock { bug: Bug::LeaveByStore, rechecks: false, rounds: 2, deaths: 0, comers: 0, ..USUAL };
        assert!(all_is_well(lock).stuck > 0);
    }

    #[test]
    fn sleepers_forgotten_and_nobody_woken() {
        for bug in [Bug::ForgetsSleepers, Bug::WakesNobody] {
            let lock = Lock { bug, rechecks: false, deaths: 0, comers: 0, ..USUAL };
            assert!(all_is_well(lock).stuck > 0, "{bug:?}");
        }
    }

    #[test]
    fn giving_up_a_lock_that_is_not_contended() {
        let bug = Bug::QuitsUncontended;
        let lock = Lock { bug, rechecks: false, rounds: 2, deaths: 0, comers: 0, quits: 1, ..USUAL };
        assert!(all_is_well(lock).stuck > 0);
    }

    #[test]
    fn a_follower_that_mends_nothing() {
        caught(Lock { bug: Bug::FollowsBlindly, ..USUAL }, "L4");
    }
}
