//! Making a file and opening one.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FallocateFlags, FileType, MemfdFlags, Mode, OFlags, RenameFlags};
use rustix::fs::{fallocate, fchmod, fchown, fstat, linkat, memfd_create, openat, renameat_with, unlinkat};
use rustix::io::Errno;

use super::{Opened, Place, filesystem};
use crate::clock;
use crate::error::Error;
use crate::layout::{Config, FIXED_SIZE, Fixed, Geometry, MAX_PERMITS, MAX_SLOTS, MINOR};
use crate::liveness::fork::Registered;
use crate::map::Map;
use crate::options::Options;

/// For what a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// To look at it.
    Read,
    /// To be a session of it.
    Write,
}

fn io_error(what: &'static str, path: &Path) -> impl Fn(Errno) -> Error {
    move |errno| Error::Io { what, path: path.to_owned(), source: errno.into() }
}

/// The limit of a new file, and its geometry.
fn planned(name: &str, options: &Options, limit: u32) -> Result<Geometry, Error> {
    let geometry = Geometry::with_slots(limit <= MAX_SLOTS && !options.without_slots);
    if limit > MAX_PERMITS {
        let reason = "that is the greatest limit";
        return Err(Error::Capacity { name: name.to_owned(), asked: limit, capacity: MAX_PERMITS, reason });
    }
    Ok(geometry)
}

/// Fills a file that nobody else can see.
fn fill(file: BorrowedFd<'_>, path: &Path, geometry: Geometry, options: &Options, limit: u32) -> Result<(), Error> {
    let io = |what| io_error(what, path);
    let random = |bytes: &mut [u8]| rustix::rand::getrandom(bytes, rustix::rand::GetRandomFlags::empty());
    let mut id = [0; 16];
    random(&mut id).map_err(io("get random bytes for"))?;
    // F2. Where a file system cannot reserve blocks, the size alone has to do.
    match fallocate(file, FallocateFlags::empty(), 0, geometry.size() as u64) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            rustix::fs::ftruncate(file, geometry.size() as u64).map_err(io("set the size of"))?;
        }
        result => result.map_err(io("reserve space for"))?,
    }
    let fixed = Fixed {
        minor: MINOR,
        ro_compat: 0,
        file_id: u128::from_le_bytes(id),
        boot_id: 0, // Nobody's: the first to open it prepares it as after a restart.
        created: clock::real_ns(),
        geometry,
    };
    let map = Map::new(file, geometry, true).map_err(io("map"))?;
    map.write_fixed(&fixed.encode());
    let config = Config::new(limit, options.policy);
    map.header().config.store(config.0, std::sync::atomic::Ordering::Relaxed);
    Ok(())
}

/// Makes the file of `place` if there is none; false if there is one. F1.
pub(crate) fn create(place: &Place, options: &Options, limit: u32) -> Result<bool, Error> {
    let geometry = planned(&place.name, options, limit)?;
    place.prepare_directory(true)?;
    let path = &place.path;
    let nameless = openat(CWD, place.directory(), OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, mode(options));
    let (file, temporary) = match nameless {
        Ok(file) => (file, None),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
            let (file, temporary) = create_temporary(place, mode(options))?;
            (file, Some(temporary))
        }
        Err(errno) => return Err(io_error("create", path)(errno)),
    };
    let result = prepare(&file, place, options, geometry, limit).and_then(|()| {
        let named = match &temporary {
            None => link_nameless(&file, path),
            Some(temporary) => renameat_with(CWD, temporary, CWD, path, RenameFlags::NOREPLACE),
        };
        match named {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(errno) => Err(io_error("create", path)(errno)),
        }
    });
    if let (Some(temporary), false) = (&temporary, matches!(result, Ok(true))) {
        // It is of no use to anybody; if it stays, it is in nobody's way.
        let _ = unlinkat(CWD, temporary, AtFlags::empty());
    }
    result
}

