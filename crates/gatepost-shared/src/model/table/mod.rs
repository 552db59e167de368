//! The tables with crashes: the critical sections as they are shipped, each ended at each of its steps.
//!
//! Nothing is written down again here, so nothing can drift: a state is a small file and what each process knows; a transition
//! lays the file out in memory, calls `Section::acquire` and so on under the real lock, with real bytes locked for those who
//! live, and reads the file back. A death is a step of `step::at` that does not return: what the section would have stored
//! after it is not stored, and no clean-up is run. Since sections exclude each other (`model::lock`), it is enough to do them one after
//! another; only those who look for the dead read without the lock, so a look is tried at every step of every section, too.
//!
//! What does not matter for what comes next is left out of a state, so that there are few: times, texts, statistics, events, numbers
//! of wake-ups, epochs (that they grow is checked in each transition), the contents of free rows; and serials are counted anew
//! from 0, in their order.
//!
//! What is checked, in each state: I1 a grant has all its slots or is not there, I3 the permits of all grants are within the limit, I4
//! nobody who waits and fits is passed over, T1 and T3 to T6; each grant of somebody who lives is known to its owner, or to
//! its waiter; what somebody holds is in the file. In each transition: whoever is answered is woken, and a slot's epoch
//! has grown. And from each state, by what the living do by themselves, a state is reached in which nothing of the dead
//! is in the way of those who wait (I5, I8).

mod file;
mod seeded;

use std::cell::RefCell;
use std::rc::Rc;

use self::file::{Image, World};
use super::{Explored, Kind, Model, explore};
use crate::Error;
use crate::layout::{Claim, Config, State as Word};
use crate::step::unwind;
use crate::table::{Answer, DEAD, Fault, Grant, Remains, Section, Table, Turn, Why};
use crate::{HolderState, Policy};

const SESSIONS: usize = 3;

/// What is explored.
#[derive(Debug, Clone, Copy)]
struct Scenario {
    policy: Policy,
    limit: u32,
    /// How many permits each session asks for.
    demand: [u32; SESSIONS],
    /// How many processes there are at first.
    processes: usize,
    /// How often each process acquires.
    rounds: u8,
    /// How many processes die, all in all.
    deaths: u8,
    /// How many come after the first ones.
    comers: u8,
    /// How often somebody gives up.
    give_ups: u8,
    /// How often somebody changes the limit, pauses, or takes a permit away.
    changes: u8,
}

const USUAL: Scenario = Scenario {
    policy: Policy::Fifo,
    limit: 2,
    demand: [1, 2, 1],
    processes: 3,
    rounds: 1,
    deaths: 2,
    comers: 0,
    give_ups: 0,
    changes: 0,
};

/// What a process is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Doing {
    /// There is none with this number.
    Nobody,
    Nothing,
    Waiting(Turn),
    Holding(Grant),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Process {
    doing: Doing,
    /// How often it will acquire yet.
    left: u8,
    generation: u32,
    /// What the dead hold, as it has seen it and not yet taken it back.
    seen: Option<Rc<Remains>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    file: Rc<Image>,
    processes: [Process; SESSIONS],
    deaths: u8,
    comers: u8,
    give_ups: u8,
    changes: u8,
    /// Somebody has taken a permit away, or lowered the limit.
    by_force: bool,
}

/// What a process does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    /// Becomes a session; its byte is locked already.
    Attach,
    Acquire,
    /// Takes its answer.
    Finish,
    GiveUp,
    Release,
    /// Takes back what it has seen of the dead.
    Bury,
    /// Follows the dead owner of the lock.
    Mend,
    Resize(u32),
    Pause(bool),
    Revoke(u64),
}

struct Tables {
    scenario: Scenario,
    world: RefCell<World>,
}

impl State {
    fn is_alive(&self, session: usize) -> bool {
        self.processes[session].doing != Doing::Nobody
    }

    fn alive(&self) -> [bool; SESSIONS] {
        std::array::from_fn(|session| self.is_alive(session))
    }

