//! Signals to us: the first is passed on, the second kills, the third leaves at once.
//!
//! Jobs have process groups of their own, so Ctrl-C at the terminal reaches only us; without this room they would
//! never hear of it.

use std::io;

use rustix::process::Signal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use super::gate::{Farewell, Gate, Reason};
use crate::exit;

/// The signals that end a run.
const ENDING: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// Listens until it is told that the run is over.
#[derive(Debug)]
pub(crate) struct Listener {
    signals: Signals,
}

impl Listener {
    /// Takes the signals over from their default, which would be to end us and leave the jobs.
    pub(crate) fn new() -> io::Result<Self> {
        let ignored = ignored();
        // `nohup` and a shell's `&` ignore a signal on our behalf, and their word stands.
        let signals = Signals::new(ENDING.into_iter().filter(|signal| !ignored.contains(signal)))?;
        Ok(Self { signals })
    }

    /// What ends the listening when it is dropped, in a panic too.
    pub(crate) fn leash(&self) -> Leash {
        Leash(self.signals.handle())
    }

    /// Heeds signals until the leash is dropped. `say` tells the user what happens, and must not block: a second signal
    /// may have to free what it would wait for.
    pub(crate) fn listen(mut self, gate: &Gate, say: impl Fn(&str)) {
        for (before, signal) in self.signals.forever().enumerate() {
            match before {
                0 => {
                    gate.end_jobs(Reason::Signal(signal), Farewell { signal: named(signal), then_kill: false });
                    say("ending: no more jobs start, the running ones were told; once more kills them");
                }
                1 => gate.kill_jobs(),
                _ => std::process::exit(exit::of_signal(signal).into()),
            }
        }
    }
}

/// Ends a listener when it is dropped.
#[derive(Debug)]
pub(crate) struct Leash(Handle);

impl Drop for Leash {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn named(signal: i32) -> Signal {
    match signal {
        SIGINT => Signal::INT,
        SIGHUP => Signal::HUP,
        _ => Signal::TERM,
    }
}

/// The signals that were ignored when we were started, where the system tells.
pub(crate) fn ignored() -> Vec<i32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    (1..=64).filter(|signal| mask & (1 << (signal - 1)) != 0).collect()
}
