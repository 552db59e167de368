//! `list`, `status`, `events`, `top` and `serve` from the outside, on real semaphores in a folder of their own.
#![cfg(target_os = "linux")]

mod browser;
mod chromium;
mod client;
mod events;
mod list;
mod schema;
mod serve;
mod status;
mod top;
mod yard;
