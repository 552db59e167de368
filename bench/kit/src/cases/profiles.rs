//! A5: what a profile costs a wait. One future joins the queue, is served, and takes its permit, again and again, polled by
//! hand on one thread: the shortest wait that there is, so that what is charged for it shows.

use super::nanoseconds_each;
use crate::peer::{Deposit, Tasks, leak};
use crate::protocol::{Ask, Sample};
use crate::waker::Tally;
use anyhow::Result;
use std::pin::pin;
use std::task::{Context, Poll};

/// What is on: nothing; every wait in one of the profiles, or in both; a sample in both (of the block profile, what adds up
/// to 10 µs, and of the mutex profile every hundredth). Without the feature there is nothing to be switched on.
pub const PROFILES: &[&str] =
    if cfg!(feature = "profile") { &["off", "block", "mutex", "both", "sampled"] } else { &["off"] };

/// A profile that is on until this is dropped.
struct On;

impl On {
    #[cfg(feature = "profile")]
    fn new(profile: &str) -> Result<Self> {
        use gatepost::profile::{block, mutex};
        let (rate, fraction) = match profile {
            "off" => (0, 0),
            "block" => (1, 0),
            "mutex" => (0, 1),
            "both" => (1, 1),
            "sampled" => (10_000, 100),
            other => anyhow::bail!("there is no profile {other:?}"),
        };
        if rate > 0 {
            block::start(rate);
        }
        if fraction > 0 {
            mutex::start(fraction);
        }
        Ok(Self)
    }

    #[cfg(not(feature = "profile"))]
    fn new(profile: &str) -> Result<Self> {
        anyhow::ensure!(profile == "off", "this build has no profiles: --features profile");
        Ok(Self)
    }
}

#[cfg(feature = "profile")]
impl Drop for On {
    fn drop(&mut self) {
        gatepost::profile::block::stop();
        gatepost::profile::mutex::stop();
    }
}

/// A5.
pub fn wait<S: Tasks + Deposit>(ask: &Ask) -> Result<Sample> {
    let _on = On::new(ask.word("profile")?)?;
    let semaphore = leak::<S>(0);
    let waker = Tally::leak().waker();
    let cx = &mut Context::from_waker(&waker);
    let ns = nanoseconds_each(ask.window(), |times| {
        for _ in 0..times {
            let mut one = pin!(semaphore.one());
            assert!(one.as_mut().poll(cx).is_pending(), "it got a permit that is not there");
            semaphore.add(1);
            let Poll::Ready(granted) = one.as_mut().poll(cx) else { panic!("it was not served") };
            S::forget(S::permit(granted));
        }
    });
    Ok(Sample::of("ns", ns))
}
