//! Semaphores of the machine need Linux: elsewhere nobody can ask for one, and so nobody holds any.

use std::convert::Infallible;
use std::os::fd::{AsFd, BorrowedFd};

use super::alarm::Alarm;
use crate::error::Error;

/// What cannot be asked for.
pub(crate) type Wish = Infallible;

/// None.
#[derive(Debug)]
pub(crate) enum Machine {}

/// Nothing.
#[derive(Debug)]
pub(crate) enum Held {}

/// Of nothing.
#[derive(Debug)]
pub(crate) enum Loss {}

impl Machine {
    pub(crate) fn open(wish: &Wish) -> Result<Self, Error> {
        match *wish {}
    }

    pub(crate) fn take(&self, _weight: usize, _label: &str, _no_more: &Alarm) -> Result<Option<Held>, Error> {
        match *self {}
    }
}

impl Held {
    pub(crate) fn loss(&self) -> std::io::Result<Loss> {
        match *self {}
    }
}

impl Loss {
    pub(crate) fn is_new(&mut self) -> bool {
        match *self {}
    }
}

impl AsFd for Loss {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match *self {}
    }
}
