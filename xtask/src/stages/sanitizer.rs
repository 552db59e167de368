//! The thread sanitizer. It needs a nightly toolchain with its own source, since a standard library that is not
//! instrumented makes it report what is no race.

use crate::job::{Failure, Job, Outcome};
use crate::process::Step;
use crate::project::LIBRARY;
use std::path::Path;

/// The library's unit and contract tests.
pub(crate) fn thread(job: &mut Job<'_>) -> Result<Outcome, Failure> {
    let nightly = |program: &str| Step::new("rustup").args(["run", "nightly", program]).without_env("CARGO");
    let Some(about) = nightly("rustc").arg("-vV").answer() else {
        return Ok(Outcome::Skipped("no nightly toolchain".into()));
    };
    let sysroot = nightly("rustc").args(["--print", "sysroot"]).answer().unwrap_or_default();
    if !Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/Cargo.lock").exists() {
        return Ok(Outcome::Skipped("the nightly toolchain has no rust-src".into()));
    }
    let Some(host) = about.lines().find_map(|line| line.strip_prefix("host: ")) else {
        return Err(Failure::Broken("the nightly compiler does not say its host".into()));
    };
    let step = nightly("cargo")
        .env("RUSTFLAGS", "-Zsanitizer=thread")
        .env("CARGO_TARGET_DIR", job.project.target.join("tsan"))
        .args(["test", "-Zbuild-std", "--target", host, "--no-fail-fast", "-p", LIBRARY, "--lib", "--tests"]);
    job.tests(&step)?;
    Ok(Outcome::Passed)
}
