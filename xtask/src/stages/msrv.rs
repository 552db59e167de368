//! The libraries compile with the oldest compiler that their manifests promise.
//!
//! That compiler is looked for in three places: a toolchain of rustup's, the program that `GATEPOST_MSRV_RUSTC` names,
//! and `target/msrv-toolchain/rustc`, where `.ci/msrv-compiler` puts one. Without it the stage can only rely on
//! `clippy::incompatible_msrv`, which sees the standard library's functions and not the language: it says so.

use crate::job::{Failure, Job, Outcome};
use crate::process::Step;
use crate::project::{LIBRARY, SHARED, cargo};
use std::path::PathBuf;

/// The stage.
pub(crate) fn check(job: &mut Job<'_>) -> Result<Outcome, Failure> {
    let library = job.project.library()?;
    let Some(promised) = &library.rust_version else {
        return Err(Failure::Broken("the library's manifest has no rust-version".into()));
    };
    let (build, which) = if let Some(toolchain) = toolchain(promised) {
        (Step::new("rustup").args(["run", &toolchain, "cargo"]).without_env("CARGO"), toolchain)
    } else if let Some(compiler) = compiler(job, promised) {
        (cargo().env("RUSTC", &compiler), job.project.shown(&compiler).to_string())
    } else {
        let lint = |package| {
            let step = cargo().args(["clippy", "-p", package, "--lib", "--all-features"]);
            step.args(["--", "-Dclippy::incompatible_msrv"])
        };
        job.run_all([LIBRARY, SHARED].map(lint))?;
        job.note(format!(
            "no {promised} compiler here: only clippy::incompatible_msrv, which does not see the language"
        ));
        return Ok(Outcome::Passed);
    };
    let all = library.features.join(",");
    let build = build.env("CARGO_TARGET_DIR", job.project.target.join("msrv"));
    job.run_all(["", "alloc", "std", all.as_str()].map(|features| {
        build.clone().args(["check", "-p", LIBRARY, "--lib", "--no-default-features", "--features", features])
    }))?;
    let shared = job.project.package(SHARED)?;
    if shared.rust_version.as_ref() != Some(promised) {
        return Err(Failure::Broken(format!("{SHARED} promises another compiler than {promised}")));
    }
    job.run(&build.args(["check", "-p", SHARED, "--lib", "--all-features"]))?;
    job.note(format!("{promised}: {which}"));
    Ok(Outcome::Passed)
}

/// A toolchain of rustup's that has the promised version.
fn toolchain(promised: &str) -> Option<String> {
    let list = Step::new("rustup").args(["toolchain", "list"]).answer()?;
    let name = |line: &str| line.split_whitespace().next().map(str::to_owned);
    list.lines().filter_map(name).find(|name| has_version(name.split('-').next().unwrap_or(name), promised))
}

/// A compiler outside of rustup that has the promised version.
fn compiler(job: &Job<'_>, promised: &str) -> Option<PathBuf> {
    let named = std::env::var_os("GATEPOST_MSRV_RUSTC").map(PathBuf::from);
    let fetched = job.project.root.join("target/msrv-toolchain/rustc");
    named.into_iter().chain([fetched]).find(|path| {
        let answer = Step::new(path).arg("--version").answer();
        answer.is_some_and(|text| text.split_whitespace().nth(1).is_some_and(|version| has_version(version, promised)))
    })
}

/// Is `version`, such as 1.85.1, a patch of `promised`, such as 1.85?
fn has_version(version: &str, promised: &str) -> bool {
    version.strip_prefix(promised).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_of_the_promised_version_will_do() {
        assert!(has_version("1.85", "1.85"));
        assert!(has_version("1.85.1", "1.85"));
        assert!(!has_version("1.850", "1.85"));
        assert!(!has_version("1.95.0", "1.85"));
        assert!(!has_version("stable", "1.85"));
    }
}
