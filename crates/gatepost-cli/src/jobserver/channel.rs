//! The pipes of one build, which hold the tokens that the build may take.
//!
//! ```text
//!   fifo style, one pipe:    us ──offer──> [ "+" ] ──take──> client ──return──> the same pipe ──take back──> us
//!   pipe style, two pipes:   us ──offer──> [ "+" ] ──take──> client ──return──> [ "+" "+" … ] ──────────────> us
//! ```
//! By the path of a fifo a client reads and writes one pipe, so what it returns it can take again before we see it. The two
//! descriptors of the pipe style need not be of one pipe, and are not: what is returned comes to us alone, so the order of
//! those who wait holds exactly.
//!
//! The kernel's side of it (Linux):
//! C1. A pipe of one page is one slot, and it counts as full for `poll` from the first byte on. So POLLOUT is false while an
//!     offer stands and true the moment that a client took it.
//! C2. Bytes merge into the page that is there, so a client that returns a token is never blocked by the offer. A page
//!     is used up from front to back and is new only after the pipe was empty: while an offer stands, some 4,000
//!     returns fit. Who offers for long must renew the offer now and then (`pump` does).
//! C3. inotify tells of a return (IN_MODIFY) where `poll` cannot, since the pipe was readable before. Where there is no
//!     inotify, the pump looks every [`LOOK`] while tokens are out.
//! C4. The descriptors that a build inherits are descriptions of their own, so tools may set them non-blocking, as make does,
//!     without any effect on ours. Both are open for reading and writing: when we are killed, a build that has them meets
//!     neither the end of the file nor SIGPIPE. It goes on, in the pipe style without the tokens that it returns from then on.
//!
//! The folder of the pipes is private to the user. It goes with us; if we are killed it stays, since the build still needs it.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, OFlags, inotify, mknodat};
use rustix::io::{Errno, ioctl_fionread, read, write};
use rustix::pipe::fcntl_setpipe_size;
use tempfile::TempDir;

use super::flags::Auth;

/// How often returns are looked for where inotify says nothing.
pub(crate) const LOOK: Duration = Duration::from_millis(20);

/// The names of the pipes.
const TOKENS: &str = "tokens";
const RETURNS: &str = "returns";

/// How a build finds its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// By the path of a named pipe.
    Fifo,
    /// By two descriptors.
    Pipe,
}

/// The pipes.
#[derive(Debug)]
pub(crate) struct Channel {
    /// Where tokens are offered. Both ends, so that it is never closed while we live, and a description that nobody else
    /// has.
    pipe: File,
    /// Where they are returned, in the pipe style.
    returns: Option<File>,
    notices: Option<OwnedFd>,
    folder: TempDir,
}

/// What a build needs to find its tokens.
#[derive(Debug)]
pub(crate) struct Invitation {
    /// What it is told.
    pub(crate) auth: Auth,
    /// What it inherits under the numbers that these have.
    pub(crate) inherit: Vec<OwnedFd>,
}

impl Channel {
    /// An empty one, in a new folder.
    pub(crate) fn new(style: Style) -> io::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("gatepost-jobserver-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(plain_folder()?)?;
        let path = folder.path().join(TOKENS);
        let make = |path: &Path| -> io::Result<File> {
            mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
            let nonblocking = OFlags::NONBLOCK.bits() as i32;
            OpenOptions::new().read(true).write(true).custom_flags(nonblocking).open(path)
        };
        let pipe = make(&path)?;
        // One page, whatever its size is here: one slot.
        fcntl_setpipe_size(&pipe, 4096)?;
        let returns = match style {
            Style::Fifo => None,
            Style::Pipe => Some(make(&folder.path().join(RETURNS))?),
        };
        Ok(Self { notices: watch(&path).ok(), pipe, returns, folder })
    }

