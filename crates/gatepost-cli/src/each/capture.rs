//! What a job has written: in memory up to a bound, beyond it in an unlinked temporary file.
//!
//! The bound is for both streams of a job together, so that a run with limit N holds at most N times as much. The file
//! has no name, so nothing is left behind however the run ends.

use std::fs::File;
use std::io::{self, Read, Seek, Write};

/// The most that one job keeps in memory, in bytes.
pub(crate) const IN_MEMORY: usize = 1 << 20;

/// One of the two streams of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Stream {
    /// Both, in the order in which they are printed.
    pub(crate) const BOTH: [Self; 2] = [Self::Out, Self::Err];
}

/// The output of one job.
#[derive(Debug, Default)]
pub(crate) struct Capture {
    streams: [Kept; 2],
}

#[derive(Debug, Default)]
struct Kept {
    memory: Vec<u8>,
    /// Where everything is once it was too much, and `memory` is empty.
    file: Option<File>,
}

impl Capture {
    /// Keeps `bytes`, which came from `stream`.
    pub(crate) fn keep(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        let held: usize = self.streams.iter().map(|kept| kept.memory.len()).sum();
        let kept = &mut self.streams[stream as usize];
        if let Some(file) = &mut kept.file {
            return file.write_all(bytes);
        }
        if held + bytes.len() > IN_MEMORY {
            let mut file = tempfile::tempfile()?;
            file.write_all(&std::mem::take(&mut kept.memory))?;
            file.write_all(bytes)?;
            kept.file = Some(file);
        } else {
            kept.memory.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// Whether nothing was written.
    pub(crate) fn is_empty(&self) -> bool {
        self.streams.iter().all(|kept| kept.memory.is_empty() && kept.file.is_none())
    }

    /// Hands everything of `stream` to `write`, piece by piece.
    pub(crate) fn replay(&mut self, stream: Stream, mut write: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let kept = &mut self.streams[stream as usize];
        let Some(file) = &mut kept.file else {
            return if kept.memory.is_empty() { Ok(()) } else { write(&kept.memory) };
        };
        file.rewind()?;
        let mut piece = vec![0; 64 << 10];
        loop {
            match file.read(&mut piece)? {
                0 => return Ok(()),
                length => write(&piece[..length])?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(capture: &mut Capture, stream: Stream) -> Vec<u8> {
        let mut all = Vec::new();
        let result = capture.replay(stream, |piece| {
            all.extend_from_slice(piece);
            Ok(())
        });
        result.expect("replayed");
        all
    }

    #[test]
    fn little_stays_in_memory() {
        let mut capture = Capture::default();
        capture.keep(Stream::Out, b"one ").unwrap();
        capture.keep(Stream::Err, b"oops").unwrap();
        capture.keep(Stream::Out, &vec![b'x'; IN_MEMORY - 8]).unwrap();
        assert!(capture.streams.iter().all(|kept| kept.file.is_none()));
        assert_eq!(text(&mut capture, Stream::Err), b"oops");
        assert_eq!(text(&mut capture, Stream::Out).len(), IN_MEMORY - 4);
    }

    #[test]
    fn one_byte_over_the_bound_moves_a_stream_to_a_file_and_nothing_is_lost() {
        let mut capture = Capture::default();
        capture.keep(Stream::Err, b"oops").unwrap();
        capture.keep(Stream::Out, &vec![b'x'; IN_MEMORY - 4]).unwrap();
        capture.keep(Stream::Out, b"y").unwrap();
        capture.keep(Stream::Out, b"z").unwrap();
        let [out, err] = &capture.streams;
        assert!(out.file.is_some() && out.memory.capacity() == 0 && err.file.is_none());
        let all = text(&mut capture, Stream::Out);
        assert_eq!((all.len(), &all[IN_MEMORY - 5..]), (IN_MEMORY - 2, &b"xyz"[..]));
    }

    #[test]
    fn the_bound_is_for_both_streams_together() {
        let mut capture = Capture::default();
        capture.keep(Stream::Out, &vec![b'o'; IN_MEMORY]).unwrap();
        capture.keep(Stream::Err, b"e").unwrap();
        assert!(capture.streams[1].file.is_some());
        assert_eq!(text(&mut capture, Stream::Err), b"e");
    }

    #[test]
    fn nothing_written_is_nothing_replayed() {
        Capture::default().replay(Stream::Out, |_| panic!("there is nothing")).unwrap();
    }
}
