//! What a stage gets to work with: commands, a log, a tally of tests, and a line to say.

use crate::cli::Request;
use crate::process::{End, Ran, Sink, Step};
use crate::project::Project;
use crate::tally::Tally;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How a stage that did not fail ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// What it checks holds.
    Passed,
    /// It could not run here, for this reason.
    Skipped(String),
}

/// Why a stage failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// What it checks does not hold.
    Broken(String),
    /// The time of the whole run was spent.
    OutOfTime,
    /// A signal asked for an end.
    Interrupted,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Broken(what) => f.write_str(what),
            Failure::OutOfTime => f.write_str("the time for the whole run was spent: ended"),
            Failure::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl From<String> for Failure {
    fn from(what: String) -> Failure {
        Failure::Broken(what)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Broken(error.to_string())
    }
}

/// One stage at work.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    /// Where things are.
    pub(crate) project: &'a Project,
    /// What was asked for.
    pub(crate) request: &'a Request,
    /// Tests counted so far.
    pub(crate) tally: Tally,
    /// Said beside the stage's result.
    pub(crate) notes: Vec<String>,
    /// Where everything that the stage prints is kept.
    pub(crate) log_path: PathBuf,
    log: File,
    deadline: Option<Instant>,
}

impl<'a> Job<'a> {
    /// A job for the stage `name`, with an empty log.
    pub(crate) fn new(
        name: &str,
        project: &'a Project,
        request: &'a Request,
        deadline: Option<Instant>,
    ) -> io::Result<Job<'a>> {
        let folder = project.target.join("xtask");
        fs::create_dir_all(&folder)?;
        let log_path = folder.join(format!("{name}.log"));
        let log = File::create(&log_path)?;
        Ok(Job { project, request, tally: Tally::default(), notes: Vec::new(), log_path, log, deadline })
    }

    /// Says something beside the stage's result.
    pub(crate) fn note(&mut self, what: impl Into<String>) {
        self.notes.push(what.into());
    }

    /// Writes a line to the log.
    pub(crate) fn say(&mut self, line: impl fmt::Display) -> io::Result<()> {
        if self.request.verbose {
            println!("{line}");
        }
        writeln!(self.log, "{line}")
    }

    /// Runs a command that must succeed, in the workspace's root.
    pub(crate) fn run(&mut self, step: &Step) -> Result<String, Failure> {
        let Ran { end, output } = self.execute(step)?;
        judged(step, end).map(|()| output)
    }

    /// Runs commands that must all succeed; the ones after a failure too, so that one run shows all that is wrong.
    pub(crate) fn run_all(&mut self, steps: impl IntoIterator<Item = Step>) -> Result<(), Failure> {
        self.all(steps, |job, step| job.run(step).map(drop))
    }

    /// Runs commands that execute tests, each as [`tests`](Self::tests) does; the ones after a failure too.
    pub(crate) fn tests_all(&mut self, steps: impl IntoIterator<Item = Step>) -> Result<(), Failure> {
        self.all(steps, |job, step| job.tests(step).map(drop))
    }

    fn all(
        &mut self,
        steps: impl IntoIterator<Item = Step>,
        run: fn(&mut Self, &Step) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut broken = Vec::new();
        for step in steps {
            match run(self, &step) {
                Ok(()) => {}
                Err(Failure::Broken(what)) => broken.push(what),
                Err(end) => return Err(end),
            }
        }
        if broken.is_empty() { Ok(()) } else { Err(Failure::Broken(broken.join("\n"))) }
    }

    /// Runs a command that executes tests: it must succeed, and at least one test must have run.
    pub(crate) fn tests(&mut self, step: &Step) -> Result<Tally, Failure> {
        let Ran { end, output } = self.execute(step)?;
        let tally = Tally::read(&output);
        self.tally += tally;
        judged(step, end)?;
        ran_some(step, tally)?;
        Ok(tally)
    }

    /// Runs a command that executes tests for at most `limit`, and then ends it: what did not fail until then passes.
    /// Returns whether it ended by itself.
    pub(crate) fn tests_within(&mut self, step: &Step, limit: Duration) -> Result<bool, Failure> {
        let Ran { end, output } = self.execute_until(step, Some(Instant::now() + limit))?;
        if end != End::OutOfTime {
            let tally = Tally::read(&output);
            self.tally += tally;
            return judged(step, end).and_then(|()| ran_some(step, tally)).map(|()| true);
        }
        let tally = Tally::read_unfinished(&output);
        self.tally += tally;
        match tally.failed {
            0 => ran_some(step, tally).map(|()| false),
            n => Err(Failure::Broken(format!("{n} failed: `{}`", step.line()))),
        }
    }

    fn execute(&mut self, step: &Step) -> Result<Ran, Failure> {
        self.execute_until(step, self.deadline)
    }

    fn execute_until(&mut self, step: &Step, deadline: Option<Instant>) -> Result<Ran, Failure> {
        // Colours would hide the lines that are read.
        let step = step.clone().env("CARGO_TERM_COLOR", "never");
        self.say(format_args!("$ {}", step.line()))?;
        let sink = Sink { log: &self.log, echo: self.request.verbose };
        step.run(&self.project.root, sink, deadline)
            .map_err(|error| Failure::Broken(format!("cannot run `{}`: {error}", step.line())))
    }
}

fn judged(step: &Step, end: End) -> Result<(), Failure> {
    match end {
        End::Exited(status) if status.success() => Ok(()),
        End::Exited(status) => Err(Failure::Broken(format!("{status}: `{}`", step.line()))),
        End::OutOfTime => Err(Failure::OutOfTime),
        End::Interrupted => Err(Failure::Interrupted),
    }
}

fn ran_some(step: &Step, tally: Tally) -> Result<(), Failure> {
    match tally.ran() {
        0 => Err(Failure::Broken(format!("no test ran: `{}`", step.line()))),
        _ => Ok(()),
    }
}
