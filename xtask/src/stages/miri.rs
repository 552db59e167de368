//! Miri: the library's unit tests, interpreted, with strict provenance.

use crate::job::{Failure, Job, Outcome};
use crate::process::Step;
use crate::project::LIBRARY;

/// The stage, the only one of its suite.
pub(crate) fn check(job: &mut Job<'_>) -> Result<Outcome, Failure> {
    let nightly = Step::new("rustup").args(["run", "nightly", "cargo"]).without_env("CARGO");
    if nightly.clone().args(["miri", "--version"]).answer().is_none() {
        let what = "Miri is not installed: `rustup toolchain install nightly --component miri,rust-src`";
        return Err(Failure::Broken(what.into()));
    }
    let step = nightly
        .env("MIRIFLAGS", "-Zmiri-strict-provenance -Zmiri-disable-isolation")
        .env("CARGO_TARGET_DIR", job.project.target.join("miri"))
        .args(["miri", "test", "-p", LIBRARY, "--lib"]);
    job.tests(&step)?;
    Ok(Outcome::Passed)
}