    /// Whether a claim is of one who lives.
    fn owner_lives(&self, claim: Claim) -> bool {
        self.processes.get(claim.session() as usize).is_some_and(|process| {
            process.doing != Doing::Nobody && process.generation as u16 == claim.generation() as u16
        })
    }

    fn somebody_waits(&self) -> bool {
        self.processes.iter().any(|process| matches!(process.doing, Doing::Waiting(_)))
    }

    /// Counts the serials from 0 on, and forgets those that nobody asks for any more.
    fn tidy(mut self) -> Self {
        let mut file = (*self.file).clone();
        let mut serials = file.serials();
        for process in &self.processes {
            match process.doing {
                Doing::Waiting(turn) => serials.push(turn.serial),
                Doing::Holding(grant) => serials.push(grant.serial),
                Doing::Nobody | Doing::Nothing => {}
            }
            if let Some(seen) = &process.seen {
                serials.extend(seen.grants.iter().map(|grant| grant.serial));
                serials.extend(seen.turns.iter().map(|(turn, _)| turn.serial));
            }
        }
        serials.sort_unstable();
        serials.dedup();
        let rank = |serial: &mut u64| *serial = serials.binary_search(serial).map_or(u64::MAX, |rank| rank as u64);
        file.each_serial(rank);
        for process in &mut self.processes {
            match &mut process.doing {
                Doing::Waiting(turn) => rank(&mut turn.serial),
                Doing::Holding(grant) => rank(&mut grant.serial),
                Doing::Nobody | Doing::Nothing => {}
            }
            if let Some(seen) = &mut process.seen {
                let mut remains = (**seen).clone();
                remains.grants.iter_mut().for_each(|grant| rank(&mut grant.serial));
                remains.turns.iter_mut().for_each(|(turn, _)| rank(&mut turn.serial));
                *seen = Rc::new(remains);
            }
        }
        self.file = Rc::new(file);
        self
    }
}

impl Tables {
    fn new(scenario: Scenario) -> Self {
        Self { scenario, world: RefCell::new(World::new()) }
    }

