//! Who is measured when, and for how long.
//!
//! Cell after cell; within a cell round after round; within a round every peer once, in an order that is shuffled anew. The
//! first round warms up and is dropped. A window is as long as the time that is left allows: what one cell takes more than
//! planned the later ones get less, and a cell that takes half as much again is ended after a whole round. Nobody is stopped
//! in a sample, but a peer whose samples take far longer than its part of the cell gets fewer rounds, which its row shows;
//! and one that gave up a storm of some size is not asked for a larger one.

use crate::cases::Cell;
use crate::contest::Contestant;
use anyhow::Result;
use gatepost_bench_kit::protocol::Ask;
use gatepost_bench_kit::result::{self, Kind, Row, Value};
use gatepost_bench_kit::waits::merge_buckets;
use gatepost_bench_kit::work::Random;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Rounds that are kept.
pub(crate) const ROUNDS: usize = 7;

/// How a run is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) quick: bool,
    pub(crate) seed: u64,
    /// When it should have ended.
    pub(crate) deadline: Instant,
    /// How many rounds are kept.
    pub(crate) rounds: usize,
}

/// A cell with those who take part in it.
pub(crate) struct Planned<'a> {
    pub(crate) cell: Cell,
    pub(crate) contestants: Vec<&'a Contestant>,
}

/// What has failed: not for time, but because something that should have happened did not.
pub(crate) type Failures = Vec<String>;

impl Settings {
    /// The longest window of a cell, in seconds.
    fn longest(&self, cell: &Cell) -> f64 {
        let part = if self.quick { 0.35 } else { 1.0 };
        cell.case.window_ms / 1000.0 * part
    }

    /// How many rounds of a cell are kept: in a quick run fewer of those of which one alone takes long.
    fn rounds(&self, cell: &Cell) -> usize {
        const LONG: f64 = 0.05;
        if self.quick && cell.overhead() > LONG { self.rounds.min(3) } else { self.rounds }
    }

    /// Whether a quick run leaves a cell out: one sample takes too long.
    pub(crate) fn is_for_full_runs(cell: &Cell) -> bool {
        const TOO_LONG: f64 = 0.5;
        cell.overhead() > TOO_LONG
    }

