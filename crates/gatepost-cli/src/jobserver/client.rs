//! A client of somebody else's jobserver: `gatepost run --from-jobserver` inside a make.
//!
//! One token is taken, and returned when the [`Token`] is dropped: at the end, on an error, in a panic. Only SIGKILL can
//! keep us from that, and then the jobserver has one token less, as with every client that is killed.
//!
//! A command of a make already runs on a token that its make took for it. One more is for work beside it.
//!
//! The wait is not here: `run::take` polls the descriptor of a [`Client`] together with all else that may happen.
//!
//! The descriptors of the pipe style belong to everybody that inherited them, so we open the pipe again by way of
//! `/proc/self/fd`: our own description may be non-blocking, theirs stays as it was. Who is first to read gets the
//! token, so a token that `poll` saw may be gone: [`Client::try_take`] says so, and one waits again.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::{Errno, read, write};

use super::flags::{self, Auth, Unusable};
use crate::exit;

/// Where the crate `jobserver`, and so cargo and all that it starts, look, in their order.
const VARIABLES: [&str; 3] = ["CARGO_MAKEFLAGS", "MAKEFLAGS", "MFLAGS"];

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Nothing speaks of a jobserver.
    #[error(
        "there is no jobserver: none of CARGO_MAKEFLAGS, MAKEFLAGS and MFLAGS is set; run this from a make with -j, or \
         leave --from-jobserver out"
    )]
    NoVariable,
    /// What speaks of one is of no use.
    #[error("{variable} is {value:?}: {reason}; {}", remedy(.reason))]
    Unusable {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: OsString,
        /// What is wrong with it.
        reason: Unusable,
    },
    /// The pipe cannot be opened.
    #[error("cannot open the jobserver's pipe {path:?}: {source}; {}", remedy_of_open(.path))]
    Open {
        /// The pipe.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is none.
    #[error(
        "{path:?}, which {variable} names, is neither a pipe nor a character device; is the make that set it over?"
    )]
    NoPipe {
        /// The variable.
        variable: &'static str,
        /// What it names.
        path: PathBuf,
    },
    /// No token at once.
    #[error("no token of the jobserver is free; wait for one (leave --no-wait out), or run with more jobs (make -j)")]
    Busy,
    /// No token in time.
    #[error("waited {waited:?} for a token of the jobserver in vain; wait longer, or run with more jobs (make -j)")]
    TimedOut {
        /// How long.
        waited: Duration,
    },
    /// The jobserver is gone.
    #[error("the jobserver is gone: its pipe was closed while a token was awaited")]
    Gone,
    /// Reading failed.
    #[error("cannot take a token from the jobserver: {source}")]
    Take {
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// The exit status.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::NoVariable | Self::Unusable { .. } | Self::Open { .. } | Self::NoPipe { .. } => exit::USAGE,
            Self::Busy => exit::BUSY,
            Self::TimedOut { .. } => exit::TIMED_OUT,
            Self::Gone | Self::Take { .. } => exit::UNAVAILABLE,
        }
    }
}

fn remedy(reason: &Unusable) -> &'static str {
    match reason {
        Unusable::None => "run make with -j, or leave --from-jobserver out",
        Unusable::Disabled(_) => "put + in front of the recipe's line, so that make passes it on",
        Unusable::Broken(_) => "set it as make does, or leave --from-jobserver out",
    }
}

fn remedy_of_open(path: &std::path::Path) -> &'static str {
    if path.starts_with("/proc/self/fd") {
        "put + in front of the recipe's line, so that make passes it on"
    } else {
        "the make that made it may be over; leave --from-jobserver out"
    }
}

/// A jobserver that tokens can be taken from.
#[derive(Debug)]
pub(crate) struct Client {
    from: File,
    to: File,
}

/// A token. It is returned when this is dropped.
#[derive(Debug)]
pub(crate) struct Token<'a> {
    client: &'a Client,
    /// What was read is what is written back: a jobserver may give it a meaning.
    byte: u8,
}

impl Client {
    /// The jobserver that the environment names.
    ///
    /// To be called before anything is opened: in the pipe style the environment names numbers, and what was not
    /// inherited under them might be ours by then.
    pub(crate) fn from_environment() -> Result<Self, Error> {
        Self::from_variables(|name| std::env::var_os(name))
    }

    fn from_variables(value_of: impl Fn(&OsStr) -> Option<OsString>) -> Result<Self, Error> {
        let find = |variable: &&'static str| Some((*variable, value_of(OsStr::new(variable))?));
        let (variable, value) = VARIABLES.iter().find_map(find).ok_or(Error::NoVariable)?;
        match flags::auth_in(&value) {
            Ok(Auth::Fifo(path)) => Self::open(variable, path.clone(), path),
            Ok(Auth::Pipe { read, write }) => {
                let path = |fd| PathBuf::from(format!("/proc/self/fd/{fd}"));
                Self::open(variable, path(read), path(write))
            }
            Err(reason) => Err(Error::Unusable { variable, value, reason }),
        }
    }

    fn open(variable: &'static str, from: PathBuf, to: PathBuf) -> Result<Self, Error> {
        let open = |path: PathBuf, options: &mut OpenOptions| {
            // Looked at before it is opened: opening some devices does something.
            match std::fs::metadata(&path).map(|it| it.file_type()) {
                Ok(kind) if kind.is_fifo() || kind.is_char_device() => {}
                Ok(_) => return Err(Error::NoPipe { variable, path }),
                Err(source) => return Err(Error::Open { path, source }),
            }
            // Non-blocking, or opening would wait for whoever holds the other end.
            let file = options.custom_flags(OFlags::NONBLOCK.bits() as i32).open(&path);
            file.map_err(|source| Error::Open { path, source })
        };
        let from = open(from, OpenOptions::new().read(true))?;
        let to = open(to.clone(), OpenOptions::new().write(true)).and_then(|file| {
            // To return a token blocks, if it must: it may not get lost.
            let blocking = fcntl_setfl(&file, OFlags::empty());
            blocking.map(|()| file).map_err(|errno| Error::Open { path: to, source: errno.into() })
        })?;
        Ok(Self { from, to })
    }

