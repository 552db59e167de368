//! The documentation: its examples run, and it builds without a warning.

use crate::job::{Failure, Job, Outcome};
use crate::project::{LIBRARY, SHARED, cargo};

/// The examples in the documentation run.
pub(crate) fn examples(job: &mut Job<'_>) -> Result<Outcome, Failure> {
    job.tests(&cargo().args(["test", "--doc", "--all-features", "-p", LIBRARY, "-p", SHARED]))?;
    Ok(Outcome::Passed)
}

/// The documentation builds without a warning: of the programs, then of the library as its users see it, since the
/// program `gatepost` has the library's name and would leave its own pages in the same place.
pub(crate) fn build(job: &mut Job<'_>) -> Result<Outcome, Failure> {
    job.run_all(["xtask", "gatepost-cli", SHARED, LIBRARY].map(|package| {
        cargo().args(["doc", "--no-deps", "--all-features", "-p", package]).env("RUSTDOCFLAGS", "-Dwarnings")
    }))?;
    Ok(Outcome::Passed)
}
