//! Becoming a session of a file, and ceasing to be one.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release};

use crate::error::Error;
use crate::file::{Access, Opened, Place, create, open_existing, reopen};
use crate::layout::{BOOT_ID_AT, LockWord, SessionWord};
use crate::liveness::{self, Descriptions};
use crate::map::Map;
use crate::options::Options;
use crate::step;
use crate::stuck;
use crate::table::Table;
use crate::wait::Doorbell;

/// A process that has the file open, from its side.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) table: Arc<Table>,
    /// Wakes the tasks of this session.
    pub(crate) doorbell: Doorbell,
    /// What had to be done by force before it could be one, in words: for `repair`.
    pub(crate) mended: Vec<String>,
}

/// Whether what the file says is asked for first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To use it: a damaged file is an error.
    Use,
    /// To repair it.
    Repair,
}

impl Session {
    /// Opens the file of `name`, or makes it.
    pub(crate) fn open(name: &str, options: &Options, purpose: Purpose) -> Result<Self, Error> {
        let place = Place::of(name, options)?;
        // Others may make the file or take it away between two of our steps; not for ever.
        for _ in 0..64 {
            if let Some(opened) = open_existing(&place, options, Access::Write)? {
                match Self::attach(opened, &place.name, &place.path, options, purpose)? {
                    Some(session) => return Ok(session),
                    None => continue,
                }
            }
            let limit =
                options.limit.ok_or_else(|| Error::NotFound { name: place.name.clone(), path: place.path.clone() })?;
            create(&place, options, limit)?;
        }
        Err(Error::Refused {
            path: place.path,
            what: "it is made and taken away all the time".to_owned(),
            remedy: "find out who does that",
        })
    }

    /// Becomes a session of an opened file; nothing if the file has lost its name meanwhile. F4.
    pub(crate) fn attach(
        opened: Opened,
        name: &str,
        path: &Path,
        options: &Options,
        purpose: Purpose,
    ) -> Result<Option<Self>, Error> {
        let io = |what| move |source| Error::Io { what, path: path.to_owned(), source };
        let Opened { file: hold, fixed } = opened;
        let probe = reopen(hold.as_fd(), path, Access::Write)?;
        // A mapping keeps its description open, in a forked child, too, where the descriptors are closed. So it is not the one
        // whose lock says that this session lives.
        let map = Map::new(probe.as_fd(), fixed.geometry, true).map_err(|errno| io("map")(errno.into()))?;
        let descriptions = Descriptions { hold, probe };
        let (setup, mut mended) = match purpose {
            Purpose::Use => (liveness::lock_setup(descriptions.hold.as_fd()).map_err(io("lock"))?, Vec::new()),
            Purpose::Repair => stuck::lock_setup(&map, &descriptions, path)?,
        };
        if !has_one_name(descriptions.hold.as_fd(), path)? {
            return Ok(None);
        }
        let boot_id = boot_id()?;
        let is_new_boot = boot_id_of(&map) != boot_id;
        let sessions = fixed.geometry.sessions;
        let somebody = liveness::is_locked(descriptions.probe.as_fd(), 0, sessions).map_err(io("ask for locks of"))?;
        let is_damaged = is_new_boot && somebody && purpose == Purpose::Repair;
        if is_new_boot && somebody && !is_damaged {
            return Err(Error::Refused {
                path: path.to_owned(),
                what: "processes of another kernel use it".to_owned(),
                remedy: "one file serves one machine: use a folder that is not shared with a virtual machine; or, if it is not, \
                         the file is damaged: repair it (`gatepost repair`)",
            });
        }
        let me = take_byte(descriptions.hold.as_fd(), sessions).map_err(io("lock"))?;
        let me = me.ok_or_else(|| Error::SessionsFull { name: name.to_owned(), max: sessions })?;
        let mut table = Table::new(map, descriptions, me, name.to_owned(), path.to_owned());
        if is_damaged {
            // Those who use it are of this boot, whatever it says.
            store_boot_id(&table, boot_id);
            mended.push("it said that it was used before the machine started, and processes have it open".to_owned());
        } else if is_new_boot {
            restart(&table, boot_id, purpose)?;
        }
        sign(&mut table, options, purpose, &mut mended)?;
        drop(setup);
        let session = Self { table: Arc::new(table), doorbell: Doorbell::default(), mended };
        if purpose == Purpose::Use {
            session.check_limit(options)?;
            session.table.reap()?;
        }
        Ok(Some(session))
    }

    /// The limit asked for against the one that is there.
    fn check_limit(&self, options: &Options) -> Result<(), Error> {
        let there = self.table.config().limit();
        match options.limit {
            Some(asked) if asked != there && options.set_limit => self.resize(asked),
            Some(asked) if asked != there && there != 0 => {
                Err(Error::LimitDiffers { name: self.table.name().to_owned(), asked, there })
            }
            _ => Ok(()),
        }
    }

