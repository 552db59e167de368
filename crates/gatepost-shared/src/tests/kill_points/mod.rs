//! Dies at each step of each operation.
//!
//! For each scenario and for k = 0, 1, 2, … a victim kills itself at its k-th step, until it ends without having come to one.
//! Then somebody else makes the file whole - a session that was there before, one that comes, or one that waits - and
//! everything is looked at: the raw file at the moment of the death and when it is whole again, the living who waited, the
//! events, and whether all permits are to be had.

mod scenarios;
mod stage;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;

use self::scenarios::{ALL, Scenario};
use self::stage::{Rescue, Stage};
use super::alone::{alone, caught};
use super::process::{Child, PATIENCE, folder, fork, pipe, read_all, until};

/// Kills that are under way at one time. Most of the time each waits for something.
const WIDTH: usize = 24;
/// And so for one scenario: how many are begun in vain, before it is seen that there are no more steps.
const DEPTH: usize = 4;
/// No operation has more steps.
const MOST: i64 = 2000;
/// Names a scenario, or a part of its name: only that is played.
const ONLY: &str = "GATEPOST_KILL_SCENARIO";

#[test]
fn whoever_dies_at_whichever_step_nothing_is_lost() {
    alone(CHECK, || {
        let only = std::env::var(ONLY).ok();
        let scenarios = ALL.iter().filter(|scenario| only.as_ref().is_none_or(|only| scenario.name.contains(only)));
        let mut all = Vec::new();
        for scenario in scenarios {
            let rescues = [Rescue::Own, Rescue::Newcomer, Rescue::Waiter];
            let rescues = rescues.into_iter().filter(|rescue| scenario.waiter_alone || *rescue != Rescue::Waiter);
            all.extend(rescues.map(|rescue| Series::new(scenario, rescue)));
        }
        die_everywhere(&mut all);
        let mut kills: BTreeMap<&str, usize> = BTreeMap::new();
        for series in &all {
            println!("{}: {} kills", series.name(), series.steps.len());
            for step in series.steps.values() {
                *kills.entry(step).or_default() += 1;
            }
        }
        println!("{} kills at {} kinds of steps", kills.values().sum::<usize>(), kills.len());
        let failed: Vec<_> = all.iter().filter(|series| !series.failed.is_empty()).map(Series::name).collect();
        assert_eq!(failed, [] as [String; 0], "scenarios failed");
        if only.is_none() {
            let known = names_in_the_source();
            let missed: Vec<_> = known.iter().filter(|name| !kills.contains_key(name.as_str())).collect();
            assert_eq!(missed, [] as [&String; 0], "no scenario dies there");
        }
    });
}

/// The names of all steps in the crate's sources.
fn names_in_the_source() -> BTreeSet<String> {
    fn collect(folder: &Path, names: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).expect("the sources are there") {
            let path = entry.expect("it can be read").path();
            if path.is_dir() {
                collect(&path, names);
            } else {
                let text = fs::read_to_string(&path).expect("the sources are text");
                let named = text.split("step::at(\"").skip(1);
                names.extend(named.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
            }
        }
    }
    let mut names = BTreeSet::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for part in fs::read_dir(&source).expect("the sources are there") {
        let path = part.expect("it can be read").path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "tests") {
            collect(&path, &mut names);
        }
    }
    for file in ["lock.rs", "session.rs", "semaphore.rs", "permit.rs"] {
        let text = fs::read_to_string(source.join(file)).expect("the sources are text");
        names.extend(text.split("step::at(\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
    }
    names
}

/// All kills of a scenario.
struct Series {
    scenario: &'static Scenario,
    rescue: Rescue,
    next: i64,
    running: Vec<Kill>,
    /// The steps at which the victim died.
    steps: BTreeMap<i64, String>,
    /// Whether it has ended without having died.
    has_ended: bool,
    failed: Vec<i64>,
}

/// One that is under way.
struct Kill {
    number: i64,
    child: Child,
    said: OwnedFd,
}

impl Series {
    fn new(scenario: &'static Scenario, rescue: Rescue) -> Self {
        let (running, steps, failed) = (Vec::new(), BTreeMap::new(), Vec::new());
        Self { scenario, rescue, next: 0, running, steps, has_ended: false, failed }
    }

    fn name(&self) -> String {
        format!("{} ({:?})", self.scenario.name, self.rescue)
    }

    fn has_more(&self) -> bool {
        !self.has_ended && self.failed.is_empty()
    }

    fn begin(&mut self) {
        let (said, say) = pipe();
        let (scenario, rescue, number) = (self.scenario, self.rescue, self.next);
        let child = fork(|| {
            let step = play(scenario, rescue, number);
            rustix::io::write(&say, step.as_bytes()).expect("somebody listens");
            0
        });
        self.running.push(Kill { number, child, said });
        self.next += 1;
    }

    fn collect(&mut self) {
        let over: Vec<Kill> = self.running.extract_if(.., |kill| kill.child.has_ended()).collect();
        for Kill { number, mut child, said } in over {
            let status = child.wait();
            let said = read_all(said);
            if status.exit_status() != Some(0) || number >= MOST {
                println!("{} fails when killed at its step {number}", self.name());
                self.failed.push(number);
            } else if said.is_empty() {
                self.has_ended = true;
            } else {
                self.steps.insert(number, said);
            }
        }
    }
}

/// Has each victim die at its first step, at its second, and so on.
fn die_everywhere(all: &mut [Series]) {
    loop {
        let running: usize = all.iter().map(|series| series.running.len()).sum();
        let next = all.iter_mut().find(|series| series.has_more() && series.running.len() < DEPTH);
        match next {
            Some(series) if running < WIDTH => series.begin(),
            _ if running == 0 => return,
            _ => {
                let is_over = |series: &Series| series.running.iter().any(|kill| kill.child.has_ended());
                until("a kill is over", || all.iter().any(is_over));
                all.iter_mut().for_each(Series::collect);
            }
        }
    }
}

/// One kill, in a process of its own; the step at which the victim died, or nothing.
fn play(scenario: &Scenario, rescue: Rescue, kill: i64) -> String {
    let folder = folder();
    let mut stage = Stage::new(folder.path(), scenario.limit, rescue, kill);
    (scenario.play)(&mut stage);
    stage.finish().unwrap_or_default()
}

const CHECK: &str = "tests::kill_points::whoever_dies_at_whichever_step_nothing_is_lost";

/// The check fails with `bug` seeded: in this scenario, and for this reason.
#[track_caller]
fn seen(bug: &str, scenario: &str, because: &str) {
    caught(bug, CHECK, &[(ONLY, scenario), (PATIENCE, "3")], because);
}

#[test]
fn a_grant_that_is_stored_before_its_slots_is_seen() {
    seen("the word before the slots", "try_acquire of several", "T2: ");
}

#[test]
fn a_grant_for_a_waiter_that_does_not_say_so_is_seen() {
    seen("an unclaimed grant does not say so", "release, one waits", "T4: ");
}

#[test]
fn a_takeover_that_does_not_serve_the_queue_is_seen() {
    seen("nobody is served after a rebuild", "release, one waits", "stranded: ");
}

#[test]
fn a_takeover_that_forgets_epochs_is_seen() {
    seen("a freed slot has its old epoch", "try_acquire of several", "I7: ");
}

#[test]
fn a_dead_head_that_nobody_looks_at_is_seen() {
    seen("the first in line alone", "a dead head", "stranded");
}

#[test]
fn a_deed_whose_event_is_not_finished_is_seen() {
    seen("announced deeds are not confirmed", "revoke", "I10: ");
}
