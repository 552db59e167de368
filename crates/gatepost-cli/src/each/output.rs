//! What the user sees: the jobs' output, one job at a time, and our own lines between them.
//!
//! Whoever finishes a job prints it, under one lock, so blocks never mix. A job keeps its permits until then: a reader
//! that is slower than the jobs slows the starting of jobs, and finished output does not pile up. With `--keep-order`
//! blocks wait here for their turn, as many as the gate's window lets through.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gatepost::SemaphorePermit;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use super::alarm;
use super::capture::{Capture, Stream};
use super::progress::Progress;
use super::tally::Counts;

/// Standard output and standard error of the run.
#[derive(Debug)]
pub(crate) struct Output<'gate> {
    progress: Progress,
    keep_order: bool,
    printer: Mutex<Printer<'gate>>,
}

#[derive(Debug)]
struct Printer<'gate> {
    sinks: [File; 2],
    /// The number of the job whose turn it is. Without `--keep-order` it is always anybody's.
    next: u64,
    /// Finished out of turn.
    waiting: BTreeMap<u64, Block<'gate>>,
    /// Set by the first failure to write; all later output is dropped.
    broken: bool,
}

/// What is printed for one job, in one piece.
#[derive(Debug)]
pub(crate) struct Block<'gate> {
    /// The number of the job.
    pub(crate) number: u64,
    /// What it wrote.
    pub(crate) capture: Capture,
    /// What we have to say about it.
    pub(crate) note: Option<String>,
    /// Its place in the gate's window, given back when it is printed.
    pub(crate) place: Option<SemaphorePermit<'gate>>,
}

impl<'gate> Output<'gate> {
    /// Standard output and standard error, with `progress` beneath.
    pub(crate) fn new(keep_order: bool, progress: Progress) -> io::Result<Self> {
        // The library's own handles would look for line ends in every block.
        let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        let printer = Printer { sinks: [stdout, stderr], next: 1, waiting: BTreeMap::new(), broken: false };
        Ok(Self { progress, keep_order, printer: Mutex::new(printer) })
    }

    /// Prints `block`, or keeps it until its turn. An error is told once, to whoever meets it.
    pub(crate) fn finish(&self, block: Block<'gate>) -> io::Result<()> {
        let mut printer = self.lock();
        if !self.keep_order {
            return self.print(&mut printer, block);
        }
        printer.waiting.insert(block.number, block);
        while let Some(block) = printer.take_turn() {
            self.print(&mut printer, block)?;
        }
        Ok(())
    }

    fn print(&self, printer: &mut Printer<'gate>, block: Block<'gate>) -> io::Result<()> {
        if printer.broken || block.is_empty() {
            return Ok(());
        }
        let result = self.progress.aside(|| printer.print(block));
        printer.broken = result.is_err();
        result
    }

    /// Prints a line of our own to standard error, between the blocks of jobs.
    pub(crate) fn say(&self, line: &str) {
        let printer = self.lock();
        self.progress.aside(|| {
            // There is nowhere to complain that complaints cannot be written.
            let _ = write_all(&printer.sinks[Stream::Err as usize], format!("gatepost: {line}\n").as_bytes());
        });
    }

    /// Prints a line of our own if that is possible at once, and otherwise leaves it out.
    pub(crate) fn mention(&self, line: &str) {
        let Ok(printer) = self.printer.try_lock() else {
            return;
        };
        let stderr = &printer.sinks[Stream::Err as usize];
        let mut set = [PollFd::new(stderr, PollFlags::OUT)];
        let polled = alarm::wait(&mut set, Some(Duration::ZERO));
        if polled.is_ok() && set[0].revents().contains(PollFlags::OUT) {
            self.progress.aside(|| {
                let _ = write_all(stderr, format!("gatepost: {line}\n").as_bytes());
            });
        }
    }

    /// Shows progress.
    pub(crate) fn show_progress(&self, counts: &Counts) {
        if let Some(line) = self.progress.show(counts) {
            self.say(&line);
        }
    }

    /// Shows the last state of the progress and clears the display.
    pub(crate) fn close_progress(&self, counts: &Counts) {
        if let Some(line) = self.progress.close(counts) {
            self.say(&line);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Printer<'gate>> {
        self.printer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'gate> Printer<'gate> {
    /// The block whose turn it is, if it is here.
    fn take_turn(&mut self) -> Option<Block<'gate>> {
        let block = self.waiting.remove(&self.next)?;
        self.next += 1;
        Some(block)
    }

    fn print(&self, mut block: Block<'gate>) -> io::Result<()> {
        for stream in Stream::BOTH {
            let sink = &self.sinks[stream as usize];
            block.capture.replay(stream, |piece| write_all(sink, piece))?;
        }
        if let Some(note) = &block.note {
            let _ = write_all(&self.sinks[Stream::Err as usize], format!("gatepost: {note}\n").as_bytes());
        }
        drop(block.place);
        Ok(())
    }
}

impl Block<'_> {
    fn is_empty(&self) -> bool {
        self.capture.is_empty() && self.note.is_none()
    }
}

/// Writes all of `bytes`, also where somebody has made the descriptor non-blocking, which is shared with strangers.
fn write_all(sink: &File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(sink, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => alarm::wait(&mut [PollFd::new(sink, PollFlags::OUT)], None)?,
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}