    /// How a build is told of it.
    pub(crate) fn invitation(&self) -> io::Result<Invitation> {
        let path = |name| self.folder.path().join(name);
        if self.returns.is_none() {
            return Ok(Invitation { auth: Auth::Fifo(path(TOKENS)), inherit: Vec::new() });
        }
        let open = |name| OpenOptions::new().read(true).write(true).open(path(name)).map(OwnedFd::from);
        let (read, write) = (open(TOKENS)?, open(RETURNS)?);
        let auth = Auth::Pipe { read: read.as_raw_fd(), write: write.as_raw_fd() };
        Ok(Invitation { auth, inherit: vec![read, write] })
    }

    /// How many tokens were returned to us alone since the last time.
    pub(crate) fn returned(&self) -> io::Result<usize> {
        self.returns.as_ref().map_or(Ok(0), empty)
    }

    /// What becomes readable when there are any, in the pipe style.
    pub(crate) fn returns(&self) -> Option<BorrowedFd<'_>> {
        self.returns.as_ref().map(AsFd::as_fd)
    }

    /// How many tokens lie where they are offered.
    pub(crate) fn tokens(&self) -> io::Result<usize> {
        Ok(usize::try_from(ioctl_fionread(&self.pipe)?).unwrap_or(usize::MAX))
    }

    /// Puts a token into it.
    pub(crate) fn offer(&self) -> io::Result<()> {
        match write(&self.pipe, b"+")? {
            1 => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }

    /// Takes all that lies there, and says how many tokens that was.
    pub(crate) fn take_back(&self) -> io::Result<usize> {
        empty(&self.pipe)
    }

    /// What becomes readable when a client has written, where there is such a thing.
    pub(crate) fn notices(&self) -> Option<BorrowedFd<'_>> {
        self.notices.as_ref().map(AsFd::as_fd)
    }

    /// Forgets the notices that have come; whether there were any.
    pub(crate) fn hush(&self) -> bool {
        let Some(notices) = &self.notices else { return false };
        let (mut any, mut bytes) = (false, [0; 1024]);
        while matches!(read(notices, &mut bytes), Ok(some) if some > 0) {
            any = true;
        }
        any
    }

    /// As if there were no inotify.
    #[cfg(test)]
    pub(crate) fn without_notices(mut self) -> Self {
        self.notices = None;
        self
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

/// Reads all that there is in `pipe`, and says how much.
fn empty(pipe: &File) -> io::Result<usize> {
    let (mut all, mut bytes) = (0, [0; 256]);
    loop {
        match read(pipe, &mut bytes) {
            Ok(0) | Err(Errno::AGAIN) => return Ok(all),
            Ok(some) => all += some,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn watch(path: &Path) -> io::Result<OwnedFd> {
    let notices = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)?;
    inotify::add_watch(&notices, path, inotify::WatchFlags::MODIFY)?;
    Ok(notices)
}

/// A folder for temporary files whose path can stand in `MAKEFLAGS`, where nothing can be quoted so that all readers
/// understand it.
fn plain_folder() -> io::Result<PathBuf> {
    let folders = [std::env::temp_dir(), "/tmp".into(), "/dev/shm".into()];
    let usable =
        |folder: &PathBuf| folder.is_absolute() && is_plain(folder) && fs::metadata(folder).is_ok_and(|it| it.is_dir());
    folders.into_iter().find(usable).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            "none of $TMPDIR, /tmp and /dev/shm is a folder with a path of letters, digits and . _ - + only",
        )
    })
}

