//! Ours: a mapped file that says who holds what.

use anyhow::{Context as _, Result};
use gatepost_bench_kit::across::Across;
use gatepost_shared::{Error, Options, Permit, Semaphore};
use std::path::Path;

pub(super) struct Shared(Semaphore);

impl Shared {
    fn with(place: &Path, options: &Options) -> Result<Self> {
        let name = place.to_str().context("a path that is text")?;
        Ok(Self(Semaphore::open(name, options)?))
    }
}

impl Across for Shared {
    const NAME: &'static str = "gatepost shared";
    /// More have no slots.
    const MOST: usize = 1024;
    type Permit<'a> = Permit;

    fn create(place: &Path, permits: usize) -> Result<Self> {
        Self::with(place, &Options::new().limit(permits as u32))
    }

    fn open(place: &Path, _permits: usize) -> Result<Self> {
        Self::with(place, &Options::new())
    }

    #[inline(always)]
    fn acquire(&self) -> Permit {
        self.0.acquire().wait().expect("a permit")
    }

    fn try_acquire(&self) -> Option<Permit> {
        match self.0.try_acquire() {
            Ok(permit) => Some(permit),
            Err(Error::Busy { .. }) => None,
            Err(error) => panic!("try_acquire: {error}"),
        }
    }
}