    /// Changes the limit for everybody.
    pub(crate) fn resize(&self, limit: u32) -> Result<(), Error> {
        let capacity = self.table.map().geometry().capacity();
        if limit > capacity {
            let reason = if self.table.map().geometry().slots == 0 {
                "that is the greatest limit"
            } else {
                "it gives each permit a slot"
            };
            return Err(Error::Capacity { name: self.table.name().to_owned(), asked: limit, capacity, reason });
        }
        self.table.section(|section| {
            section.resize(limit);
            Ok(())
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.table.check_process().is_err() {
            return; // A forked child closes nothing that is its parent's.
        }
        if let Some(row) = self.table.map().session(self.table.me()) {
            // ORDERING: Release: for those who list the sessions. Only the one who has the byte writes the word.
            let (_, generation) = self.table.session();
            row.word.store(SessionWord::new(false, generation).0, Release);
        }
        self.doorbell.stop(&self.table);
    }
}

/// The file has exactly one name: true. It has none any more: false.
fn has_one_name(file: BorrowedFd<'_>, path: &Path) -> Result<bool, Error> {
    let links = rustix::fs::fstat(file)
        .map_err(|errno| Error::Io { what: "look at", path: path.to_owned(), source: errno.into() })?
        .st_nlink;
    // One without a name from the beginning is passed on by its descriptor.
    let is_anonymous = path == Path::new(crate::semaphore::ANONYMOUS);
    match links {
        0 => Ok(is_anonymous),
        1 => Ok(true),
        more => Err(Error::Refused {
            path: path.to_owned(),
            what: format!("it has {more} names"),
            remedy: "remove the other ones (find -samefile)",
        }),
    }
}

/// The first byte that nobody has.
fn take_byte(hold: BorrowedFd<'_>, sessions: u32) -> std::io::Result<Option<u32>> {
    for index in 0..sessions {
        if liveness::try_lock(hold, index)? {
            step::at("session: has its byte");
            return Ok(Some(index));
        }
    }
    Ok(None)
}

fn boot_id() -> Result<u128, Error> {
    const PATH: &str = "/proc/sys/kernel/random/boot_id";
    let io = |source| Error::Io { what: "read", path: PATH.into(), source };
    let text = std::fs::read_to_string(PATH).map_err(io)?;
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    u128::from_str_radix(&digits, 16).map_err(|_| io(std::io::ErrorKind::InvalidData.into()))
}

fn boot_id_of(map: &Map) -> u128 {
    let [low, high] = [0, 1].map(|k| map.header().fixed[BOOT_ID_AT + k].load(Relaxed));
    u128::from(low) | u128::from(high) << 64
}

/// Prepares a file that no process of this boot has used. By the holder of the setup lock, while no session lives but ours.
fn restart(table: &Table, boot_id: u128, purpose: Purpose) -> Result<(), Error> {
    let header = table.header();
    let is_new = boot_id_of(table.map()) == 0;
    // Whoever it names is dead.
    let lock = LockWord(header.lock.load(Relaxed)).next_epoch().free();
    header.lock.store(lock.0, Relaxed);
    let prepare = |section: &mut crate::table::Section<'_>| {
        section.reset()?;
        section.restarted(is_new);
        Ok(())
    };
    match purpose {
        Purpose::Use => table.section_after(table.take(), prepare)?,
        Purpose::Repair => table.section_regardless(table.take(), |section| drop(prepare(section)))?,
    }
    step::at("restart: prepared");
    store_boot_id(table, boot_id);
    Ok(())
}

fn store_boot_id(table: &Table, boot_id: u128) {
    for (k, half) in [boot_id as u64, (boot_id >> 64) as u64].into_iter().enumerate() {
        table.header().fixed[BOOT_ID_AT + k].store(half, Relaxed);
        step::at("restart: half of the boot id");
    }
}

/// Follows the dead session that had this number, and takes a generation of our own, before anything else.
fn sign(table: &mut Table, options: &Options, purpose: Purpose, mended: &mut Vec<String>) -> Result<(), Error> {
    let taken = match purpose {
        Purpose::Use => table.take_first(),
        Purpose::Repair => table.take_by_force(true, mended)?,
    };
    let row = table.map().session(table.me());
    let word = SessionWord(row.map_or(0, |row| row.word.load(Relaxed)));
    let generation = word.generation().wrapping_add(1);
    table.set_generation(generation);
    let program = || {
        let program = std::env::current_exe().ok()?;
        Some(program.file_name()?.to_string_lossy().into_owned())
    };
    let name = options.session_name.clone().or_else(program).unwrap_or_default();
    match purpose {
        Purpose::Use => table.section_after(taken, |section| {
            section.sign(generation, &name);
            Ok(())
        }),
        Purpose::Repair => table.section_regardless(taken, |section| section.sign(generation, &name)),
    }
}
