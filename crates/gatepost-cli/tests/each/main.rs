//! `gatepost each` from the outside: the program is run as a shell runs it.
//!
//! Nothing here sleeps to let something happen. Where a test must know that a job is at a certain point, the job says
//! so through a named pipe and waits at another (`stage::Stage`); where it must know that the program is, it watches
//! what the program does to its pipes.

mod halting;
mod input;
mod jobs;
mod limit;
mod million;
mod order;
mod output;
mod program;
mod records;
mod signals;
mod stage;
mod starting;
mod status;
mod terminal;
mod weights;
