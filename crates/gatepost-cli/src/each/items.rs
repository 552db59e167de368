//! Where the items come from: a stream that is read as jobs start, never ahead of them by more than a buffer.
//!
//! An item is any bytes; what it must not be (too long, or with a NUL inside) is told by number, so that it can be
//! found in a file of a million.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use rustix::event::{PollFd, PollFlags};

use super::alarm::{self, Alarm};
use crate::error::{Error, Named};

/// The longest item, in bytes: more than any argument list holds, so that a stream with the wrong separator ends in an
/// error and not in memory running out.
const LONGEST: usize = 16 << 20;

/// Where the items come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// The arguments after `:::`.
    Listed(Vec<OsString>),
    /// Standard input.
    StandardInput {
        /// What ends an item.
        separator: u8,
    },
    /// A file.
    File {
        /// Its path.
        path: PathBuf,
        /// What ends an item.
        separator: u8,
    },
}

/// One item, which becomes one job.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// Its number, from 1.
    pub(crate) number: u64,
    /// The item itself.
    pub(crate) text: OsString,
}

impl Item {
    /// The item as messages name it.
    pub(crate) fn named(&self) -> Named {
        Named::new(self.number, &self.text)
    }
}

/// The items of a run, in order; each may be an error, which is the last then.
pub(crate) type Items<'run> = Box<dyn Iterator<Item = Result<Item, Error>> + 'run>;

impl Source {
    /// The number of items, where it is known before they are read.
    pub(crate) fn len(&self) -> Option<u64> {
        match self {
            Self::Listed(items) => Some(items.len() as u64),
            Self::StandardInput { .. } | Self::File { .. } => None,
        }
    }

    /// Opens the source. Its items end early when `no_more` rings.
    pub(crate) fn open<'run>(&'run self, no_more: &'run Alarm) -> Result<Items<'run>, Error> {
        let (input, separator, name) = match self {
            Self::Listed(items) => {
                return Ok(Box::new((1..).zip(items).map(|(number, text)| Ok(Item { number, text: text.clone() }))));
            }
            Self::StandardInput { separator } => {
                let stdin = io::stdin();
                if stdin.is_terminal() {
                    eprintln!("gatepost: reading items from the terminal, one a line; Ctrl-D ends them");
                }
                let input = stdin.as_fd().try_clone_to_owned().map_err(|source| Error::SetUp { source })?;
                (input, *separator, "standard input".to_owned())
            }
            Self::File { path, separator } => {
                let file = File::open(path).map_err(|source| Error::OpenItems { path: path.clone(), source })?;
                (OwnedFd::from(file), *separator, format!("{path:?}"))
            }
        };
        Ok(Box::new(Stream::new(BufReader::with_capacity(64 << 10, Tap { input, no_more }), separator, name)))
    }
}

/// An input that comes to its end when the run does, even while it waits for more.
struct Tap<'run> {
    input: OwnedFd,
    no_more: &'run Alarm,
}

impl Read for Tap<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.no_more.is_rung() {
            let mut set = [PollFd::new(&self.input, PollFlags::IN), PollFd::new(self.no_more, PollFlags::IN)];
            alarm::wait(&mut set, None)?;
            if set[0].revents().is_empty() {
                continue;
            }
            match rustix::io::read(&self.input, &mut *buffer) {
                // Somebody else at the same terminal or pipe was faster.
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                result => return Ok(result?),
            }
        }
        Ok(0)
    }
}

/// Items cut from a stream of bytes.
struct Stream<R> {
    input: R,
    separator: u8,
    name: String,
    number: u64,
    ended: bool,
}

impl<R: BufRead> Stream<R> {
    fn new(input: R, separator: u8, name: String) -> Self {
        Self { input, separator, name, number: 0, ended: false }
    }

    /// Whether newlines end the items, which is when CR and empty lines are dropped.
    fn is_text(&self) -> bool {
        self.separator == b'\n'
    }

