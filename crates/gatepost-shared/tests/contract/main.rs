//! The contract of the public interface, method by method.

#[path = "../common/mod.rs"]
mod common;

mod acquire;
mod anonymous;
mod resize;

#[test]
fn as_child() {
    common::as_child();
}
