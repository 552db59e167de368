//! The library's own tests of the notify list.
