//! A fifo with a byte for each permit, which is what make's jobserver is to its clients.

use super::must;
use anyhow::{Context as _, Result};
use gatepost_bench_kit::across::Across;
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Both ends, as in a client: with the last of them the tokens go.
pub(super) struct Tokens(File);

pub(super) struct Token<'a>(&'a Tokens, u8);

impl Drop for Token<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        (&self.0.0).write_all(&[self.1]).expect("a fifo takes a byte");
    }
}

impl Across for Tokens {
    const NAME: &'static str = "jobserver pipe";
    /// What a pipe of one page holds.
    const MOST: usize = 4096;
    type Permit<'a> = Token<'a>;

    fn create(place: &Path, permits: usize) -> Result<Self> {
        let path = CString::new(place.as_os_str().as_bytes())?;
        // SAFETY: a string that ends with a zero.
        must("mkfifo", unsafe { libc::mkfifo(path.as_ptr(), 0o600) });
        let mut tokens = Self::open(place, permits)?;
        tokens.0.write_all(&vec![b'+'; permits])?;
        Ok(tokens)
    }

    fn open(place: &Path, _permits: usize) -> Result<Self> {
        // With both ends Linux opens a fifo at once.
        let file = OpenOptions::new().read(true).write(true).open(place);
        Ok(Self(file.with_context(|| place.display().to_string())?))
    }

    #[inline(always)]
    fn acquire(&self) -> Token<'_> {
        let mut token = [0];
        (&self.0).read_exact(&mut token).expect("a fifo with both ends open has no end");
        Token(self, token[0])
    }

    /// Only for when nobody else reads: somebody could be quicker.
    fn try_acquire(&self) -> Option<Token<'_>> {
        let mut poll = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one structure, of this frame.
        let ready = must("poll", unsafe { libc::poll(&mut poll, 1, 0) });
        (ready == 1).then(|| self.acquire())
    }
}
