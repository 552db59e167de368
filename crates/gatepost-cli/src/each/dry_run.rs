//! `--dry-run`: the commands as a shell would take them, and nothing is started.
//!
//! Items are read, weighed and filled in as in earnest, so whatever is wrong with them is found.

use std::io::{self, BufWriter, IsTerminal, LineWriter, Write};
use std::os::unix::ffi::OsStrExt;

use super::Options;
use super::alarm::Alarm;
use crate::error::Error;
use crate::exit;

/// Prints the command of each item, one a line.
pub(crate) fn run(options: &Options) -> Result<u8, Error> {
    let never = Alarm::new().map_err(|source| Error::SetUp { source })?;
    let stdout = io::stdout();
    let terminal = stdout.is_terminal();
    let mut sink: Box<dyn Write> = if terminal {
        Box::new(LineWriter::new(stdout.lock()))
    } else {
        Box::new(BufWriter::with_capacity(64 << 10, stdout.lock()))
    };
    for item in options.items.open(&never)? {
        let item = item?;
        options.weights.of(&item)?;
        let arguments = options.template.render(&item)?;
        let words = arguments.iter().map(|argument| argument.as_bytes());
        let mut line = shlex::bytes::try_join(words).expect("items and arguments hold no NUL byte");
        line.push(b'\n');
        if let Err(source) = sink.write_all(&line) {
            return failed(source);
        }
    }
    sink.flush().map_or_else(failed, |()| Ok(exit::SUCCESS))
}

fn failed(source: io::Error) -> Result<u8, Error> {
    match source.kind() {
        io::ErrorKind::BrokenPipe => Ok(exit::of_signal(signal_hook::consts::SIGPIPE)),
        _ => Err(Error::Output { source }),
    }
}
