//! The machine, looked at.
