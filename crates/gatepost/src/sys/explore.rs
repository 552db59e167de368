//! How the model checks of this library explore their scenarios. (Tests of the checkers' builds only.)

/// Checks `scenario` with at most two preemptions in an execution, or all of it if `GATEPOST_LOOM_FULL` is set (the soak).
#[cfg(loom)]
pub(crate) fn model(scenario: impl Fn() + Send + Sync + 'static) {
    bounded(2, scenario);
}

/// Checks `scenario` with at most so many preemptions, or all of it in the soak.
#[cfg(loom)]
pub(crate) fn bounded(preemptions: usize, scenario: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    let full = std::env::var_os("GATEPOST_LOOM_FULL").is_some();
    if !full {
        builder.preemption_bound = Some(preemptions);
        // A seeded bug must be found, however long that takes on a busy machine.
        let seeded = std::env::var_os(super::mutant::VARIABLE).is_some();
        builder.max_duration = (!seeded).then_some(std::time::Duration::from_secs(20));
    }
    builder.check(scenario);
}

/// Every scenario joins its threads: loom's statics (the futex table's) are gone when its main thread ends.
#[cfg(loom)]
pub(crate) fn join(threads: std::vec::Vec<loom::thread::JoinHandle<()>>) {
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// Schedules that each scenario is checked with, by each scheduler.
#[cfg(shuttle)]
pub(crate) fn iterations() -> usize {
    std::env::var("GATEPOST_SHUTTLE_ITERATIONS").map_or(20_000, |n| n.parse().expect("a number of iterations"))
}

/// Checks `scenario` with random schedules, and with probabilistic concurrency testing of depth 3.
#[cfg(shuttle)]
pub(crate) fn explore(scenario: fn()) {
    shuttle::check_random(scenario, iterations());
    shuttle::check_pct(scenario, iterations(), 3);
}
