//! `gatepost jobserver run` with real builds: make, cargo, and a ninja that speaks the protocol.
//!
//! The jobs of a build are this test program itself, run as [`stage::a_job`]: each writes when it began and when it ended
//! to one log, says its name to the test, and ends when the test lets it. So nothing here sleeps, and what the log says is
//! inside of what was: a job has its token from before its first line until after its last.
#![cfg(target_os = "linux")]

mod cargo;
mod kill;
mod odd;
mod refuse;
mod stage;
mod two;
