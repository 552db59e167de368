//! What a file may say that no session of it has written: random bytes, bits that flip, and the system saying no.

#[path = "../common/mod.rs"]
mod common;

mod files;
mod fuzz;
mod places;
mod poisoned;
mod refusals;
mod repair;
mod script;
mod storm;
mod stuck;
mod words;

#[test]
fn as_child() {
    common::as_child_with(storm::command);
}
