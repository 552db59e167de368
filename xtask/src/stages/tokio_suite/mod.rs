//! Tokio's own semaphore tests, taken from its published package, with our paths.
//!
//! The package that the lock file names is where cargo put it; its two test files become the tests of a crate in
//! `target/tokio-suite`, in which every path to one of the five types is rewritten, and nothing else. Three checks keep
//! the stage from testing Tokio by mistake: a second reading of the rewritten text ([`rewrite::leftovers`]); clippy,
//! which resolves names as the compiler does and is told that those five types are not allowed; and the count of tests.

mod rewrite;

use crate::job::{Failure, Job, Outcome};
use crate::process::Step;
use crate::project::{LIBRARY, Package, cargo};
use std::fs;
use std::io;
use std::path::Path;

const FILES: [&str; 2] = ["sync_semaphore.rs", "sync_semaphore_owned.rs"];

/// How many tests the two files have where a pointer has 64 bits.
const TESTS_ON_64_BIT: u64 = 44;

/// The stage.
pub(crate) fn check(job: &mut Job<'_>) -> Result<Outcome, Failure> {
    let tokio = job.project.package("tokio")?.clone();
    let folder = job.project.target.join("tokio-suite");
    let rewritten = generate(job, &folder, &tokio)?;
    let suite = |step: Step| {
        // The same folder as the workspace's: what both need is built once.
        step.arg("--manifest-path").arg(folder.join("Cargo.toml")).env("CARGO_TARGET_DIR", &job.project.target)
    };
    let lint =
        suite(cargo().arg("clippy")).args(["--tests", "--quiet", "--", "-Aclippy::all", "-Dclippy::disallowed_types"]);
    let test = suite(cargo().arg("test")).args(["--no-fail-fast", "--tests"]);
    job.run(&lint.env("CLIPPY_CONF_DIR", &folder))?;
    let tally = job.tests(&test)?;
    if cfg!(target_pointer_width = "64") && tally.ran() < TESTS_ON_64_BIT {
        return Err(Failure::Broken(format!("{} tests ran, not {TESTS_ON_64_BIT}", tally.ran())));
    }
    job.note(format!("tokio {}, {rewritten} paths rewritten", tokio.version));
    Ok(Outcome::Passed)
}

/// Writes the crate; returns how many paths were rewritten.
fn generate(job: &mut Job<'_>, folder: &Path, tokio: &Package) -> Result<usize, Failure> {
    fs::create_dir_all(folder.join("tests"))?;
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("src/lib.rs"), "")?;
    let library = job.project.library()?.folder.clone();
    let futures = job.project.package("futures")?.version.clone();
    let tokio_test = job.project.package("tokio-test")?.version.clone();
    fs::write(folder.join("Cargo.toml"), manifest(tokio, &library, &futures, &tokio_test))?;
    fs::write(folder.join("clippy.toml"), disallowed())?;
    // With the workspace's versions nothing has to be asked from a registry again.
    fs::copy(job.project.root.join("Cargo.lock"), folder.join("Cargo.lock"))?;
    let mut count = 0;
    for name in FILES {
        let from = tokio.folder.join("tests").join(name);
        let text = fs::read_to_string(&from)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", from.display())))?;
        let (text, paths) = rewrite::rewritten(&text).map_err(|reason| format!("{name}: {reason}"))?;
        let left = rewrite::leftovers(&text);
        if !left.is_empty() {
            return Err(Failure::Broken(format!("{name} still names Tokio's semaphore: {}", left.join("; "))));
        }
        if paths == 0 {
            return Err(Failure::Broken(format!("{name} names no semaphore: has it moved?")));
        }
        count += paths;
        job.say(format_args!("{name}: {paths} paths rewritten"))?;
        fs::write(folder.join("tests").join(name), text)?;
    }
    Ok(count)
}

fn manifest(tokio: &Package, library: &Path, futures: &str, tokio_test: &str) -> String {
    let Package { version, edition, .. } = tokio;
    format!(
        r#"# Written by `cargo xtask test --only tokio-suite`.
[package]
name = "tokio-suite"
version = "0.0.0"
edition = "{edition}"
publish = false

[workspace]

# The conditions in Tokio's files.
[features]
default = ["full", "sync"]
full = []
sync = []

[dependencies]
{LIBRARY} = {{ path = {library:?}, features = ["tokio"] }}
tokio = {{ version = "={version}", features = ["full", "test-util"] }}
tokio-test = "={tokio_test}"
futures = "={futures}"

# As in the workspace, so that what both need is built once.
[profile.test]
opt-level = 1
"#
    )
}

fn disallowed() -> String {
    let paths = rewrite::OURS.iter().map(|name| format!("    \"tokio::sync::{name}\",\n"));
    format!("disallowed-types = [\n{}]\n", paths.collect::<String>())
}