fn is_plain(path: &Path) -> bool {
    path.as_os_str().as_bytes().iter().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+".contains(byte))
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::fs::fcntl_getfl;
    use rustix::io::{FdFlags, fcntl_setfd};

    use super::*;

    fn ready(fd: impl AsFd, what: PollFlags) -> bool {
        poll(&mut [PollFd::new(&fd, what)], Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).expect("poll works") > 0
    }

    fn client(channel: &Channel) -> File {
        OpenOptions::new().read(true).write(true).open(channel.folder.path().join(TOKENS)).expect("it opens")
    }

    #[test]
    fn c1_the_slot_is_full_from_the_first_byte_and_free_when_it_was_taken() {
        let channel = Channel::new(Style::Fifo).expect("a pipe");
        let client = client(&channel);
        assert!(ready(&channel, PollFlags::OUT));
        channel.offer().expect("room");
        assert!(!ready(&channel, PollFlags::OUT));
        assert_eq!(channel.tokens().expect("a count"), 1);
        assert_eq!(read(&client, &mut [0; 1]), Ok(1));
        assert!(ready(&channel, PollFlags::OUT));
    }

    #[test]
    fn c2_and_c3_a_return_beside_an_offer_neither_blocks_nor_goes_unseen() {
        let channel = Channel::new(Style::Fifo).expect("a pipe");
        let client = client(&channel);
        channel.offer().expect("room");
        channel.hush();
        assert!(!ready(channel.notices().expect("inotify"), PollFlags::IN));
        assert_eq!(write(&client, b"+"), Ok(1));
        assert!(ready(channel.notices().expect("inotify"), PollFlags::IN));
        assert!(channel.hush() && !channel.hush());
        assert_eq!(channel.take_back().expect("it reads"), 2);
        assert_eq!(channel.take_back().expect("it reads"), 0);
    }

    #[test]
    fn a_page_is_new_after_the_pipe_was_empty() {
        let channel = Channel::new(Style::Fifo).expect("a pipe");
        let client = client(&channel);
        for _ in 0..5 {
            channel.offer().expect("room");
            for _ in 0..1000 {
                assert_eq!((write(&client, b"+"), read(&client, &mut [0; 1])), (Ok(1), Ok(1)));
            }
            assert_eq!(channel.take_back().expect("it reads"), 1);
        }
    }

    #[test]
    fn the_folder_is_private_and_goes_with_the_channel() {
        let channel = Channel::new(Style::Fifo).expect("a pipe");
        let path = channel.folder.path().join(TOKENS);
        let folder = path.parent().expect("a folder").to_owned();
        assert_eq!(fs::metadata(&folder).expect("it is there").permissions().mode() & 0o777, 0o700);
        assert!(is_plain(&path));
        drop(channel);
        assert!(!folder.exists());
    }

    #[test]
    fn c4_the_pipe_style_gives_two_blocking_descriptors_of_two_pipes_that_outlive_us() {
        let channel = Channel::new(Style::Pipe).expect("pipes");
        let invitation = channel.invitation().expect("two descriptors");
        let [from, to] = invitation.inherit.as_slice() else { panic!("two") };
        assert_eq!(invitation.auth, Auth::Pipe { read: from.as_raw_fd(), write: to.as_raw_fd() });
        for end in [from, to] {
            assert!(!fcntl_getfl(end).expect("flags").contains(OFlags::NONBLOCK));
            fcntl_setfd(end, FdFlags::empty()).expect("it is inherited");
        }
        channel.offer().expect("room");
        let (from, to) = (from.as_raw_fd(), to.as_raw_fd());
        let script = format!("token=$(head -c 1 <&{from}); printf %s%s $token $token >&{to}");
        let bash = || std::process::Command::new("bash").args(["-c", &script]).status().expect("it runs");
        assert!(bash().success());
        assert_eq!((channel.tokens().expect("a count"), channel.returned().expect("it reads")), (0, 2));
        channel.offer().expect("room");
        drop(channel);
        assert!(bash().success(), "it is not ended by SIGPIPE");
    }

    #[test]
    fn paths_that_make_would_not_read_as_one_word_are_not_taken() {
        assert!(is_plain(Path::new("/tmp/a-b_c.d+1")));
        for path in ["/tmp/a b", "/tmp/$x", "/tmp/a,b", "/tmp/#", "/tmp/\\x", "/tmp/ü"] {
            assert!(!is_plain(Path::new(path)), "{path}");
        }
    }
}
