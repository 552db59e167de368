//! Gatepost's semaphore and its peers, side by side.
//!
//! | room | what it holds |
//! |---|---|
//! | [`cli`], [`glob`] | what may be asked |
//! | [`cases`] | the cases, their parameters and metrics; the loops are in the kit |
//! | [`peers`] | the peers in this process |
//! | [`programs`] | the peers that are programs |
//! | [`contest`], [`schedule`] | who takes part, in which order, for how long |
//! | [`counted`] | costs that are counted, not timed |
//! | [`machine`] | facts about the machine |
//! | [`report`], [`plots`] | tables, pictures |

mod allocations;
mod cases;
mod cli;
mod contest;
mod counted;
mod glob;
mod machine;
mod peers;
mod plots;
mod programs;
mod report;
mod schedule;
#[cfg(test)]
mod smoke;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use cli::Cli;
use contest::Contestant;
use gatepost_bench_kit::protocol::{Ask, read};
use gatepost_bench_kit::result::{Kind, Run, SCHEMA};
use indicatif::{ProgressBar, ProgressStyle};
use schedule::{Planned, Settings};
use std::fs::File;
use std::io::{BufWriter, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.be_counted {
        Some(peer) => counted::be_counted(peer).map(|()| ExitCode::SUCCESS),
        None if cli.be_process => be_process().map(|()| ExitCode::SUCCESS),
        None => run(&cli),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        // What was asked for is not there; anything else has ended the run by itself.
        ExitCode::from(if error.downcast_ref::<Nothing>().is_some() { 2 } else { 1 })
    })
}

#[cfg(target_os = "linux")]
fn be_process() -> Result<()> {
    peers::across::be_process()
}

#[cfg(not(target_os = "linux"))]
fn be_process() -> Result<()> {
    anyhow::bail!("processes share no semaphore here: Linux only")
}

/// A glob that matches nothing.
#[derive(Debug)]
struct Nothing(String);

impl std::fmt::Display for Nothing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Nothing {}

/// The cells that are asked for. Each glob must mean one.
fn chosen_cells(globs: &[String]) -> Result<Vec<cases::Cell>> {
    let means =
        |glob: &str, cell: &cases::Cell| glob::matches(glob, cell.case.id) || glob::matches(glob, &cell.label());
    let all = cases::cells();
    if let Some(glob) = globs.iter().find(|glob| !all.iter().any(|cell| means(glob, cell))) {
        let mut ids: Vec<&str> = all.iter().map(|cell| cell.case.id).collect();
        ids.dedup();
        let there_are = ids.join(", ");
        return Err(Nothing(format!(
            "no case matches {glob:?}; there are {there_are}, and --list has their parameters"
        ))
        .into());
    }
    Ok(all.into_iter().filter(|cell| globs.is_empty() || globs.iter().any(|glob| means(glob, cell))).collect())
}

/// That each glob means a peer.
fn check_peers(globs: &[String], here: &[peers::Peer]) -> Result<()> {
    let mut names: Vec<&str> = here.iter().map(|peer| peer.entry.name.as_str()).collect();
    for name in programs::names() {
        names.push(name);
    }
    match globs.iter().find(|glob| !names.iter().any(|name| glob::matches(glob, name))) {
        Some(glob) => Err(Nothing(format!("no peer matches {glob:?}; there are {}", names.join(", "))).into()),
        None => Ok(()),
    }
}

/// Ours and the references are always there: without them nothing can be compared.
fn is_chosen(globs: &[String], name: &str, kind: Kind) -> bool {
    matches!(kind, Kind::Ours | Kind::Reference) || glob::any(globs, name)
}

