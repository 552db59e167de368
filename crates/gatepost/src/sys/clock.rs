//! The monotonic clock, in microseconds, for patience that is counted in milliseconds.
//!
//! In the library's own tests it is a virtual one, of each thread: it stands still but for [`advance`].

#[cfg(not(test))]
pub(crate) use real::micros;
#[cfg(test)]
#[allow(unused_imports)]
pub(crate) use tested::{advance, micros};

#[cfg(not(test))]
mod real {
    use std::sync::OnceLock;
    use std::time::Instant;

    /// Microseconds since this was first called, modulo 2^32 (71 minutes): differences are what counts.
    pub(crate) fn micros() -> u32 {
        static START: OnceLock<Instant> = OnceLock::new();
        #[allow(clippy::cast_possible_truncation)] // modulo 2^32
        let micros = START.get_or_init(Instant::now).elapsed().as_micros() as u32;
        micros
    }
}

#[cfg(test)]
mod tested {
    use std::cell::Cell;

    std::thread_local! {
        static NOW: Cell<u32> = const { Cell::new(0) };
    }

    /// This thread's time, in microseconds.
    pub(crate) fn micros() -> u32 {
        NOW.with(Cell::get)
    }

    /// Lets time pass for this thread.
    pub(crate) fn advance(micros: u32) {
        NOW.with(|now| now.set(now.get().wrapping_add(micros)));
    }
}
