//! The priority inversion that reset Mars Pathfinder, with and without inheritance, on a simulated machine.
//!
//! ```sh
//! cargo run --release --example priority_inversion
//! cargo run --release --example priority_inversion -- --svg inversion.svg
//! ```
//! A weather task of low priority holds the mutex of a bus, and the bus manager, of high priority, waits for it. Then comes a
//! long task of medium priority, which needs no bus. It displaces the weather task, which so cannot give the mutex up: the most
//! urgent task waits for one that has nothing to do with it. A watchdog sees that it is late, and resets the spacecraft.

use gatepost::kernel::Deadline;
use gatepost::kernel::simulated::{MILLISECOND as MS, Simulation, ThreadId, Trace, write_svg};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "usage: cargo run --release --example priority_inversion [-- --svg FILE]";

/// How long the weather task holds the bus; when the bus manager asks for it; by when it has to be done.
const SECTION: u64 = 4 * MS;
const ASKS: u64 = MS;
const DEADLINE: u64 = 12 * MS;

/// The machine, and the thread of the bus manager. `work` is how long the task of medium priority runs.
fn pathfinder(work: u64) -> (Simulation, ThreadId) {
    let mut machine = Simulation::new();
    let bus = machine.mutex("bus");
    let done = machine.semaphore("done", 0);
    let watchdog = machine.thread("watchdog", 20);
    let high = machine.thread("bus manager", 10);
    let medium = machine.thread("comms", 5);
    let low = machine.thread("weather", 1);
    machine
        .script(watchdog)
        .sleep(DEADLINE)
        .mark("deadline")
        .wait_within(done, Deadline::PASSED)
        .mark_if_failed("reset!");
    machine.script(high).sleep(ASKS).lock(bus).run(2 * MS).unlock(bus).post(done);
    machine.script(medium).sleep(2 * MS).run(work);
    machine.script(low).lock(bus).run(SECTION).unlock(bus).run(2 * MS);
    (machine, high)
}

/// One run, described and drawn.
fn show(to: &mut impl Write, caption: &str, trace: &Trace) -> io::Result<()> {
    writeln!(to, "{caption}\n")?;
    trace.write_timeline(to)?;
    writeln!(to)
}

/// How the longest delay of the bus manager depends on what the task of medium priority has to do.
fn bounds(to: &mut impl Write) -> io::Result<()> {
    writeln!(to, "How long the bus manager waits for the bus, in ms:\n")?;
    writeln!(to, "  comms runs for   with inheritance   without")?;
    for work in [0, 5, 12, 50, 500] {
        let (mut machine, high) = pathfinder(work * MS);
        let with = machine.run().delays(high).lock / MS;
        let without = machine.inheritance(false).run().delays(high).lock / MS;
        writeln!(to, "  {work:>14}   {with:>16}   {without:>7}")?;
    }
    let left = (SECTION - ASKS) / MS;
    writeln!(to, "\nWith inheritance the bound is the rest of the critical section, {left} ms, whatever others do.")
}

fn run(svg: Option<&Path>) -> io::Result<()> {
    let (mut machine, high) = pathfinder(12 * MS);
    let with = machine.run();
    let without = machine.inheritance(false).run();
    let caption = |how: &str, trace: &Trace| {
        let waits = trace.delays(high).lock / MS;
        let ending =
            if trace.marks().any(|(_, _, label)| label == "reset!") { "and is late" } else { "and is in time" };
        format!("{how} inheritance: the bus manager waits {waits} ms for the bus, {ending}")
    };
    let captions = [caption("Without", &without), caption("With", &with)];

    let mut out = io::stdout().lock();
    show(&mut out, &captions[0], &without)?;
    show(&mut out, &captions[1], &with)?;
    bounds(&mut out)?;
    if let Some(path) = svg {
        let mut file = BufWriter::new(File::create(path)?);
        write_svg(&mut file, "Priority inversion", &[(&captions[0], &without), (&captions[1], &with)])?;
        file.flush()?;
        writeln!(out, "\nThe picture of both is in {}.", path.display())?;
    }
    out.flush()
}

/// The file for the picture, if one is wanted.
fn arguments() -> Result<Option<PathBuf>, String> {
    let mut arguments = std::env::args_os().skip(1);
    let Some(first) = arguments.next() else { return Ok(None) };
    if first != "--svg" {
        return Err(format!("there is no argument {:?}", first.to_string_lossy()));
    }
    let file = arguments.next().ok_or("--svg needs the name of a file to write")?;
    match arguments.next() {
        None => Ok(Some(file.into())),
        Some(more) => Err(format!("after the file's name comes nothing more, and not {:?}", more.to_string_lossy())),
    }
}

fn main() -> ExitCode {
    let svg = match arguments() {
        Ok(svg) => svg,
        Err(wrong) => {
            eprintln!("error: {wrong}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(svg.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS, // whoever read has seen enough
        Err(error) => {
            let what = svg.as_deref().map_or("the output".into(), |path| path.display().to_string());
            eprintln!("error: cannot write {what}: {error}");
            ExitCode::FAILURE
        }
    }
}