    /// Takes a token if there is one. The descriptor of this is readable when there may be.
    pub(crate) fn try_take(&self) -> Result<Option<Token<'_>>, Error> {
        let mut byte = [0];
        loop {
            return match read(&self.from, &mut byte) {
                Ok(0) => Err(Error::Gone),
                Ok(_) => Ok(Some(Token { client: self, byte: byte[0] })),
                Err(Errno::AGAIN) => Ok(None),
                Err(Errno::INTR) => continue,
                Err(errno) => Err(Error::Take { source: errno.into() }),
            };
        }
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.from.as_fd()
    }
}

impl Drop for Token<'_> {
    fn drop(&mut self) {
        // A jobserver that is gone wants nothing back.
        while write(&self.client.to, &[self.byte]) == Err(Errno::INTR) {}
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::super::channel::{Channel, Style};
    use super::*;

    fn client(variables: &[(&str, &str)]) -> Result<Client, Error> {
        Client::from_variables(|name| variables.iter().find(|(known, _)| name == *known).map(|(_, value)| value.into()))
    }

    fn for_channel(channel: &Channel) -> Client {
        let invitation = channel.invitation().expect("it opens");
        let value = flags::with_auth(None, &invitation.auth, 2).into_string().expect("text");
        client(&[("MAKEFLAGS", &value)]).expect("it opens")
    }

    #[test]
    fn a_token_is_taken_and_returned_in_both_styles() {
        for style in [Style::Fifo, Style::Pipe] {
            let channel = Channel::new(style).expect("a pipe");
            channel.offer().expect("room");
            let client = for_channel(&channel);
            let token = client.try_take().expect("it works").expect("there is one");
            assert_eq!(channel.tokens().expect("a count"), 0);
            assert!(client.try_take().expect("it works").is_none(), "there is no other");
            drop(token);
            let returned = channel.returned().expect("it reads") + channel.tokens().expect("a count");
            assert_eq!(returned, 1);
        }
    }

    #[test]
    fn a_token_is_returned_in_a_panic_and_as_it_was() {
        let channel = Channel::new(Style::Fifo).expect("a pipe");
        assert_eq!(write(&channel, b"q"), Ok(1));
        let client = for_channel(&channel);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _token = client.try_take().expect("it works").expect("there is one");
            panic!("on purpose");
        }));
        assert!(panicked.is_err());
        let mut byte = [0];
        assert_eq!((read(&channel, &mut byte), byte), (Ok(1), *b"q"));
    }

    #[test]
    fn the_descriptor_is_readable_when_there_may_be_a_token() {
        let channel = Channel::new(Style::Fifo).expect("a pipe");
        let client = for_channel(&channel);
        let is_readable = || {
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            poll(&mut [PollFd::new(&client, PollFlags::IN)], Some(&now)).expect("poll works") > 0
        };
        assert!(!is_readable());
        channel.offer().expect("room");
        assert!(is_readable());
        let token = client.try_take().expect("it works");
        assert!(token.is_some() && !is_readable());
    }

    #[test]
    fn a_jobserver_that_goes_away_is_an_error_and_not_an_endless_wait() {
        let channel = Channel::new(Style::Fifo).expect("a pipe");
        let mut client = for_channel(&channel);
        // The client's own writing end would keep the pipe open.
        client.to = File::open("/dev/null").expect("it opens");
        drop(channel);
        assert!(matches!(client.try_take(), Err(Error::Gone)));
    }

    #[test]
    fn what_is_wrong_with_the_environment_is_said() {
        let refused = |variables: &[(&str, &str)]| {
            let error = client(variables).expect_err("refused");
            assert_eq!(error.status(), 64, "{error}");
            error.to_string()
        };
        assert!(refused(&[]).contains("with -j"));
        assert!(refused(&[("MAKEFLAGS", "ks")]).contains("make with -j"));
        assert!(refused(&[("MAKEFLAGS", "--jobserver-auth=-2,-2")]).contains("put +"));
        assert!(refused(&[("MAKEFLAGS", "--jobserver-auth=sem1")]).contains("sem1"));
        assert!(refused(&[("MAKEFLAGS", "--jobserver-auth=fifo:/no/such")]).contains("/no/such"));
        assert!(refused(&[("MAKEFLAGS", "--jobserver-auth=987654,987655")]).contains("put +"));
        assert!(refused(&[("MAKEFLAGS", "--jobserver-auth=fifo:/etc/passwd")]).contains("neither a pipe"));
        let file = File::open("/etc/passwd").expect("it opens");
        let fd = file.as_raw_fd();
        assert!(refused(&[("MAKEFLAGS", &format!("--jobserver-auth={fd},{fd}"))]).contains("neither a pipe"));
    }

    #[test]
    fn the_variables_have_cargos_order() {
        let channel = Channel::new(Style::Fifo).expect("a pipe");
        let invitation = channel.invitation().expect("a path");
        let ours = flags::for_cargo(&invitation.auth).into_string().expect("text");
        let wrong = "--jobserver-auth=fifo:/no/such";
        assert!(client(&[("MFLAGS", wrong), ("MAKEFLAGS", wrong), ("CARGO_MAKEFLAGS", &ours)]).is_ok());
        assert!(client(&[("MFLAGS", wrong), ("MAKEFLAGS", &ours)]).is_ok());
    }
}