    /// The next piece between separators, or `None` at the end.
    fn piece(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let mut piece = Vec::new();
        let room = (LONGEST + 1) as u64;
        let read = self.input.by_ref().take(room).read_until(self.separator, &mut piece);
        match read {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(source) => {
                return Err(Error::ReadItems { name: self.name.clone(), source });
            }
        }
        if piece.last() == Some(&self.separator) {
            piece.pop();
        } else if piece.len() > LONGEST {
            return Err(Error::ItemTooLong { number: self.number + 1, most: LONGEST });
        }
        if self.is_text() && piece.last() == Some(&b'\r') {
            piece.pop();
        }
        Ok(Some(piece))
    }

    fn item(&mut self) -> Result<Option<Item>, Error> {
        loop {
            let Some(piece) = self.piece()? else {
                return Ok(None);
            };
            if piece.is_empty() && self.is_text() {
                continue;
            }
            self.number += 1;
            let item = Item { number: self.number, text: OsString::from_vec(piece) };
            return if item.text.as_bytes().contains(&0) {
                Err(Error::ItemHasNul { item: item.named() })
            } else {
                Ok(Some(item))
            };
        }
    }
}

impl<R: BufRead> Iterator for Stream<R> {
    type Item = Result<Item, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.item().transpose();
        self.ended = !matches!(item, Some(Ok(_)));
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(input: &[u8], separator: u8) -> Vec<Vec<u8>> {
        Stream::new(input, separator, "test".to_owned())
            .map(|item| item.expect("a good item").text.into_vec())
            .collect()
    }

    #[test]
    fn lines_end_in_newline_or_crlf_and_the_last_needs_neither() {
        assert_eq!(items(b"a\nb c\r\n \nd", b'\n'), [&b"a"[..], b"b c", b" ", b"d"]);
        assert_eq!(items(b"a\r\rb\r\r\n\r", b'\n'), [&b"a\r\rb\r"[..]]);
    }

    #[test]
    fn empty_lines_are_skipped_and_empty_nul_items_are_not() {
        assert_eq!(items(b"\n\na\n\r\n\nb\n\n", b'\n'), [b"a", b"b"]);
        assert_eq!(items(b"a\0\0b\r\n\0", 0), [&b"a"[..], b"", b"b\r\n"]);
        assert!(items(b"", b'\n').is_empty() && items(b"", 0).is_empty());
    }

    #[test]
    fn bytes_need_not_be_text() {
        assert_eq!(items(b"\xff\xfe\n\x80", b'\n'), [&b"\xff\xfe"[..], b"\x80"]);
    }

    #[test]
    fn a_nul_in_a_line_is_an_error_that_names_the_item_and_ends_the_stream() {
        let mut stream = Stream::new(&b"a\n\nb\0c\nd\n"[..], b'\n', String::new());
        assert_eq!(stream.next().unwrap().unwrap().number, 1);
        let error = stream.next().unwrap().unwrap_err().to_string();
        assert!(error.contains("item 2 (\"b\\0c\")") && error.contains("-0"), "{error}");
        assert!(stream.next().is_none());
    }

    #[test]
    fn an_endless_item_is_an_error_and_not_an_endless_buffer() {
        let mut stream = Stream::new(BufReader::new(io::repeat(b'x')), b'\n', String::new());
        let error = stream.next().unwrap().unwrap_err().to_string();
        assert!(error.contains("item 1 is longer than 16777216 bytes") && error.contains("-0"), "{error}");
        let exactly: Vec<u8> = std::iter::repeat_n(b'x', LONGEST).chain(*b"\ny").collect();
        assert_eq!(items(&exactly, b'\n').iter().map(Vec::len).collect::<Vec<_>>(), [LONGEST, 1]);
    }

    #[test]
    fn a_rung_alarm_is_the_end_of_the_input() {
        let no_more = Alarm::new().expect("a pipe");
        let (reader, _writer) = io::pipe().expect("a pipe");
        let mut tap = Tap { input: reader.into(), no_more: &no_more };
        std::thread::scope(|scope| {
            let end = scope.spawn(|| tap.read(&mut [0; 8]).expect("no error"));
            no_more.ring();
            assert_eq!(end.join().expect("no panic"), 0);
        });
    }
}
