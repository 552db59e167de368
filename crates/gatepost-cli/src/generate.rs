//! What is generated from the argument parser: completions and manual pages, which therefore cannot fall behind it.

use std::io::{self, Write};

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::cli::Cli;
use crate::error::Error;
use crate::exit;

/// Prints the completion script for `shell`.
pub(crate) fn completions(shell: clap_complete::Shell) -> Result<u8, Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "gatepost", &mut script);
    print(&script)
}

/// Prints the manual page of the program, or of its command `name`.
pub(crate) fn man(name: Option<&str>) -> Result<u8, Error> {
    let mut program = Cli::command();
    program.build();
    let subject = match name {
        None => program,
        Some(name) => {
            let title = format!("gatepost-{}", name.replace(' ', "-"));
            // `jobserver run` is a command of a command, and its page is called gatepost-jobserver-run.
            let mut words = name.split([' ', '-']);
            let command = words.try_fold(&program, |command, word| command.find_subcommand(word)).cloned();
            let command = command.ok_or_else(|| Error::NoSuchPage { name: name.to_owned() })?;
            command.name(title.clone()).display_name(title)
        }
    };
    let mut roff = Vec::new();
    page(subject, &mut roff).map_err(|source| Error::Output { source })?;
    print(&roff)
}

/// Writes the page of `subject` as roff.
///
/// The library would fill the lines of the help's last part into one paragraph, tables and all; so they are set here.
fn page(subject: Command, sink: &mut dyn Write) -> io::Result<()> {
    let rest = subject.get_after_long_help().or_else(|| subject.get_after_help());
    let rest = rest.map(ToString::to_string);
    let has_commands = subject.has_subcommands();
    let man = Man::new(subject);
    man.render_title(sink)?;
    man.render_name_section(sink)?;
    man.render_synopsis_section(sink)?;
    man.render_description_section(sink)?;
    man.render_options_section(sink)?;
    if has_commands {
        man.render_subcommands_section(sink)?;
    }
    if let Some(rest) = rest {
        sections(&rest).to_writer(sink)?;
    }
    man.render_version_section(sink)
}

/// The sections of `text`, each of which is a title and indented lines, as they stand.
fn sections(text: &str) -> Roff {
    let mut roff = Roff::new();
    for section in text.split("\n\n") {
        let (title, body) = section.split_once(":\n").unwrap_or(("Notes", section));
        roff.control("SH", [title.to_uppercase().as_str()]);
        roff.control("nf", []);
        for line in body.lines() {
            roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
        }
        roff.control("fi", []);
    }
    roff
}

/// Writes `text` to standard output; a reader that went away wants no more of it, and that is no failure.
fn print(text: &[u8]) -> Result<u8, Error> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(source) if source.kind() != io::ErrorKind::BrokenPipe => Err(Error::Output { source }),
        _ => Ok(exit::SUCCESS),
    }
}
