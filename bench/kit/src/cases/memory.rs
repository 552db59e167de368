//! C6: a million semaphores side by side. What they take is the growth of the process's resident memory, so that what a
//! semaphore keeps on the heap counts; and how long it takes to use a random one, which is a cache miss at best.

use super::nanoseconds_each;
use crate::peer::Try;
use crate::protocol::{Ask, Sample};
use crate::work::Random;
use anyhow::{Context as _, Result};
use std::hint::black_box;

/// So many.
const SEMAPHORES: usize = 1_000_000;

/// The resident memory of this process in bytes. Memory that was freed before is given back first.
#[cfg(target_os = "linux")]
fn resident() -> Result<usize> {
    // SAFETY: no arguments that are pointers; the C library's allocator is the process's.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
    let statm = std::fs::read_to_string("/proc/self/statm").context("the memory in use cannot be read")?;
    let pages: usize =
        statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).context("an odd /proc/self/statm")?;
    // SAFETY: asks for a number.
    Ok(pages * usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) })?)
}

#[cfg(not(target_os = "linux"))]
fn resident() -> Result<usize> {
    anyhow::bail!("how much memory is in use can only be asked on Linux")
}

/// Semaphores that may be borrowed for ever until this is dropped.
struct Million<S: 'static>(&'static [S]);

impl<S> Million<S> {
    fn new(make: impl FnMut(usize) -> S) -> Self {
        Self(Box::leak((0..SEMAPHORES).map(make).collect()))
    }
}

impl<S> Drop for Million<S> {
    fn drop(&mut self) {
        // SAFETY: it came from a box in `new`; the loops below keep neither a permit nor a reference longer than it lives.
        drop(unsafe { Box::from_raw(std::ptr::from_ref(self.0).cast_mut()) });
    }
}

/// C6.
pub fn million<S: Try>(ask: &Ask) -> Result<Sample> {
    let before = resident()?;
    let semaphores = Million::new(|_| S::new(1));
    let bytes = resident()?.saturating_sub(before) as f64 / SEMAPHORES as f64;
    let all: &'static [S] = semaphores.0;
    let mut random = Random::new(1);
    let ns = nanoseconds_each(ask.window(), |n| {
        for _ in 0..n {
            let permit = all[random.below(all.len())].try_one().expect("it is free");
            black_box(&permit);
            drop(permit);
        }
    });

    Ok(Sample::of("bytes", bytes).with("size_of", size_of::<S>() as f64).with("ns", ns))
}
