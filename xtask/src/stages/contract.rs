//! Unit and contract tests, with cargo-nextest where it is installed.

use crate::cli::TestRunner;
use crate::job::{Failure, Job, Outcome};
use crate::process::Step;
use crate::project::{LIBRARY, cargo};
use std::fs;

/// A test that takes longer than five minutes hangs: nextest ends it and names it.
const NEXTEST: &str = "[profile.default]\nslow-timeout = { period = \"60s\", terminate-after = 5 }\n";

/// Everything but the documentation, which has a stage of its own, and benchmarks, which are no tests.
const ALL: [&str; 4] = ["--lib", "--bins", "--tests", "--examples"];
/// The contract tests. Those inside the library need std.
const CONTRACT: [&str; 2] = ["--test", "*"];

/// Everything in the workspace, with all features.
pub(crate) fn workspace(job: &mut Job<'_>) -> Result<Outcome, Failure> {
    let runner = runner(job)?;
    job.tests(&runner.args(["--workspace", "--all-features"]).args(ALL))?;
    Ok(Outcome::Passed)
}

/// The library as it is without optional features, and its contract as it is without `std` and without `alloc`.
pub(crate) fn plain(job: &mut Job<'_>) -> Result<Outcome, Failure> {
    let library = runner(job)?.args(["-p", LIBRARY]);
    let without = library.clone().args(CONTRACT).arg("--no-default-features");
    job.tests_all([library.args(ALL), without.clone().args(["--features", "alloc"]), without])?;
    Ok(Outcome::Passed)
}

/// The command that runs tests, without saying which.
fn runner(job: &Job<'_>) -> Result<Step, Failure> {
    let nextest = match job.request.runner {
        TestRunner::Nextest => true,
        TestRunner::Cargo => false,
        TestRunner::Auto => cargo().args(["nextest", "--version"]).answer().is_some(),
    };
    if !nextest {
        return Ok(cargo().args(["test", "--no-fail-fast"]));
    }
    let config = job.project.target.join("xtask/nextest.toml");
    fs::write(&config, NEXTEST)?;
    Ok(cargo().args(["nextest", "run", "--no-fail-fast", "--config-file"]).arg(config))
}
