//! The contract of the public interface, method by method.

#[path = "../common/mod.rs"]
mod common;

mod acquire;
mod anonymous;
mod asynchronous;
mod bounds;
mod cancel;
mod deadline;
mod events;
mod fairness;
mod keep;
mod open;
mod release;
mod resize;
mod slots;
mod status;

#[test]
fn as_child() {
    common::as_child();
}