fn prepare(file: &OwnedFd, place: &Place, options: &Options, geometry: Geometry, limit: u32) -> Result<(), Error> {
    let path = &place.path;
    filesystem::check(file.as_fd(), path, options.unsafe_network_file_system)?;
    set_owner(file, path, options)?;
    fill(file.as_fd(), path, geometry, options, limit)
}

/// What others may do with a new file.
fn mode(options: &Options) -> Mode {
    Mode::from_raw_mode(if options.group.is_some() { 0o660 } else { 0o600 })
}

fn set_owner(file: &OwnedFd, path: &Path, options: &Options) -> Result<(), Error> {
    if let Some(gid) = options.group {
        fchown(file, None, Some(rustix::process::Gid::from_raw(gid))).map_err(io_error("give to the group", path))?;
    }
    // The mask of the process may have taken a right away.
    fchmod(file, mode(options)).map_err(io_error("set the mode of", path))
}

/// Gives a nameless file its name.
fn link_nameless(file: &OwnedFd, path: &Path) -> rustix::io::Result<()> {
    match linkat(file, "", CWD, path, AtFlags::EMPTY_PATH) {
        // Without a privilege it takes the way round by the name that /proc has for it.
        Err(Errno::NOENT | Errno::PERM | Errno::ACCESS) => {
            linkat(CWD, descriptor_path(file.as_fd()), CWD, path, AtFlags::SYMLINK_FOLLOW)
        }
        result => result,
    }
}

fn descriptor_path(file: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// A file under another name, where there are no nameless ones.
fn create_temporary(place: &Place, mode: Mode) -> Result<(OwnedFd, PathBuf), Error> {
    let mut number = [0; 8];
    rustix::rand::getrandom(&mut number, rustix::rand::GetRandomFlags::empty())
        .map_err(io_error("get random bytes for", &place.path))?;
    let name = format!(".{}.{:016x}.new", place.name, u64::from_ne_bytes(number));
    let path = place.directory().join(name);
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = openat(CWD, &path, flags, mode).map_err(io_error("create", &place.path))?;
    Ok((file, path))
}

/// A file without a name, for those who get its descriptor.
pub(crate) fn create_anonymous(options: &Options, limit: u32) -> Result<OwnedFd, Error> {
    let path = Path::new("anonymous");
    let geometry = planned("anonymous", options, limit)?;
    let file =
        memfd_create("gatepost", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).map_err(io_error("create", path))?;
    // The system makes it with all rights for everybody, of which one can be used with the descriptor's path in /proc.
    set_owner(&file, path, options)?;
    fill(file.as_fd(), path, geometry, options, limit)?;
    // Its size is for ever, so nobody can take it from under a mapping.
    let seals = rustix::fs::SealFlags::SHRINK | rustix::fs::SealFlags::GROW | rustix::fs::SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, seals).map_err(io_error("seal", path))?;
    Ok(file)
}

/// Opens the file of `place`; nothing if there is none. F3, but for the number of its names: see [`super`], F4.
pub(crate) fn open_existing(place: &Place, options: &Options, access: Access) -> Result<Option<Opened>, Error> {
    let Some(file) = open_file(place, access)? else { return Ok(None) };
    let fixed = examine(file.as_fd(), &place.path, options, access)?;
    Ok(Some(Opened { file, fixed }))
}

/// Opens whatever has the name.
pub(super) fn open_file(place: &Place, access: Access) -> Result<Option<Registered>, Error> {
    place.prepare_directory(false)?;
    let path = &place.path;
    let rights = if access == Access::Write { OFlags::RDWR } else { OFlags::RDONLY };
    // NONBLOCK: to open a fifo must not wait for its other side.
    let flags = rights | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = Registered::open(|| openat(CWD, path, flags, Mode::empty()).map_err(Refusal::Errno));
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(Refusal::Errno(Errno::NOENT)) => Ok(None),
        Err(Refusal::Errno(Errno::LOOP)) => {
            Err(refused(path, "it is a symbolic link", "remove it, or name the file that it points to"))
        }
        Err(Refusal::Errno(Errno::ISDIR)) => Err(refused(path, "it is a folder", "choose another name")),
        // A socket, or a device without a driver.
        Err(Refusal::Errno(Errno::NXIO | Errno::NODEV)) => {
            Err(refused(path, "it is no regular file", "choose another name"))
        }
        Err(Refusal::Errno(errno)) => Err(io_error("open", path)(errno)),
        Err(Refusal::Io(source)) => Err(Error::Io { what: "open", path: path.clone(), source }),
    }
}

