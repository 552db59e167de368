//! The library needs neither std nor, without `alloc`, an allocator.
//!
//! For every installed target that has no std the library is built. For the host, which has one, that shows too little:
//! so a program without std is compiled against the library as built without `std`, linked, and run. See
//! `xtask/fixtures/no_std.rs` for what makes it fail.
//!
//! Nothing in `kernel` may assume 64-bit atomics. A target without them can be built for only if one is installed; on the host the library is
//! built, linked with the program, and the kernel's tests are run, as if it had none: that shows that no such atomic is named, and not
//! what a count of 32 bits would do.

use crate::job::{Failure, Job, Outcome};
use crate::process::Step;
use crate::project::{LIBRARY, cargo, compiler, library_file};
use std::fs;
use std::path::Path;

/// The stage.
pub(crate) fn check(job: &mut Job<'_>) -> Result<Outcome, Failure> {
    let bare = bare_targets();
    for features in ["", "alloc"] {
        for target in &bare {
            job.run(&build(job, features).args(["--target", target]))?;
        }
        let output = job.run(&build(job, features).arg("--message-format=json-render-diagnostics"))?;
        let library = library_file(&output)?;
        run_program(job, &library, features)?;
    }
    // One after the other: the flags decide over what is built, so each has its folder.
    let narrow = |step: Step| step.env("RUSTFLAGS", "--cfg gatepost_no_64_bit_atomics");
    let folder = job.project.target.join("no-64-bit-atomics");
    let built = narrow(build(job, "").arg("--message-format=json-render-diagnostics"));
    let output = job.run(&built.env("CARGO_TARGET_DIR", &folder))?;
    run_program(job, &library_file(&output)?, "")?;
    let tests = cargo().args(["test", "-p", LIBRARY, "--lib", "kernel::"]);
    job.tests(&narrow(tests).env("CARGO_TARGET_DIR", &folder))?;
    let without: Vec<_> = bare.iter().filter(|target| !has_64_bit_atomics(target)).cloned().collect();
    match without.as_slice() {
        [] => {
            job.note("not checked: a target without 64-bit atomics, as none is installed; the host as if it had none")
        }
        _ => job.note(format!("without 64-bit atomics: {}", without.join(", "))),
    }
    match bare.as_slice() {
        [] => job.note("a program without std, linked and run on the host; no target without std is installed"),
        _ => job.note(format!("a program without std, linked and run on the host; built for {}", bare.join(", "))),
    }
    Ok(Outcome::Passed)
}

fn build(job: &Job<'_>, features: &str) -> Step {
    cargo()
        .env("CARGO_TARGET_DIR", job.project.target.join("no-std"))
        .env("CARGO_PROFILE_DEV_PANIC", "abort")
        .args(["build", "-p", LIBRARY, "--lib", "--no-default-features", "--features"])
        .arg(features)
}

/// Compiles the program against `library`, links it, and runs it.
fn run_program(job: &mut Job<'_>, library: &Path, features: &str) -> Result<(), Failure> {
    let program = job.project.target.join("no-std/program");
    let mut compile = compiler()
        .arg("xtask/fixtures/no_std.rs")
        .args(["--edition", "2024", "--crate-type", "bin", "-Cpanic=abort", "-Copt-level=1", "-Clink-arg=-lc"])
        .args(["-Dwarnings", "--check-cfg", "cfg(feature, values(\"alloc\"))"])
        .arg("--extern")
        .arg(format!("{LIBRARY}={}", library.display()))
        .arg("-o")
        .arg(&program);
    if !features.is_empty() {
        compile = compile.args(["--cfg", &format!("feature=\"{features}\"")]);
    }
    job.run(&compile)?;
    job.run(&Step::new(&program))?;
    Ok(())
}

fn has_64_bit_atomics(target: &str) -> bool {
    let answer = compiler().args(["--print", "cfg", "--target", target]).answer().unwrap_or_default();
    answer.lines().any(|line| line == "target_has_atomic=\"64\"")
}

/// Installed targets that have no std.
fn bare_targets() -> Vec<String> {
    let sysroot = compiler().args(["--print", "sysroot"]).answer().unwrap_or_default();
    let targets = Path::new(sysroot.trim()).join("lib/rustlib");
    let Ok(entries) = fs::read_dir(targets) else {
        return Vec::new();
    };
    let has = |folder: &Path, library: &str| {
        fs::read_dir(folder.join("lib"))
            .is_ok_and(|files| files.flatten().any(|file| file.file_name().to_string_lossy().starts_with(library)))
    };
    let mut found: Vec<String> = entries
        .flatten()
        .filter(|entry| has(&entry.path(), "libcore-") && !has(&entry.path(), "libstd-"))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    found.sort();
    found
}