    /// `Table::section`, but for the look at the dead after a death in the section, which is a transition of its own here.
    fn in_section<R>(&self, table: &Table, op: impl FnMut(&mut Section<'_>) -> Result<R, Fault>) -> Result<R, Error> {
        table.section_after(table.take(), op)
    }

    /// Has process `p` do `op`, and die at step `die`. What comes of it, and the number of steps.
    fn run(&self, state: &State, p: usize, op: Op, die: usize) -> Result<(Option<State>, Image, usize), String> {
        let mut world = self.world.borrow_mut();
        let mut alive = state.alive();
        alive[p] = true;
        world.lay_out(&state.file, alive);
        let process = &state.processes[p];
        let generation = if op == Op::Attach { world.next_generation(p) } else { process.generation };
        world.tables[p].set_generation(generation);
        let table = &world.tables[p];
        let before = world.bells();
        let now = 0;
        let turn = || match process.doing {
            Doing::Waiting(turn) => turn,
            _ => unreachable!("it waits"),
        };
        let run = unwind::run(die, || {
            let doing = match op {
                Op::Attach => {
                    let taken = table.take_first();
                    let signed = table.section_after(taken, |section| {
                        section.sign(generation, "p");
                        Ok(())
                    });
                    signed.map(|()| Doing::Nothing)
                }
                Op::Acquire => {
                    let permits = self.scenario.demand[p];
                    match self.in_section(table, |section| section.acquire(permits, "", p == 2, now)) {
                        Err(Error::ExceedsLimit { .. }) => Ok(Doing::Nothing),
                        answer => answer.map(Doing::after),
                    }
                }
                Op::Finish => self.in_section(table, |section| Ok(section.answer(turn(), now))).map(Doing::after),
                Op::GiveUp => {
                    let answer = self.in_section(table, |section| Ok(section.give_up(turn(), Why::TimedOut, now)));
                    answer.map(|answer| match answer {
                        Answer::Waiting(_) => Doing::Nothing,
                        answer => Doing::after(answer),
                    })
                }
                Op::Release => {
                    let Doing::Holding(grant) = process.doing else { unreachable!("it holds") };
                    self.in_section(table, |section| Ok(section.release(grant, now))).map(|_| Doing::Nothing)
                }
                Op::Bury => {
                    let seen = process.seen.clone().expect("it has looked");
                    let taken = table.take();
                    table.section_after(taken, |section| Ok(section.bury(&seen, DEAD))).map(|_| process.doing)
                }
                Op::Mend => self.in_section(table, |_| Ok(())).map(|()| process.doing),
                Op::Resize(limit) => self
                    .in_section(table, |section| {
                        section.resize(limit);
                        Ok(())
                    })
                    .map(|()| process.doing),
                Op::Pause(paused) => self
                    .in_section(table, |section| {
                        section.pause(paused);
                        Ok(())
                    })
                    .map(|()| process.doing),
                Op::Revoke(serial) => {
                    self.in_section(table, |section| Ok(section.end(serial, Some("")))).map(|_| process.doing)
                }
            };
            doing.map_err(|error| error.to_string())
        });
        let file = world.read_back();
        let Some(result) = run.result else { return Ok((None, file, run.steps)) };
        let doing = result.map_err(|error| format!("{op:?} by {p}: {error}"))?;
        world.check_wakes(&state.file, &file, &before, &run.woken).map_err(|what| format!("{op:?} by {p}: {what}"))?;
        file.check_epochs(&state.file)?;
        let mut next = State { file: Rc::new(file.clone()), ..state.clone() };
        let after = &mut next.processes[p];
        after.doing = doing;
        after.generation = generation;
        match op {
            Op::Attach => after.left = self.scenario.rounds,
            Op::Acquire => after.left -= 1,
            Op::GiveUp => next.give_ups -= 1,
            Op::Bury => after.seen = None,
            Op::Resize(_) | Op::Pause(_) | Op::Revoke(_) => {
                next.changes -= 1;
                next.by_force = true;
            }
            Op::Finish | Op::Release | Op::Mend => {}
        }
        Ok((Some(next), file, run.steps))
    }

    /// What session `q` sees of the dead, in `file`.
    fn look(&self, state: &State, file: &Image, q: usize) -> Option<Rc<Remains>> {
        let mut world = self.world.borrow_mut();
        world.lay_out(file, state.alive());
        world.tables[q].set_generation(state.processes[q].generation);
        let remains = world.tables[q].remains(&[HolderState::Dead]);
        (!remains.is_empty()).then(|| Rc::new(remains))
    }

    /// `op` by `p`, with a death at each step, and with looks of the others at each step.
    fn each(&self, state: &State, p: usize, kind: Kind, op: Op, to: &mut dyn FnMut(Kind, State)) -> Result<(), String> {
        let (done, _, steps) = self.run(state, p, op, usize::MAX)?;
        let done = done.ok_or("it died of nothing")?;
        // Each end: the state, and after how many steps it is certain.
        let mut ends = vec![(kind, done, usize::MAX)];
        let mut files = Vec::new();
        // Without a death to come, and with nothing of the dead to be seen, the steps in between matter to nobody.
        let is_of_dead = |claim: Claim| !state.owner_lives(claim);
        let dead_matter = state.file.held().into_iter().chain(state.file.waiters()).any(|(_, claim)| is_of_dead(claim));
        let steps = if state.deaths > 0 || dead_matter { steps } else { 0 };
        for die in 0..steps {
            let (_, file, _) = self.run(state, p, op, die)?;
            if state.deaths > 0 {
                let mut dead = State { file: Rc::new(file.clone()), deaths: state.deaths - 1, ..state.clone() };
                dead.processes[p] = Process { doing: Doing::Nobody, left: 0, generation: 0, seen: None };
                match op {
                    Op::GiveUp => dead.give_ups -= 1,
                    Op::Resize(_) | Op::Pause(_) | Op::Revoke(_) => {
                        dead.changes -= 1;
                        dead.by_force = true;
                    }
                    _ => {}
                }
                ends.push((Kind::Fault, dead, die));
            }
            if files.last() != Some(&file) {
                files.push(file);
            }
        }
        // Those who look while `p` is in the section.
        if dead_matter {
            for q in (0..SESSIONS).filter(|q| *q != p && state.is_alive(*q) && state.processes[*q].seen.is_none()) {
                let usual = self.look(state, &state.file, q);
                for (at, file) in files.iter().enumerate() {
                    let seen = self.look(state, file, q);
                    if seen.is_none() || seen == usual {
                        continue;
                    }
                    for (_, end, after) in &ends {
                        if *after >= at {
                            // The serials are those before `tidy`, which has to see them.
                            let mut next = end.clone();
                            next.processes[q].seen.clone_from(&seen);
                            to(Kind::Choice, next.tidy());
                        }
                    }
                }
            }
        }
        for (kind, end, _) in ends {
            to(kind, end.tidy());
        }
        Ok(())
    }
}

impl Doing {
    fn after(answer: Answer) -> Self {
        match answer {
            Answer::Granted(grant) => Self::Holding(grant),
            Answer::Waiting(turn) => Self::Waiting(turn),
            Answer::Revoked | Answer::Refused { .. } => Self::Nothing,
            Answer::Lost => unreachable!("its place is not there"),
        }
    }
}

impl Model for Tables {
    type State = State;

