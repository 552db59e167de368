//! What looks at the semaphores of a machine without being a session of them.
//!
//! ```text
//!             folder: Observer -> Status | why not      watch: a thread for each semaphore, a bell for all
//!    ┌──────────┬──────────┬──────────┐                      ┌──────────────┐
//!  list      status      events    (JSON: the library's     top           serve
//!    │          │          │        own types, one a line)   │              │
//!    └── words, why: how durations, states and reasons are put, the same in every view ──┘
//! ```
//! Everything here reads. Only the keys of `top` act, and for that they open a session for as long as the act takes.

mod events;
mod folder;
mod help;
mod list;
mod process;
#[cfg(test)]
mod samples;
mod serve;
mod status;
mod top;
mod watch;
mod why;
mod words;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Subcommand};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::error::Error;
use crate::exit;
use crate::machine::open::Place;
use crate::run::line::say;
use folder::Folder;

/// The commands that look.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the semaphores of this machine: used, waiting, the oldest holder
    #[command(after_help = help::LIST)]
    List(ListArgs),
    /// Show one semaphore: who holds, who waits and why, what has happened
    #[command(after_help = help::STATUS)]
    Status(StatusArgs),
    /// Print what was done by force: reclaims, revocations, resizes, repairs
    #[command(after_help = help::EVENTS)]
    Events(EventsArgs),
    /// Watch the semaphores of this machine live, and resize, pause or revoke with a key
    #[command(after_help = help::TOP)]
    Top(TopArgs),
    /// Serve a live page, and metrics for Prometheus
    #[command(after_help = help::SERVE)]
    Serve(ServeArgs),
}

/// The arguments of `gatepost list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Print one JSON object a line: a status, or name, path and error
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    place: Place,
}

/// The arguments of `gatepost status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The semaphore: a name, or the path of its file with a slash in it
    name: String,

    /// Print the status as one line of JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    place: Place,
}

/// The arguments of `gatepost events`.
#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// The semaphore: a name, or the path of its file with a slash in it
    name: String,

    /// Print one JSON object a line
    #[arg(long)]
    json: bool,

    /// Go on: wait for more, and print each as it comes
    #[arg(short, long)]
    follow: bool,

    /// Begin with event number N instead of the oldest that is kept
    ///
    /// Numbers have no gaps. The file keeps the last 512 events; if N is older than those, the first number printed is
    /// greater than N, and the events between are gone.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    since: Option<u64>,

    #[command(flatten)]
    place: Place,
}

/// The arguments of `gatepost top`.
#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    place: Place,
}

/// The arguments of `gatepost serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Where to listen: ADDRESS:PORT, ADDRESS, or :PORT for loopback alone
    #[arg(value_name = "ADDR", value_parser = serve::address, default_value = "127.0.0.1:9190")]
    address: SocketAddr,

    /// Answer to this name, too, in the Host header; may be given several times
    ///
    /// Addresses and localhost are always answered to. Any other name is refused, since a page from elsewhere could point
    /// its own name here and read what is served (DNS rebinding).
    #[arg(long, value_name = "NAME", value_parser = serve::host)]
    host: Vec<String>,

    #[command(flatten)]
    place: Place,
}

/// How many of the last events `status` shows.
const SHOWN_EVENTS: usize = 5;

/// Runs one of the commands.
pub(crate) fn run(command: &Command) -> Result<u8, Error> {
    match command {
        Command::List(arguments) => {
            let (text, aside) = list::show(&Folder::of(&arguments.place), arguments.json)?;
            print(text.as_bytes())?;
            if let Some(aside) = aside {
                say(&aside);
            }
            Ok(exit::SUCCESS)
        }
        Command::Status(arguments) => {
            let observer = Folder::of(&arguments.place).observe(&arguments.name)?;
            let status = observer.status()?;
            let text = if arguments.json {
                folder::line(&status)
            } else {
                status::text(&status, &folder::last_events(&observer, SHOWN_EVENTS))
            };
            print(text.as_bytes()).map(|_| exit::SUCCESS)
        }
        Command::Events(arguments) => follow(arguments),
        Command::Top(arguments) => top::run(&Folder::of(&arguments.place)),
        Command::Serve(arguments) => serve::run(&Folder::of(&arguments.place), arguments.address, &arguments.host),
    }
}

/// How often it is looked whether there is still somebody to tell, and still the same file.
const GLANCE: Duration = Duration::from_secs(1);

fn follow(arguments: &EventsArgs) -> Result<u8, Error> {
    let folder = Folder::of(&arguments.place);
    let mut observer = folder.observe(&arguments.name)?;
    let path = observer.status()?.path;
    let mut file = folder::identity(&path);
    let mut events = observer.events();
    if let Some(number) = arguments.since {
        events = events.since(number);
    }
    let mut text = String::new();
    for event in events.by_ref() {
        text.push_str(&events::line(&event, arguments.json));
    }
    if print(text.as_bytes())? == Reader::Gone {
        return Ok(exit::SUCCESS);
    }
    while arguments.follow && !nobody_reads() {
        if let Some(event) = events.wait(GLANCE) {
            if print(events::line(&event, arguments.json).as_bytes())? == Reader::Gone {
                break;
            }
            continue;
        }
        // Removed and made again, it is another file, and its events begin anew.
        let there = folder::identity(&path);
        if there.is_some()
            && there != file
            && let Ok(again) = folder.observe(&arguments.name)
        {
            (observer, file) = (again, there);
            events = observer.events();
        }
    }
    Ok(exit::SUCCESS)
}

/// Whether our output is a pipe that nobody reads any more: without an event to write, nothing else would tell.
fn nobody_reads() -> bool {
    let stdout = io::stdout();
    let mut pipe = [PollFd::new(&stdout, PollFlags::empty())];
    let looked = poll(&mut pipe, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
    looked.is_ok() && pipe[0].revents().intersects(PollFlags::ERR)
}

/// Whether somebody still reads our output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    There,
    Gone,
}

/// Writes `text` to standard output at once; a reader that went away wants no more of it, and that is no failure.
fn print(text: &[u8]) -> Result<Reader, Error> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(Reader::There),
        Err(source) if source.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(source) => Err(Error::Output { source }),
    }
}
