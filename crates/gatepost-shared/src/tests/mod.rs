//! What happens when a process dies, is stopped or is another one than it was: with the step hooks and the raw file at hand.

pub(crate) mod alone;
mod check;
mod files;
mod forked;
mod kill_points;
mod lock;
mod namespaces;
mod process;
mod single_step;
