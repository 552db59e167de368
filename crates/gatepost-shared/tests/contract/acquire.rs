//! `acquire`, `acquire_many`: how many can be asked for.
