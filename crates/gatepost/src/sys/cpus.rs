//! How many processors this process may use: what decides whether a thread that waits may spin.

/// The number of processors, at least 1; read once. Under a model checker 1, so that nothing spins.
pub(crate) fn count() -> usize {
    #[cfg(all(test, any(loom, shuttle)))]
    return 1;
    #[cfg(not(all(test, any(loom, shuttle))))]
    {
        use std::sync::OnceLock;
        static COUNT: OnceLock<usize> = OnceLock::new();
        // An unknown number is taken for one: not to spin costs time, to spin on one processor costs progress.
        *COUNT.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
    }
}
