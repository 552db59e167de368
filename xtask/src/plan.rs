//! Which stages there are, in which order, and which of them a run takes.
//!
//! The order is the order of what they cost: a mistake in the form shows within seconds.

use crate::job::{Failure, Job, Outcome};
use crate::stages::{
    bench, contract, docs, features, house, lints, miri, models, msrv, no_std, readme, sanitizer, soak, tokio_suite,
};

/// A list of stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suite {
    /// Everything that must pass.
    Test,
    /// What takes longer.
    Soak,
    /// Miri, which only a nightly toolchain has.
    Miri,
}

/// A stage of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stage {
    /// As `--only` takes it; also the name of its log.
    pub(crate) name: &'static str,
    /// What holds when it passes.
    pub(crate) about: &'static str,
    /// Does it.
    pub(crate) run: fn(&mut Job<'_>) -> Result<Outcome, Failure>,
}

const fn stage(name: &'static str, about: &'static str, run: fn(&mut Job<'_>) -> Result<Outcome, Failure>) -> Stage {
    Stage { name, about, run }
}

static TEST: &[Stage] = &[
    stage("fmt", "the code is formatted", lints::fmt),
    stage("house", "the house rules hold", house::check),
    stage("clippy", "no lint in the workspace, nor in the library as the model checkers build it", lints::clippy),
    stage("features", "the library compiles without a warning with each feature alone, none, and all", features::check),
    stage("no-std", "the library needs neither std nor, without `alloc`, an allocator", no_std::check),
    stage("msrv", "the library compiles with the oldest compiler that it promises", msrv::check),
    stage("test", "unit and contract tests of the workspace, all features", contract::workspace),
    stage("test-plain", "tests of the library without its optional features", contract::plain),
    stage("doctest", "the examples in the documentation run", docs::examples),
    stage("docs", "the documentation builds without a warning", docs::build),
    stage("readme", "the commands on the front page run as printed, and its code compiles", readme::check),
    stage("loom", "the models, every interleaving with at most two preemptions", models::loom),
    stage("shuttle", "the larger models, random and PCT schedules", models::shuttle),
    stage("tokio-suite", "Tokio's own semaphore tests, with our paths", tokio_suite::check),
    stage("bench", "the benchmark suite has no lint, and each case runs with each peer", bench::check),
];

static SOAK: &[Stage] = &[
    stage("soak-load", "the ignored tests: random load for as long as asked", soak::load),
    stage("soak-scripts", "many more random scripts against the sequential semaphore", soak::scripts),
    stage("soak-loom", "the models without a bound on preemptions, for as long as asked", soak::loom),
    stage("soak-shuttle", "the larger models with many more schedules", soak::shuttle),
    stage(
        "asan",
        "words and waiters that are freed at once, a million times under the address sanitizer, where a nightly is",
        sanitizer::address,
    ),
    stage(
        "tsan",
        "the library's tests under the thread sanitizer, where a nightly with its source is",
        sanitizer::thread,
    ),
];

static MIRI: &[Stage] = &[stage("miri", "the library's unit tests under Miri with strict provenance", miri::check)];

impl Suite {
    /// Its stages, in order.
    pub(crate) fn stages(self) -> &'static [Stage] {
        match self {
            Suite::Test => TEST,
            Suite::Soak => SOAK,
            Suite::Miri => MIRI,
        }
    }

    /// The command that runs it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Suite::Test => "test",
            Suite::Soak => "soak",
            Suite::Miri => "miri",
        }
    }
}

/// The stages of `suite` that are named in `only`, in the suite's order; all of them if none is named.
pub(crate) fn chosen(suite: Suite, only: &[String]) -> Result<Vec<&'static Stage>, String> {
    for name in only {
        if suite.stages().iter().any(|stage| stage.name == name) {
            continue;
        }
        let elsewhere =
            [Suite::Test, Suite::Soak].into_iter().find(|suite| suite.stages().iter().any(|stage| stage.name == name));
        return Err(match elsewhere {
            Some(other) => format!("`{name}` is a stage of `cargo xtask {}`", other.name()),
            None => format!("no stage `{name}`: see `cargo xtask {} --list`", suite.name()),
        });
    }
    let taken = |stage: &&Stage| only.is_empty() || only.iter().any(|name| name == stage.name);
    Ok(suite.stages().iter().filter(taken).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(only: &[&str]) -> Result<Vec<&'static str>, String> {
        let only: Vec<String> = only.iter().map(ToString::to_string).collect();
        Ok(chosen(Suite::Test, &only)?.iter().map(|stage| stage.name).collect())
    }

    #[test]
    fn all_stages_unless_some_are_named() {
        assert_eq!(names(&[]).map(|names| names.len()), Ok(TEST.len()));
    }

    #[test]
    fn named_stages_run_in_the_order_of_the_suite() {
        assert_eq!(names(&["loom", "fmt"]), Ok(vec!["fmt", "loom"]));
    }

    #[test]
    fn a_wrong_name_says_where_to_look() {
        assert!(names(&["lom"]).is_err_and(|e| e.contains("--list")));
        assert!(names(&["tsan"]).is_err_and(|e| e.contains("cargo xtask soak")));
    }

    #[test]
    fn no_two_stages_share_a_log() {
        let all = TEST.iter().chain(SOAK).chain(MIRI);
        let mut names: Vec<_> = all.map(|stage| stage.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
