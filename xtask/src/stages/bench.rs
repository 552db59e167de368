//! The benchmark suite under `bench/`, a workspace of its own: it is formatted, has no lint, and its own tests pass. They
//! run each case with each peer for an instant, so that a peer that changed, or a case that broke, shows here and not when
//! somebody wants a figure. Nothing is timed.

use crate::job::{Failure, Job, Outcome};
use crate::process::Step;
use crate::project::cargo;

/// The stage.
pub(crate) fn check(job: &mut Job<'_>) -> Result<Outcome, Failure> {
    let manifest = job.project.root.join("bench/Cargo.toml");
    let folder = job.project.target.join("bench");
    let suite = |step: Step| step.arg("--manifest-path").arg(&manifest).env("CARGO_TARGET_DIR", &folder);
    job.run(&suite(cargo().arg("fmt")).args(["--all", "--check"]))?;
    let lint = suite(cargo().arg("clippy")).args(["--workspace", "--all-targets", "--locked"]);
    job.run(&lint.args(["--", "-Dwarnings"]))?;
    job.tests(&suite(cargo().arg("test")).args(["--workspace", "--no-fail-fast", "--locked"]))?;
    Ok(Outcome::Passed)
}