    fn start(&self) -> State {
        let Scenario { policy, limit, deaths, comers, give_ups, changes, rounds, .. } = self.scenario;
        let file = self.world.borrow_mut().make(Config::new(limit, policy));
        let process = Process { doing: Doing::Nothing, left: rounds, generation: 1, seen: None };
        let nobody = Process { doing: Doing::Nobody, left: 0, generation: 0, seen: None };
        let is_there = |p: &usize| *p < self.scenario.processes;
        let processes = std::array::from_fn(|p| if is_there(&p) { &process } else { &nobody }.clone());
        State { file: Rc::new(file), processes, deaths, comers, give_ups, changes, by_force: false }.tidy()
    }

    fn next(&self, state: &State, to: &mut dyn FnMut(Kind, State)) -> Result<(), String> {
        if let (true, Some(free)) = (state.comers > 0, (0..SESSIONS).find(|session| !state.is_alive(*session))) {
            let mut next = state.clone();
            next.comers -= 1;
            self.each(&next, free, Kind::Choice, Op::Attach, to)?;
        }
        for p in (0..SESSIONS).filter(|p| state.is_alive(*p)) {
            let process = &state.processes[p];
            if state.deaths > 0 {
                let mut next = state.clone();
                next.deaths -= 1;
                next.processes[p] = Process { doing: Doing::Nobody, left: 0, generation: 0, seen: None };
                to(Kind::Fault, next.tidy());
            }
            match process.doing {
                Doing::Nothing if process.left > 0 => self.each(state, p, Kind::Choice, Op::Acquire, to)?,
                Doing::Nothing => {
                    // It ends in good order.
                    let mut next = state.clone();
                    let mut file = (*state.file).clone();
                    file.close(p);
                    next.file = Rc::new(file);
                    next.processes[p] = Process { doing: Doing::Nobody, left: 0, generation: 0, seen: None };
                    to(Kind::Choice, next.tidy());
                }
                Doing::Holding(_) => self.each(state, p, Kind::Choice, Op::Release, to)?,
                Doing::Waiting(turn) => {
                    // It is woken, or looks again by itself.
                    if state.file.waiter_is_answered(turn.index) {
                        self.each(state, p, Kind::Step, Op::Finish, to)?;
                    } else if state.give_ups > 0 {
                        self.each(state, p, Kind::Choice, Op::GiveUp, to)?;
                    }
                    // Its watcher.
                    if state.file.lock_owner().is_some() {
                        self.each(state, p, Kind::Step, Op::Mend, to)?;
                    }
                }
                Doing::Nobody => {}
            }
            if process.seen.is_some() {
                self.each(state, p, Kind::Step, Op::Bury, to)?;
            } else if let Some(seen) = self.look(state, &state.file, p) {
                let waits = matches!(process.doing, Doing::Waiting(_));
                let in_charge = waits && self.world.borrow().tables[p].is_in_charge();
                let mut next = state.clone();
                next.processes[p].seen = Some(seen);
                to(if in_charge { Kind::Step } else { Kind::Choice }, next.tidy());
            }
            if state.changes > 0 {
                let config = state.file.config();
                let limits = (0..=2).filter(|limit| *limit != config.limit()).map(Op::Resize);
                let grants = state.file.held_serials().into_iter().map(Op::Revoke);
                for op in limits.chain(grants).chain([Op::Pause(!config.is_paused())]) {
                    self.each(state, p, Kind::Choice, op, to)?;
                }
            }
        }
        Ok(())
    }

