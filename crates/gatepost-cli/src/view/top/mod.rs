//! `gatepost top`: the semaphores of the machine, live on a terminal.
//!
//! ```text
//!  keys ─────────┐
//!  signals ──────┤ channel        loop: happening ──> model ──> frame
//!  pictures ─────┤                          └──> deed: a thread of its own, since a semaphore whose lock is stuck
//!  ends of deeds ┘                               must not stop the loop
//! ```

mod draw;
mod model;
mod screen;

use std::io::{self, IsTerminal};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use gatepost_shared::{Released, Semaphore};
use ratatui::crossterm::event::{self, Event};
use rustix::process::{Signal, getpid, kill_process};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;

use self::draw::{Theme, draw};
use self::model::{Act, Deed, Message, Model};
use self::screen::Screen;
use super::folder::Folder;
use super::watch::{Picture, Subscription, Watch};
use super::words;
use crate::error::Error;
use crate::exit;

/// What the loop hears of.
enum Happening {
    /// A key, a new size, or the end of the terminal.
    Terminal(io::Result<Event>),
    /// A signal.
    Signal(i32),
    /// A new picture.
    Picture(std::sync::Arc<Picture>),
    /// A deed came to this.
    Done(Message),
}

/// Shows the semaphores of `folder` until the user has seen enough.
pub(crate) fn run(folder: &Folder) -> Result<u8, Error> {
    // Keys come from standard input, and nothing else than a terminal sends any.
    if !io::stdin().is_terminal() {
        return Err(Error::NoTerminal { what: "standard input" });
    }
    if !io::stdout().is_terminal() {
        return Err(Error::NoTerminal { what: "standard output" });
    }
    let terminal = |source| Error::Terminal { source };
    // Before the terminal is taken: from then on a signal must find somebody who gives it back.
    let signals = Signals::new([SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGCONT]).map_err(terminal)?;
    let watch = Watch::start(folder.clone()).map_err(terminal)?;
    let mut screen = Screen::take().map_err(terminal)?;
    let (tell, hear) = crossbeam_channel::bounded(64);
    listen(tell.clone(), signals, watch.subscribe()).map_err(terminal)?;
    follow(&mut screen, folder, &tell, &hear).map_err(terminal)
}

/// Starts the threads that wait for something. They end with the process, or when nobody hears them any more.
fn listen(tell: Sender<Happening>, mut signals: Signals, mut pictures: Subscription) -> io::Result<()> {
    let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| thread::Builder::new().name(name.into()).spawn(body);
    let to = tell.clone();
    spawn(
        "keys",
        Box::new(move || {
            loop {
                let event = event::read();
                let last = event.is_err();
                if to.send(Happening::Terminal(event)).is_err() || last {
                    return;
                }
            }
        }),
    )?;
    let to = tell.clone();
    spawn(
        "signals",
        Box::new(move || {
            for signal in signals.forever() {
                if to.send(Happening::Signal(signal)).is_err() {
                    return;
                }
            }
        }),
    )?;
    spawn(
        "pictures",
        Box::new(move || {
            loop {
                if let Some(picture) = pictures.next(Duration::from_secs(3_600))
                    && tell.send(Happening::Picture(picture)).is_err()
                {
                    return;
                }
            }
        }),
    )?;
    Ok(())
}

fn follow(
    screen: &mut Screen,
    folder: &Folder,
    tell: &Sender<Happening>,
    hear: &Receiver<Happening>,
) -> io::Result<u8> {
    // The convention of no-color.org: set and not empty.
    let theme = Theme { colour: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) };
    let mut model = Model::new(folder.path().display().to_string());
    loop {
        screen.draw(|frame| draw(frame, &model, theme))?;
        // `tell` is ours, so there is always somebody who could send.
        let Ok(happening) = hear.recv() else { return Ok(exit::SUCCESS) };
        let act = match happening {
            Happening::Terminal(Ok(Event::Key(key))) => model.press(key),
            Happening::Terminal(Ok(_)) => Act::Show,
            Happening::Terminal(Err(error)) => return Err(error),
            Happening::Picture(picture) => {
                model.see(picture);
                Act::Show
            }
            Happening::Done(message) => {
                model.message = Some(message);
                Act::Show
            }
            Happening::Signal(SIGTSTP) => Act::Suspend,
            Happening::Signal(SIGCONT) => {
                screen.again()?;
                Act::Show
            }
            Happening::Signal(signal) => return Ok(exit::of_signal(signal)),
        };
        match act {
            Act::Show => {}
            Act::Do(deed) => start(deed, folder, tell, &mut model),
            Act::Suspend => screen.suspended(stop)?,
            Act::Redraw => screen.forget()?,
            Act::Quit => return Ok(exit::SUCCESS),
        }
    }
}

/// Stops this process, as the default of SIGTSTP would; returns when it is continued.
fn stop() {
    // A process may always signal itself.
    let _ = kill_process(getpid(), Signal::STOP);
}

fn start(deed: Deed, folder: &Folder, tell: &Sender<Happening>, model: &mut Model) {
    let (folder, tell) = (folder.clone(), tell.clone());
    let act = move || {
        let message = match perform(&deed, &folder) {
            Ok(text) => Message { text, is_error: false },
            Err(error) => Message { text: words::clean(&error.to_string()), is_error: true },
        };
        // If nobody hears, the user has quit.
        let _ = tell.send(Happening::Done(message));
    };
    if let Err(error) = thread::Builder::new().name("deed".into()).spawn(act) {
        model.message = Some(Message { text: format!("cannot start a thread: {error}"), is_error: true });
    }
}

fn perform(deed: &Deed, folder: &Folder) -> Result<String, gatepost_shared::Error> {
    let (Deed::Resize { name, .. } | Deed::Pause { name } | Deed::Resume { name } | Deed::Revoke { name, .. }) = deed;
    let semaphore = Semaphore::open(name, folder.options())?;
    let name = words::clean(name);
    Ok(match deed {
        Deed::Resize { limit, .. } => {
            semaphore.resize(*limit)?;
            format!("the limit of {name} is now {limit}")
        }
        Deed::Pause { .. } => {
            semaphore.pause()?;
            format!("{name} is paused: it admits nobody")
        }
        Deed::Resume { .. } => {
            semaphore.resume()?;
            format!("{name} is resumed")
        }
        Deed::Revoke { id, .. } => match semaphore.revoke(*id, "by hand, in top")? {
            Released::Yes => format!("{name}:{id} is revoked"),
            Released::WasGone => format!("{name}:{id} was gone already"),
        },
    })
}
