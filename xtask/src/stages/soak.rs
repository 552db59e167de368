//! What takes longer: random load, models without a bound, many more schedules.

use super::models::{Checker, ITERATIONS};
use crate::job::{Failure, Job, Outcome};
use crate::process::Step;
use crate::project::{LIBRARY, cargo};

/// Random scripts to try.
const SCRIPTS: &str = "GATEPOST_SCRIPTS";
/// Scripts for each minute that was asked for: about what a minute takes.
const SCRIPTS_PER_MINUTE: u64 = 40_000;
/// Seconds that an ignored test works.
const SECONDS: &str = "GATEPOST_SOAK_SECS";
/// Takes the bound from the loom models.
const NO_BOUND: &str = "GATEPOST_LOOM_FULL";
/// Schedules for each minute that was asked for: about what a minute takes.
const SCHEDULES_PER_MINUTE: u64 = 60_000;

/// The ignored tests, each for as long as asked if it asks back; those of one binary side by side.
pub(crate) fn load(job: &mut Job<'_>) -> Result<Outcome, Failure> {
    let tests = cargo().args(["test", "--no-fail-fast", "--workspace", "--all-features", "--lib", "--bins", "--tests"]);
    let seconds = job.request.soak.as_secs();
    let step = tests.env(SECONDS, seconds.to_string()).args(["--", "--ignored", "--test-threads=16"]);
    job.tests(&step)?;
    job.note(format!("{seconds} s for each test that reads {SECONDS}"));
    Ok(Outcome::Passed)
}

/// Many more random scripts against the sequential semaphore.
pub(crate) fn scripts(job: &mut Job<'_>) -> Result<Outcome, Failure> {
    let scripts = minutes(job) * SCRIPTS_PER_MINUTE;
    let step = cargo().args(["test", "-p", LIBRARY, "--all-features", "--lib", "scripts"]);
    job.tests(&step.env(SCRIPTS, scripts.to_string()))?;
    job.note(format!("{scripts} scripts"));
    Ok(Outcome::Passed)
}

/// The loom models without a bound on preemptions. Each may explore for its share of the time, and all together for as
/// long as asked; a model that has not ended by then has been explored in part.
pub(crate) fn loom(job: &mut Job<'_>) -> Result<Outcome, Failure> {
    let models = Checker::Loom.models(job.project).env(NO_BOUND, "1").without_env("LOOM_MAX_PREEMPTIONS");
    let share = share(job, &models)?;
    let step = models.env("LOOM_MAX_DURATION", share.to_string());
    if !job.tests_within(&step, job.request.soak)? {
        job.note("ended when its time was spent: the models that had not ended are explored in part");
    }
    Ok(Outcome::Passed)
}

/// The shuttle models with many more schedules.
pub(crate) fn shuttle(job: &mut Job<'_>) -> Result<Outcome, Failure> {
    let iterations = minutes(job) * SCHEDULES_PER_MINUTE;
    job.tests(&Checker::Shuttle.models(job.project).env(ITERATIONS, iterations.to_string()))?;
    job.note(format!("{iterations} schedules for each"));
    Ok(Outcome::Passed)
}

fn minutes(job: &Job<'_>) -> u64 {
    (job.request.soak.as_secs() / 60).max(1)
}

/// Seconds for each model, when they run on all cores for as long as asked.
fn share(job: &mut Job<'_>, models: &Step) -> Result<u64, Failure> {
    let list = job.run(&models.clone().args(["--", "--list"]))?;
    let count: u64 = listed(&list).iter().sum();
    if count == 0 {
        return Err(Failure::Broken("there is no model".into()));
    }
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    Ok((job.request.soak.as_secs() * cores / count).max(1))
}

/// How many tests each binary lists, those without any left out.
fn listed(output: &str) -> Vec<u64> {
    // "3 tests, 0 benchmarks" closes the list of a binary.
    let count = |line: &str| line.split_once(" test")?.0.trim().parse::<u64>().ok();
    output.lines().filter(|line| line.contains(" benchmark")).filter_map(count).filter(|count| *count > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binaries_that_list_tests_are_counted() {
        let output = "\
     Running unittests src/lib.rs (target/debug/deps/gatepost-1)
0 tests, 0 benchmarks
     Running tests/soak.rs (target/debug/deps/soak-1)
random_load: test
resize: test

2 tests, 0 benchmarks
one: test

1 test, 0 benchmarks
";
        assert_eq!(listed(output), [2, 1]);
        assert_eq!(listed("0 tests, 0 benchmarks"), [0_u64; 0]);
    }
}
