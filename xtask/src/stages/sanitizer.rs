//! The sanitizers, which only a nightly toolchain has. The thread sanitizer needs its source, too, since a standard library
//! that is not instrumented makes it report what is no race; for the address sanitizer the installed one will do.

use crate::job::{Failure, Job, Outcome};
use crate::process::Step;
use crate::project::LIBRARY;
use std::path::Path;

/// How many words the tests named `b11` make and free.
const ROUNDS: &str = "GATEPOST_DESTROY_ROUNDS";
/// As many as catalogue number B11 asks for.
const MANY: &str = "1000000";

/// A program of the nightly toolchain.
fn nightly(program: &str) -> Step {
    Step::new("rustup").args(["run", "nightly", program]).without_env("CARGO")
}

/// The nightly toolchain's host, if there is such a toolchain.
fn host() -> Result<Option<String>, Failure> {
    let Some(about) = nightly("rustc").arg("-vV").answer() else { return Ok(None) };
    match about.lines().find_map(|line| line.strip_prefix("host: ")) {
        Some(host) => Ok(Some(host.into())),
        None => Err(Failure::Broken("the nightly compiler does not say its host".into())),
    }
}

/// Words and waiters at an address, freed as soon as a permit was acquired.
pub(crate) fn address(job: &mut Job<'_>) -> Result<Outcome, Failure> {
    let Some(host) = host()? else { return Ok(Outcome::Skipped("no nightly toolchain".into())) };
    let step = nightly("cargo")
        .env("RUSTFLAGS", "-Zsanitizer=address")
        .env("CARGO_TARGET_DIR", job.project.target.join("asan"))
        .env(ROUNDS, MANY)
        .args(["test", "--target", &host, "-p", LIBRARY, "--lib", "--no-default-features", "--features", "std"])
        .arg("address::tests::destroy");
    job.tests(&step)?;
    job.note(format!("{MANY} words for each test"));
    Ok(Outcome::Passed)
}

/// The library's unit and contract tests.
pub(crate) fn thread(job: &mut Job<'_>) -> Result<Outcome, Failure> {
    let Some(host) = host()? else { return Ok(Outcome::Skipped("no nightly toolchain".into())) };
    let sysroot = nightly("rustc").args(["--print", "sysroot"]).answer().unwrap_or_default();
    if !Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/Cargo.lock").exists() {
        return Ok(Outcome::Skipped("the nightly toolchain has no rust-src".into()));
    }
    let step = nightly("cargo")
        .env("RUSTFLAGS", "-Zsanitizer=thread")
        .env("CARGO_TARGET_DIR", job.project.target.join("tsan"))
        .args(["test", "-Zbuild-std", "--target", &host, "--no-fail-fast", "-p", LIBRARY, "--lib", "--tests"]);
    job.tests(&step)?;
    Ok(Outcome::Passed)
}
