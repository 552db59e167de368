//! The library compiles without a warning with each feature alone, with none, and with all.

use crate::job::{Failure, Job, Outcome};
use crate::project::{LIBRARY, cargo};

/// The stage. It asks clippy, which checks as the compiler does and lets a warning fail without building anything again.
pub(crate) fn check(job: &mut Job<'_>) -> Result<Outcome, Failure> {
    let names = job.project.library()?.features.clone();
    let clippy = || cargo().args(["clippy", "-p", LIBRARY, "--lib"]);
    let mut steps = vec![clippy().arg("--no-default-features"), clippy().arg("--all-features")];
    steps.extend(names.iter().map(|name| clippy().args(["--no-default-features", "--features", name])));
    job.run_all(steps.into_iter().map(|step| step.args(["--", "-Dwarnings"])))?;
    job.note(format!("none, all, {}", names.join(", ")));
    Ok(Outcome::Passed)
}