/// Opens once more what `file` is, as a description of its own.
pub(crate) fn reopen(file: BorrowedFd<'_>, path: &Path, access: Access) -> Result<Registered, Error> {
    let rights = if access == Access::Write { OFlags::RDWR } else { OFlags::RDONLY };
    let name = descriptor_path(file);
    Registered::open(|| openat(CWD, &name, rights | OFlags::CLOEXEC, Mode::empty()).map_err(Refusal::Errno)).map_err(
        |refusal| Error::Io {
            what: "open once more (is /proc mounted?)",
            path: path.to_owned(),
            source: match refusal {
                Refusal::Errno(errno) => errno.into(),
                Refusal::Io(error) => error,
            },
        },
    )
}

enum Refusal {
    Errno(Errno),
    Io(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn refused(path: &Path, what: impl Into<String>, remedy: &'static str) -> Error {
    Error::Refused { path: path.to_owned(), what: what.into(), remedy }
}

/// Looks whether a file may be trusted, whatever is in it: F3. Its size.
pub(super) fn trust(file: BorrowedFd<'_>, path: &Path, options: &Options, access: Access) -> Result<u64, Error> {
    let stat = fstat(file).map_err(io_error("look at", path))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(refused(path, "it is no regular file", "choose another name"));
    }
    let own = rustix::process::geteuid().as_raw();
    let by_group = options.group == Some(stat.st_gid) && stat.st_mode & 0o020 != 0;
    if stat.st_uid != own && stat.st_uid != 0 && !by_group && !(own == 0 && access == Access::Read) {
        let what = format!("it belongs to user {} and you are {own}", stat.st_uid);
        return Err(refused(path, what, "use a semaphore of your own, or share one with a group (--group)"));
    }
    if stat.st_mode & 0o002 != 0 {
        let what = format!("everybody may write it (mode {:o})", stat.st_mode & 0o7777);
        return Err(refused(path, what, "take that right away (chmod o-w)"));
    }
    if stat.st_mode & 0o020 != 0 && !by_group {
        let what = format!("group {} may write it (mode {:o})", stat.st_gid, stat.st_mode & 0o7777);
        return Err(refused(path, what, "if that is meant, say so (--group), or take the right away (chmod g-w)"));
    }
    filesystem::check(file, path, options.unsafe_network_file_system)?;
    Ok(stat.st_size as u64)
}

/// Looks whether a file may be used: F3. Its header, once it may.
pub(crate) fn examine(file: BorrowedFd<'_>, path: &Path, options: &Options, access: Access) -> Result<Fixed, Error> {
    let size = trust(file, path, options, access)?;
    let mut bytes = [0; FIXED_SIZE];
    let format = |(what, remedy)| Error::Format { path: path.to_owned(), what, remedy };
    let read = rustix::io::pread(file, &mut bytes[..], 0).map_err(io_error("read", path))?;
    if read < FIXED_SIZE {
        let what = format!("it has {read} bytes, less than a header");
        return Err(format((what, "if nothing uses it, remove it (rm), and the next use creates it anew")));
    }
    let fixed = Fixed::decode(&bytes).map_err(format)?;
    if size != fixed.geometry.size() as u64 {
        let what = format!("it has {size} bytes and its header says {}", fixed.geometry.size());
        return Err(format((what, "if nothing uses it, remove it (rm), and the next use creates it anew")));
    }
    if access == Access::Write && fixed.ro_compat != 0 {
        let what = format!("it has features that this version can only read ({:#x})", fixed.ro_compat);
        return Err(format((what, "use a newer version of gatepost")));
    }
    Ok(fixed)
}
