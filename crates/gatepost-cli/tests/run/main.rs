//! `gatepost run` and the commands about a semaphore of the machine, from the outside: run as a shell runs them.
//!
//! Nothing here sleeps to let something happen. What a command is doing it says through a named pipe, and it waits at another
//! (`stage::Stage`); what a semaphore is doing is seen in the semaphore, whose changes can be waited for.

#![cfg(target_os = "linux")]

mod acts;
mod command;
mod doctor;
mod each;
mod jobserver;
mod killed;
mod lease;
mod program;
mod signals;
mod stage;
mod status;
mod terminal;
mod waiting;