    fn check(&self, state: &State) -> Result<(), String> {
        let file = &state.file;
        if file.poison != 0 {
            return Err("a sound file was found damaged".to_owned());
        }
        if let Some(owner) = file.lock_owner() {
            if state.is_alive(owner as usize) && state.deaths == self.scenario.deaths {
                return Err("the lock is held by nobody".to_owned());
            }
        }
        file.check_truth(if state.by_force { 2 } else { self.scenario.limit })?;
        for (p, process) in state.processes.iter().enumerate() {
            match process.doing {
                Doing::Holding(grant) if !state.by_force && !file.holds(grant) => {
                    return Err(format!("I3: {p} has lost its permit"));
                }
                Doing::Waiting(turn) if !file.has_turn(turn, (p as u32, process.generation)) => {
                    return Err(format!("T5: {p} has lost its place"));
                }
                _ => {}
            }
        }
        for (serial, claim) in file.held() {
            let known = state.processes.iter().any(|process| match process.doing {
                Doing::Holding(grant) => grant.serial == serial,
                Doing::Waiting(turn) => turn.serial == serial,
                Doing::Nobody | Doing::Nothing => false,
            });
            if state.owner_lives(claim) && !known {
                return Err(format!("grant {serial} is of one who lives and does not know it"));
            }
        }
        if file.lock_owner().is_none() { file.check_caches() } else { Ok(()) }
    }

    /// Nothing of the dead is in the way of those who wait, and nobody has to be told anything.
    fn is_done(&self, state: &State) -> bool {
        let file = &state.file;
        !state.somebody_waits()
            || file.lock_owner().is_none()
                && file.held().iter().all(|(_, claim)| state.owner_lives(*claim))
                && file.waiters().all(|(_, claim)| claim.is(Word::Active) && state.owner_lives(claim))
    }
}

fn explored(scenario: Scenario) -> Explored {
    let explored = explore(&Tables::new(scenario)).unwrap_or_else(|what| panic!("{scenario:?}: {what}"));
    println!("{scenario:?}: {explored:?}");
    explored
}

/// Every invariant holds, and nobody is stranded.
fn all_is_well(scenario: Scenario) {
    assert_eq!(explored(scenario).stuck, 0);
}

#[test]
fn three_processes_two_of_which_die() {
    all_is_well(USUAL);
    all_is_well(Scenario { demand: [2, 1, 2], ..USUAL });
}

#[test]
fn three_deaths_and_nobody_is_left() {
    all_is_well(Scenario { deaths: 3, limit: 1, demand: [1, 1, 1], ..USUAL });
}

#[test]
fn numbers_that_are_used_again() {
    all_is_well(Scenario { deaths: 1, comers: 1, processes: 2, ..USUAL });
}

#[test]
fn one_after_another() {
    all_is_well(Scenario { deaths: 2, rounds: 2, processes: 2, ..USUAL });
}

#[test]
#[ignore = "a minute or more"]
fn more_of_everything() {
    all_is_well(Scenario { deaths: 1, comers: 2, processes: 2, ..USUAL });
    all_is_well(Scenario { deaths: 1, comers: 1, ..USUAL });
    all_is_well(Scenario { deaths: 1, rounds: 2, ..USUAL });
}

#[test]
fn those_who_give_up() {
    all_is_well(Scenario { deaths: 1, give_ups: 2, ..USUAL });
}

#[test]
fn those_who_overtake() {
    all_is_well(Scenario { policy: Policy::Overtaking, give_ups: 1, ..USUAL });
}

#[test]
fn limits_changed_and_permits_taken_away() {
    all_is_well(Scenario { deaths: 1, changes: 1, ..USUAL });
}
