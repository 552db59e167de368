//! One file for each stage, or for each family of them.

pub(crate) mod bench;
pub(crate) mod contract;
pub(crate) mod docs;
pub(crate) mod features;
pub(crate) mod house;
pub(crate) mod lints;
pub(crate) mod miri;
pub(crate) mod models;
pub(crate) mod msrv;
pub(crate) mod no_std;
pub(crate) mod readme;
pub(crate) mod sanitizer;
pub(crate) mod soak;

pub(crate) mod tokio_suite;
