//! The program's side of the protocol.

use crate::Entry;
use crate::protocol::{Answer, Ask, Hello, read};
use anyhow::{Context as _, Result};
use std::io::{BufRead, Write};

/// Serves `entries` until the input ends.
pub fn serve(runtime: &str, entries: &[Entry], input: impl BufRead, mut output: impl Write) -> Result<()> {
    let peers = entries.iter().map(Entry::introduced).collect();
    let hello = Hello { hello: 1, runtime: runtime.to_owned(), peers, notes: Vec::new(), absent: Vec::new() };
    say(&mut output, &hello)?;
    for line in input.lines() {
        let line = line.context("the suite cannot be heard")?;
        if line.trim().is_empty() {
            continue;
        }
        let answer = match read(&line).and_then(|ask| answer(entries, &ask)) {
            Ok(sample) => Answer::Took(sample),
            Err(error) => Answer::Failed { error: format!("{error:#}") },
        };
        say(&mut output, &answer)?;
    }
    Ok(())
}

fn answer(entries: &[Entry], ask: &Ask) -> Result<crate::Sample> {
    let entry = entries.iter().find(|entry| entry.name == ask.peer);
    entry.with_context(|| format!("there is no peer {:?} here", ask.peer))?.take(ask)
}

fn say(output: &mut impl Write, line: &impl serde::Serialize) -> Result<()> {
    let line = serde_json::to_string(line)?;
    writeln!(output, "{line}").and_then(|()| output.flush()).context("the suite does not listen any more")
}
