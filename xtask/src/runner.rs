//! Runs the stages within a time budget; seconds for each, a closing table, a closing count.

use crate::cli::Request;
use crate::job::{Failure, Job, Outcome};
use crate::plan::{self, Stage};
use crate::project::Project;
use crate::tally::Tally;
use std::fs::File;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How a stage ended, and what it took.
#[derive(Debug)]
struct Report {
    name: &'static str,
    verdict: Verdict,
    took: Duration,
    tally: Tally,
    notes: Vec<String>,
}

/// The one word beside a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Ok,
    Skipped,
    Failed,
    NotRun,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Skipped => "skipped",
            Verdict::Failed => "FAILED",
            Verdict::NotRun => "not run",
        }
    }
}

/// Does what was asked.
pub(crate) fn run(request: &Request) -> Result<ExitCode, String> {
    let stages = plan::chosen(request.suite, &request.only)?;
    if request.list {
        for stage in stages {
            println!("{:<13} {}", stage.name, stage.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let project = Project::load()?;
    let began = Instant::now();
    let deadline = request.budget.map(|budget| began + budget);
    let mut reports = Vec::new();
    let mut stop = false;
    for stage in stages {
        if stop {
            reports.push(not_run(stage));
            continue;
        }
        let (report, failure) = one(stage, &project, request, deadline)?;
        stop = match failure {
            Some(Failure::OutOfTime | Failure::Interrupted) => true,
            Some(Failure::Broken(_)) => request.fail_fast,
            None => false,
        };
        reports.push(report);
    }
    print!("{}", closing(&reports, began.elapsed(), request.budget));
    let held = reports.iter().all(|report| matches!(report.verdict, Verdict::Ok | Verdict::Skipped));
    Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn not_run(stage: &Stage) -> Report {
    let nothing = Tally::default();
    Report { name: stage.name, verdict: Verdict::NotRun, took: Duration::ZERO, tally: nothing, notes: Vec::new() }
}

fn one(
    stage: &Stage,
    project: &Project,
    request: &Request,
    deadline: Option<Instant>,
) -> Result<(Report, Option<Failure>), String> {
    // Named before it starts: a run that is cut off from outside then shows where it was.
    print!("{:<13} ", stage.name);
    if request.verbose {
        println!();
    }
    let _ = io::stdout().flush();
    let began = Instant::now();
    let mut job = Job::new(stage.name, project, request, deadline)
        .map_err(|error| format!("no log for the stage {}: {error}", stage.name))?;
    let result = (stage.run)(&mut job);
    let took = began.elapsed();
    let (verdict, failure) = match result {
        Ok(Outcome::Passed) => (Verdict::Ok, None),
        Ok(Outcome::Skipped(reason)) => {
            job.note(reason);
            (Verdict::Skipped, None)
        }
        Err(failure) => (Verdict::Failed, Some(failure)),
    };
    let Job { tally, notes, log_path, .. } = job;
    let report = Report { name: stage.name, verdict, took, tally, notes };
    println!("{}", result_line(&report));
    if let Some(failure) = &failure {
        if !request.verbose {
            println!("---- {} ({})", stage.name, project.shown(&log_path));
            // The log as it is: it may hold bytes that are no text.
            let copied = File::open(&log_path).and_then(|mut log| io::copy(&mut log, &mut io::stdout()));
            copied.map_err(|error| format!("{}: {error}", log_path.display()))?;
        }
        println!("---- {} failed: {failure}\n", stage.name);
    }
    Ok((report, failure))
}

fn result_line(report: &Report) -> String {
    let mut line = format!("{:<7} {:>7.1} s", report.verdict.word(), report.took.as_secs_f64());
    if report.tally != Tally::default() {
        line += &format!("   {}", counts(report.tally));
    }
    for note in &report.notes {
        line += &format!("   {note}");
    }
    line
}

fn counts(tally: Tally) -> String {
    let mut text = format!("{} passed", tally.passed);
    if tally.failed > 0 {
        text += &format!(", {} failed", tally.failed);
    }
    if tally.ignored > 0 {
        text += &format!(", {} ignored", tally.ignored);
    }
    text
}

/// The table and, as the last line, how many tests ran over all stages.
fn closing(reports: &[Report], took: Duration, budget: Option<Duration>) -> String {
    let mut text = format!(
        "\n{:<13} {:<7} {:>9} {:>7} {:>7} {:>8}\n",
        "stage", "result", "seconds", "passed", "failed", "ignored"
    );
    let mut sum = Tally::default();
    for report in reports {
        let Tally { passed, failed, ignored } = report.tally;
        let seconds = report.took.as_secs_f64();
        let row = format!("{:<13} {:<7} {seconds:>9.1}", report.name, report.verdict.word());
        text += &row;
        if report.tally != Tally::default() {
            text += &format!(" {passed:>7} {failed:>7} {ignored:>8}");
        }
        text += "\n";
        sum += report.tally;
        // A stage that fails without a failed test (a lint, a count, a time) is one failure.
        if report.verdict == Verdict::Failed && failed == 0 {
            sum.failed += 1;
        }
    }
    let limit = budget.map_or_else(String::new, |budget| format!(" of {:.0}", budget.as_secs_f64()));
    text += &format!("{:<13} {:<7} {:>9.1}{limit}\n", "all", "", took.as_secs_f64());
    for report in reports.iter().filter(|report| !report.notes.is_empty()) {
        text += &format!("{}: {}\n", report.name, report.notes.join("; "));
    }
    text + &format!("\n{} passed, {} failed, {} skipped\n", sum.passed, sum.failed, sum.ignored)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(name: &'static str, verdict: Verdict, passed: u64, failed: u64) -> Report {
        let tally = Tally { passed, failed, ignored: 0 };
        Report { name, verdict, took: Duration::from_millis(1250), tally, notes: Vec::new() }
    }

    fn last_line(reports: &[Report]) -> String {
        let text = closing(reports, Duration::from_secs(9), Some(Duration::from_secs(60)));
        text.lines().last().unwrap_or_default().to_owned()
    }

    #[test]
    fn the_last_line_sums_all_stages() {
        let reports = [report("test", Verdict::Ok, 7, 0), report("loom", Verdict::Ok, 5, 0)];
        assert_eq!(last_line(&reports), "12 passed, 0 failed, 0 skipped");
    }

    #[test]
    fn a_run_that_failed_never_closes_on_no_failure() {
        let reports = [report("clippy", Verdict::Failed, 0, 0), report("test", Verdict::Failed, 7, 2)];
        assert_eq!(last_line(&reports), "7 passed, 3 failed, 0 skipped");
    }

    #[test]
    fn a_stage_has_its_seconds_and_its_notes() {
        let mut one = report("msrv", Verdict::Skipped, 0, 0);
        one.notes.push("no compiler".into());
        assert_eq!(result_line(&one), "skipped     1.2 s   no compiler");
    }
}
