//! The monotonic clock: in microseconds, for patience that is counted in milliseconds, and in nanoseconds, for profiles.
//!
//! In the library's own tests it is a virtual one, of each thread: it stands still but for [`advance`] and its like.

#[cfg(not(test))]
pub(crate) use real::micros;
#[cfg(all(not(test), feature = "profile"))]
pub(crate) use real::nanos;
#[cfg(test)]
#[allow(unused_imports)]
pub(crate) use tested::{advance, micros};
#[cfg(all(test, feature = "profile"))]
pub(crate) use tested::{advance_nanos, nanos, readings};

#[cfg(not(test))]
mod real {
    use std::sync::OnceLock;
    use std::time::{Duration, Instant};

    /// Since one of these was first called.
    fn elapsed() -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }

    /// Microseconds, modulo 2^32 (71 minutes): differences are what counts.
    pub(crate) fn micros() -> u32 {
        #[allow(clippy::cast_possible_truncation)] // modulo 2^32
        let micros = elapsed().as_micros() as u32;
        micros
    }

    /// Nanoseconds; never 0, which can stand for "not yet".
    #[cfg(feature = "profile")]
    pub(crate) fn nanos() -> u64 {
        #[allow(clippy::cast_possible_truncation)] // 584 years
        let nanos = elapsed().as_nanos() as u64;
        nanos + 1
    }
}

#[cfg(test)]
mod tested {
    use std::cell::Cell;

    std::thread_local! {
        /// In nanoseconds.
        static NOW: Cell<u64> = const { Cell::new(0) };
    }

    /// This thread's time, in microseconds.
    pub(crate) fn micros() -> u32 {
        #[allow(clippy::cast_possible_truncation)] // modulo 2^32
        let micros = (NOW.with(Cell::get) / 1000) as u32;
        micros
    }

    /// Lets time pass for this thread.
    pub(crate) fn advance(micros: u32) {
        NOW.with(|now| now.set(now.get().wrapping_add(u64::from(micros) * 1000)));
    }

    #[cfg(feature = "profile")]
    pub(crate) use in_nanos::{advance_nanos, nanos, readings};

    #[cfg(feature = "profile")]
    mod in_nanos {
        use super::{Cell, NOW};

        std::thread_local! {
            static READINGS: Cell<u64> = const { Cell::new(0) };
        }

        /// This thread's time, in nanoseconds; never 0.
        pub(crate) fn nanos() -> u64 {
            READINGS.with(|readings| readings.set(readings.get() + 1));
            NOW.with(Cell::get) + 1
        }

        /// Lets time pass for this thread.
        pub(crate) fn advance_nanos(nanos: u64) {
            NOW.with(|now| now.set(now.get() + nanos));
        }

        /// How often [`nanos`] has been called in this thread.
        pub(crate) fn readings() -> u64 {
            READINGS.with(Cell::get)
        }
    }
}
