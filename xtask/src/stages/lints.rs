//! `fmt` and `clippy`.

use super::models::Checker;
use crate::job::{Failure, Job, Outcome};
use crate::project::{LIBRARY, cargo};

/// The code is formatted.
pub(crate) fn fmt(job: &mut Job<'_>) -> Result<Outcome, Failure> {
    job.run(&cargo().args(["fmt", "--all", "--check"]))?;
    Ok(Outcome::Passed)
}

/// No lint, in the workspace and in the library as the model checkers build it.
pub(crate) fn clippy(job: &mut Job<'_>) -> Result<Outcome, Failure> {
    let workspace = cargo().args(["clippy", "--workspace", "--all-targets", "--all-features"]);
    let mut steps = vec![workspace];
    for checker in [Checker::Loom, Checker::Shuttle] {
        // The profile `test` builds the library as its unit tests see it.
        let step = checker.cargo(job.project).args(["clippy", "-p", LIBRARY, "--lib"]);
        steps.push(checker.features(step).args(["--profile", "test"]));
    }
    job.run_all(steps.into_iter().map(|step| step.args(["--", "-Dwarnings"])))?;
    Ok(Outcome::Passed)
}
