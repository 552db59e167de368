//! The models: loom's exhaustive exploration, shuttle's random and PCT schedules.
//!
//! The library takes its atomics from a checker only in its own test builds, so these are unit tests of the library,
//! in modules named after the checker. Each checker builds in its own folder: its flags would otherwise drive the
//! other builds out of the cache.

use crate::job::{Failure, Job, Outcome};
use crate::process::Step;
use crate::project::{LIBRARY, Project, SHARED, cargo};

/// How many schedules a shuttle model tries, where it is set.
pub(crate) const ITERATIONS: &str = "GATEPOST_SHUTTLE_ITERATIONS";

/// A model checker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checker {
    /// Every interleaving, and the memory model.
    Loom,
    /// Many schedules, sequentially consistent.
    Shuttle,
}

impl Checker {
    /// The name of its `cfg`, of its modules, and of its folder.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Checker::Loom => "loom",
            Checker::Shuttle => "shuttle",
        }
    }

    /// Cargo, building for this checker.
    pub(crate) fn cargo(self, project: &Project) -> Step {
        cargo()
            .env("RUSTFLAGS", format!("--cfg {}", self.name()))
            .env("CARGO_TARGET_DIR", project.target.join(self.name()))
            // Optimised, since a model runs millions of steps; but checked, and not linked as if it were to be shipped.
            .env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true")
            .env("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "true")
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
    }

    /// The features with which the models are built.
    pub(crate) fn features(self, step: Step) -> Step {
        step.args(["--no-default-features", "--features", "std"])
    }

    /// The command that runs its models of the library.
    pub(crate) fn models(self, project: &Project) -> Step {
        self.features(self.tests(project, LIBRARY)).arg(self.name())
    }

    /// The command that runs its models of the process scope, which has no features.
    pub(crate) fn shared_models(self, project: &Project) -> Step {
        self.tests(project, SHARED).arg(self.name())
    }

    fn tests(self, project: &Project, package: &str) -> Step {
        self.cargo(project).args(["test", "--release", "--no-fail-fast", "-p", package, "--lib"])
    }
}

/// Every interleaving with at most two preemptions. (Those of the process scope are short, and have three.)
pub(crate) fn loom(job: &mut Job<'_>) -> Result<Outcome, Failure> {
    let library = Checker::Loom.models(job.project).env("LOOM_MAX_PREEMPTIONS", "2");
    job.tests_all([library, Checker::Loom.shared_models(job.project)])?;
    Ok(Outcome::Passed)
}

/// As many schedules as the models ask for by themselves.
pub(crate) fn shuttle(job: &mut Job<'_>) -> Result<Outcome, Failure> {
    job.tests(&Checker::Shuttle.models(job.project).without_env(ITERATIONS))?;
    Ok(Outcome::Passed)
}