fn run(cli: &Cli) -> Result<ExitCode> {
    let start = Instant::now();
    let here = peers::all();
    let mut cells = chosen_cells(&cli.case)?;
    check_peers(&cli.peer, &here)?;
    if cli.list {
        list(&cells, &here);
        return Ok(ExitCode::SUCCESS);
    }
    if cli.quick && cli.case.is_empty() {
        cells.retain(|cell| !Settings::is_for_full_runs(cell));
    }
    // What cannot be written is known before minutes have been spent on it.
    let json = cli.json.as_ref().map(|path| {
        let file = File::create(path);
        file.with_context(|| format!("{} cannot be written: name another file with --json", path.display()))
    });
    let json = json.transpose()?;
    if let Some(folder) = &cli.svg {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("{} cannot be made: name another folder with --svg", folder.display()))?;
    }

    let progress = Progress::new();
    let chosen: Vec<&peers::Peer> =
        here.iter().filter(|peer| is_chosen(&cli.peer, &peer.entry.name, peer.entry.kind)).collect();
    // No program takes part in what this suite's own processes share: to build them would be a wait for nothing.
    let (sessions, missing) = match cells.iter().all(|cell| cell.case.id.starts_with('P')) {
        true => Default::default(),
        false => programs::start(&cli.peer, |folder| progress.say(&format!("building {folder}"))),
    };
    let built = Instant::now();
    let contestants: Vec<Contestant> = chosen
        .iter()
        .map(|peer| Contestant::here(peer.entry.clone()))
        .chain(sessions.into_iter().flat_map(Contestant::of_program))
        .filter(|contestant| is_chosen(&cli.peer, &contestant.name, contestant.kind))
        .collect();
    let planned: Vec<Planned<'_>> = cells.into_iter().map(|cell| plan(cell, &contestants)).collect();
    schedule::check(&planned)?;

    let mut facts = machine::facts();
    machine::drift(&mut facts, "before");
    // Counting is part of a whole run, and of one that asks for cases in which something can be counted.
    let can_be_counted = |id: &str| id.starts_with(['U', 'P']) || id == "C4";
    let counts = |peer: &&&peers::Peer| {
        let mut cells = planned.iter().filter(|planned| can_be_counted(planned.cell.case.id));
        cells.any(|planned| planned.contestants.iter().any(|contestant| contestant.name == peer.entry.name))
    };
    let to_count: Vec<&peers::Peer> = chosen.iter().filter(counts).copied().collect();
    let counted = match planned.iter().any(|planned| can_be_counted(planned.cell.case.id)) {
        true => counted::run(&to_count, |peer| progress.say(&format!("counting {peer}"))),
        false => Default::default(),
    };
    // From here on: programs are built once, and how long that takes says nothing.
    let minutes = if cli.quick { 1.5 } else { 18.5 };
    let settings = Settings {
        quick: cli.quick,
        seed: cli.seed,
        deadline: built + Duration::from_secs_f64(minutes * 60.0),
        rounds: schedule::ROUNDS,
    };
    let expected = settings.planned(&planned);
    let samples = settings.samples(&planned);
    progress.begin(samples, &format!("planned: {expected:.0} s for {} cells, {samples} samples", planned.len()));
    let (measured, failures) = schedule::run(
        &settings,
        &planned,
        |cell, contestant| progress.at(&format!("{} · {}", cell.label(), contestant.name)),
        |cell| progress.done(&cases::label(&cell.case, &cell.parameters)),
    );
    progress.end();
    machine::drift(&mut facts, "after");

    let mut result = Run { schema: SCHEMA, machine: facts, cells: measured, missing, counted, ..Run::default() };
    result.versions = versions(&contestants);
    let mut setting = |name: &str, value| result.settings.insert(name.to_owned(), value);
    setting("mode", if cli.quick { "quick" } else { "full" }.into());
    setting("seed", cli.seed.into());
    setting("rounds", settings.rounds.into());
    setting("planned_s", expected.round().into());
    setting("actual_s", start.elapsed().as_secs_f64().round().into());
    setting("of_which_building_s", (built - start).as_secs_f64().round().into());
    report(&result, json, cli)?;
    if failures.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("error: what should have happened did not:");
    failures.iter().for_each(|failure| eprintln!("  {failure}"));
    Ok(ExitCode::FAILURE)
}

fn plan<'a>(cell: cases::Cell, contestants: &'a [Contestant]) -> Planned<'a> {
    let ask = Ask {
        case: cell.case.id.to_owned(),
        parameters: cell.parameters.clone(),
        ..read(r#"{"peer":"","case":"","parameters":{},"warm_ms":0,"window_ms":0}"#).expect("a request")
    };
    Planned { cell, contestants: contestants.iter().filter(|contestant| contestant.takes_part(&ask)).collect() }
}

fn versions(contestants: &[Contestant]) -> indexmap::IndexMap<String, String> {
    let versions = contestants.iter().filter(|contestant| !contestant.version.is_empty());
    let mut versions: indexmap::IndexMap<_, _> =
        versions.map(|contestant| (contestant.name.clone(), contestant.version.clone())).collect();
    versions.insert("rustc".to_owned(), machine::rustc_version());
    versions
}

/// Tables to the standard output, then the files.
fn report(run: &Run, json: Option<File>, cli: &Cli) -> Result<()> {
    let text = format!("{}\n{}", report::facts(run), report::run(run));
    let mut output = std::io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        written => written.context("the tables cannot be written")?,
    }
    if let (Some(file), Some(path)) = (json, &cli.json) {
        let cannot = || format!("{} cannot be written", path.display());
        let mut file = BufWriter::new(file);
        serde_json::to_writer_pretty(&mut file, run).with_context(cannot)?;
        file.write_all(b"\n").and_then(|()| file.flush()).with_context(cannot)?;
    }
    if let Some(folder) = &cli.svg {
        for path in
            plots::write(run, folder).with_context(|| format!("plots cannot be written to {}", folder.display()))?
        {
            eprintln!("wrote {}", path.display());
        }
    }
    Ok(())
}

fn list(cells: &[cases::Cell], here: &[peers::Peer]) {
    println!("cases:");
    let mut last = "";
    for cell in cells {
        if cell.case.id != last {
            println!("  {:6} {}", cell.case.id, cell.case.title);
            last = cell.case.id;
        }
        if !cell.parameters.is_empty() {
            println!("           {}", cell.label());
        }
    }
    println!("peers in this process:");
    for peer in here {
        let kind = format!("{:?}", peer.entry.kind).to_lowercase();
        println!("  {:26} {kind:10} {}", peer.entry.name, peer.entry.version);
    }
    println!("peers that are programs:");
    programs::names().for_each(|name| println!("  {name}"));
}

/// Says how far it is, on the standard error: a bar on a terminal, elsewhere a line for each cell.
struct Progress {
    bar: Option<ProgressBar>,
    start: Instant,
}

impl Progress {
    fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{elapsed_precise} {bar:30} {pos}/{len} {wide_msg}");
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, start: Instant::now() }
    }

    fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => eprintln!("{:6.1} s  {text}", self.start.elapsed().as_secs_f64()),
        }
    }

    fn begin(&self, samples: usize, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_length(samples as u64);
        }
        self.say(text);
    }

    fn at(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(text.to_owned());
            bar.inc(1);
        }
    }

    fn done(&self, text: &str) {
        if self.bar.is_none() {
            self.say(text);
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