    /// How many samples all of it has.
    pub(crate) fn samples(&self, all: &[Planned<'_>]) -> usize {
        all.iter().map(|planned| planned.contestants.len() * (self.rounds(&planned.cell) + 1)).sum()
    }

    /// How long a cell takes with windows that are `part` of the longest.
    fn cost(&self, planned: &Planned<'_>, part: f64) -> f64 {
        let sample = planned.cell.overhead() + planned.cell.case.windows * self.longest(&planned.cell) * part;
        sample * planned.contestants.len() as f64 * (self.rounds(&planned.cell) + 1) as f64
    }

    /// Which part of the longest windows fits into the time that is left.
    fn part(&self, ahead: &[Planned<'_>]) -> f64 {
        /// Shorter ones would measure their own start.
        const LEAST: f64 = 0.12;
        // Something is always later than planned.
        let left = self.deadline.saturating_duration_since(Instant::now()).as_secs_f64() * 0.92;
        let fixed: f64 = ahead.iter().map(|planned| self.cost(planned, 0.0)).sum();
        let windows: f64 = ahead.iter().map(|planned| self.cost(planned, 1.0)).sum::<f64>() - fixed;
        ((left - fixed) / windows.max(1e-9)).clamp(LEAST, 1.0)
    }

    /// How long all of it will take, in seconds.
    pub(crate) fn planned(&self, all: &[Planned<'_>]) -> f64 {
        let part = self.part(all);
        all.iter().map(|planned| self.cost(planned, part)).sum()
    }
}

/// Takes every sample. `before` is told of each one, `after` of each cell that is done.
pub(crate) fn run(
    settings: &Settings,
    planned: &[Planned<'_>],
    mut before: impl FnMut(&Cell, &Contestant),
    mut after: impl FnMut(&result::Cell),
) -> (Vec<result::Cell>, Failures) {
    let mut random = Random::new(settings.seed);
    let (mut cells, mut failures) = (Vec::new(), Vec::new());
    let mut given_up = BTreeMap::new();
    for (index, one) in planned.iter().enumerate() {
        let part = settings.part(&planned[index..]);
        let mut measure = Measure { settings, planned: one, part, random: &mut random, given_up: &mut given_up };
        let cell = measure.cell(&mut before, &mut failures);
        after(&cell);
        cells.push(cell);
    }
    (cells, failures)
}

/// One cell being measured.
struct Measure<'a, 'b> {
    settings: &'a Settings,
    planned: &'a Planned<'b>,
    /// Windows are that part of the longest.
    part: f64,
    random: &'a mut Random,
    /// Who gave up which case, and why.
    given_up: &'a mut BTreeMap<(String, &'static str), String>,
}

/// What a peer has done in this cell so far.
struct Progress {
    row: Row,
    /// The warm-up's metrics, for a peer that never gets a second round.
    warm_up: Option<result::Metrics>,
    spent: Duration,
    longest: Duration,
    notes: Vec<String>,
    out: bool,
}

impl Measure<'_, '_> {
    fn ask(&self) -> Ask {
        let cell = &self.planned.cell;
        let window = self.settings.longest(cell) * self.part * 1000.0;
        let window_ms = (window.round() as u64).max(if cell.case.window_ms > 0.0 { 1 } else { 0 });
        Ask {
            peer: String::new(),
            case: cell.case.id.to_owned(),
            parameters: cell.parameters.clone(),
            warm_ms: window_ms.div_ceil(10),
            window_ms,
            // What is known to take seconds is not given up after two of them.
            limit_ms: match Settings::is_for_full_runs(cell) {
                true => 20_000,
                false if self.settings.quick => 1000,
                false => 2000,
            },
            audit: false,
        }
    }

    fn cell(&mut self, before: &mut impl FnMut(&Cell, &Contestant), failures: &mut Failures) -> result::Cell {
        let (cell, contestants) = (&self.planned.cell, &self.planned.contestants);
        let mut ask = self.ask();
        let mut all: Vec<Progress> = contestants.iter().map(|contestant| self.progress(contestant)).collect();
        let rounds = self.settings.rounds(cell);
        // Four times what is planned for each, or this long: so much slower than the others a peer may be.
        let patience = if self.settings.quick { 0.15 } else { 1.0 };
        let planned = self.settings.cost(self.planned, self.part) / contestants.len().max(1) as f64;
        let allowed = Duration::from_secs_f64((4.0 * planned).max(patience));
        let began = Instant::now();
        let mut order: Vec<usize> = (0..contestants.len()).collect();
        for round in 0..=rounds {
            // What all of them together take too long for, ends the cell after a round that all of them had.
            let spent = began.elapsed().as_secs_f64();
            let due = 1.5 * planned * contestants.len() as f64 + 4.0 * patience;
            let late = Instant::now() > self.settings.deadline;
            if round > 1 && (late || spent + spent / round as f64 > due) {
                break;
            }
            // The first one warms up: the peer, and whoever looks at whether it does what it says.
            ask.audit = round == 0;
            self.random.shuffle(&mut order);
            for &index in &order {
                let (contestant, progress) = (contestants[index], &mut all[index]);
                if progress.out || progress.spent + progress.longest > allowed && progress.warm_up.is_some() {
                    continue;
                }
                before(cell, contestant);
                let start = Instant::now();
                let taken = contestant.take(&ask);
                let took = start.elapsed();
                progress.spent += took;
                progress.longest = progress.longest.max(took);
                match taken {
                    Ok(sample) => progress.keep(sample, round),
                    Err(error) => {
                        let why = format!("{error:#}");
                        progress.out = true;
                        progress.row.rounds.clear();
                        progress.row.histogram.clear();
                        if let Some(slow) = why.strip_prefix("too slow: ") {
                            self.given_up.insert((contestant.name.clone(), cell.case.id), slow.to_owned());
                        } else if !is_refusal(&error, &why) {
                            failures.push(format!("{}, {}: {why}", cell.label(), contestant.name));
                        }
                        progress.row.missing = Some(why);
                    }
                }
            }
        }
        self.result(all)
    }

    fn progress(&self, contestant: &Contestant) -> Progress {
        let gave_up = self.given_up.get(&(contestant.name.clone(), self.planned.cell.case.id));
        let row = Row {
            peer: contestant.name.clone(),
            kind: contestant.kind,
            version: contestant.version.clone(),
            rounds: Vec::new(),
            histogram: Vec::new(),
            missing: gave_up.map(|why| format!("left out, since with fewer waiters it was too slow: {why}")),
        };
        let out = gave_up.is_some();
        Progress { row, warm_up: None, spent: Duration::ZERO, longest: Duration::ZERO, notes: Vec::new(), out }
    }

    fn result(&self, all: Vec<Progress>) -> result::Cell {
        let cell = &self.planned.cell;
        let mut notes: Vec<String> = cell.case.notes.iter().map(|&note| note.to_owned()).collect();
        let word = cell.parameters.values().find_map(|value| match value {
            Value::Text(word) => Some(word.as_str()),
            _ => None,
        });
        let mut rows = Vec::new();
        for (contestant, progress) in self.planned.contestants.iter().zip(all) {
            notes.extend(contestant.notes(cell.case.id, word));
            notes.extend(progress.notes.iter().map(|note| format!("{}: {note}", contestant.name)));
            rows.push(progress.row());
        }
        notes.dedup();
        rows.sort_by_key(|row| match row.kind {
            Kind::Ours => 0,
            Kind::Fair | Kind::Barging => 1,
            Kind::Reference => 2,
        });
        result::Cell {
            case: cell.case.id.to_owned(),
            title: cell.case.title.to_owned(),
            parameters: cell.parameters.clone(),
            metrics: cell.metrics(),
            notes,
            rows,
        }
    }
}

impl Progress {
    fn keep(&mut self, sample: gatepost_bench_kit::Sample, round: usize) {
        if let Some(note) = sample.note
            && !self.notes.contains(&note)
        {
            self.notes.push(note);
        }
        if round == 0 {
            self.warm_up = Some(sample.metrics);
        } else {
            self.row.rounds.push(sample.metrics);
            merge_buckets(&mut self.row.histogram, &sample.histogram);
        }
    }

    fn row(mut self) -> Row {
        if self.row.rounds.is_empty() && !self.out {
            // Its only sample: better than none, and the table says that it is one.
            self.row.rounds.extend(self.warm_up);
        }
        self.row
    }
}

/// Whether a peer was found to lose what a dead process held.
pub(crate) fn is_lost(why: &str) -> bool {
    why.starts_with("lost: ")
}

/// Whether a peer only said that it cannot do that.
fn is_refusal(error: &anyhow::Error, why: &str) -> bool {
    error.downcast_ref::<crate::programs::Refused>().is_some()
        || why.contains("cannot add that many permits")
        || why.contains("cannot wait with that many threads")
        || why.contains("cannot have more than")
        // It is what that case asks.
        || is_lost(why)
}

/// Checks that a run can be planned at all.
pub(crate) fn check(planned: &[Planned<'_>]) -> Result<()> {
    anyhow::ensure!(
        planned.iter().any(|planned| !planned.contestants.is_empty()),
        "none of the chosen peers takes part in any of the chosen cases: see --list"
    );
    Ok(())
}
