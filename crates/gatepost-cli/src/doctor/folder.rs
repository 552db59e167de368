//! The folder of the semaphores: its rights, its file system, and the semaphores in it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use gatepost_shared::Observer;
use rustix::fs::{Mode, OFlags, open, statfs};
use rustix::process::geteuid;

use super::Finding;
use crate::machine::open::Place;

/// Kinds of file system by their magic number, and whether one machine has them to itself.
const KINDS: [(u32, &str, bool); 19] = [
    (0x0102_1994, "tmpfs", true),
    (0x8584_58f6, "ramfs", true),
    (0xef53, "ext4", true),
    (0x5846_5342, "xfs", true),
    (0x9123_683e, "btrfs", true),
    (0x2fc1_2fc1, "zfs", true),
    (0x794c_7630, "overlayfs", true),
    (0xf2f5_2010, "f2fs", true),
    (0xca45_1a4e, "bcachefs", true),
    (0x6969, "NFS", false),
    (0xff53_4d42, "CIFS", false),
    (0xfe53_4d42, "SMB", false),
    (0x517b, "SMB", false),
    (0x5346_414f, "AFS", false),
    (0x00c3_6400, "Ceph", false),
    (0x0102_1997, "9p", false),
    (0x6573_5546, "FUSE", false),
    (0x7461_636f, "OCFS2", false),
    (0x0bd0_0bd0, "Lustre", false),
];

pub(super) fn look(directory: &Path, place: &Place) -> Vec<Finding> {
    // A folder that is not there yet is made by the first semaphore.
    let there = directory.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let mut findings = vec![rights(directory, there), file_system(there)];
    if there == directory {
        findings.push(unnamed_files(there));
        findings.extend(semaphores(directory, place));
    }
    findings
}

fn rights(directory: &Path, there: &Path) -> Finding {
    const CHECK: &str = "folder";
    let metadata = match fs::metadata(there) {
        Ok(metadata) => metadata,
        Err(error) => {
            return Finding::bad(
                CHECK,
                format!("{}: {error}", there.display()),
                "set GATEPOST_DIR to a folder of yours",
            );
        }
    };
    if !metadata.is_dir() {
        return Finding::bad(CHECK, format!("{} is no folder", there.display()), "set GATEPOST_DIR to a folder");
    }
    let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
    let found = format!("{}, mode {mode:04o}, owner {owner}", there.display());
    if rustix::fs::access(there, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_err() {
        return Finding::bad(
            CHECK,
            format!("{found}: not writable"),
            "set GATEPOST_DIR to a folder of yours, or ask its owner",
        );
    }
    if there != directory {
        return Finding::note(CHECK, found, format!("{} is made there by the first semaphore", directory.display()));
    }
    if mode & 0o002 != 0 && mode & 0o1000 == 0 {
        // No semaphore is opened there by its name.
        return Finding::bad(
            CHECK,
            format!("{found}: everybody may replace files in it"),
            "take that right away (chmod o-w, or chmod +t), or set GATEPOST_DIR to another folder",
        );
    }
    if mode & 0o020 != 0 && mode & 0o1000 == 0 {
        let advice = "its group can take its files away or put theirs in place; chmod +t, or g-w";
        return Finding::note(CHECK, found, advice);
    }
    if owner != geteuid().as_raw() && owner != 0 {
        return Finding::note(CHECK, found, "it is another user's, who can take its files away");
    }
    Finding::ok(CHECK, found)
}

fn file_system(there: &Path) -> Finding {
    const CHECK: &str = "file system";
    let kind = match statfs(there) {
        Ok(answer) => answer.f_type as u32,
        Err(error) => {
            return Finding::bad(CHECK, error.to_string(), "set GATEPOST_DIR to a folder that can be looked at");
        }
    };
    match KINDS.iter().find(|(magic, ..)| *magic == kind) {
        Some((_, name, true)) => Finding::ok(CHECK, *name),
        Some((_, name, false)) => Finding::bad(
            CHECK,
            *name,
            "one machine does not see at once what another one writes; set GATEPOST_DIR to a folder in memory or on a local disk",
        ),
        None => Finding::note(CHECK, format!("of kind {kind:#x}"), "not known here; it must be of this machine alone"),
    }
}

fn unnamed_files(directory: &Path) -> Finding {
    match open(directory, OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR) {
        Ok(_) => Finding::ok("creation", "files can be made whole before they have a name (O_TMPFILE)"),
        Err(error) => Finding::note(
            "creation",
            format!("no O_TMPFILE: {error}"),
            "a file system that has it is safer: tmpfs, ext4, xfs, btrfs",
        ),
    }
}

fn semaphores(directory: &Path, place: &Place) -> Vec<Finding> {
    const CHECK: &str = "semaphores";
    let list = match gatepost_shared::list(directory) {
        Ok(list) => list,
        Err(gatepost_shared::Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return vec![Finding::bad(CHECK, error.to_string(), "see the folder")],
    };
    if list.is_empty() {
        return vec![Finding::ok(CHECK, "none yet")];
    }
    let of_one = |(name, _): (String, _)| {
        let status = Observer::open(&name, &place.options()).and_then(|observer| observer.status());
        match status {
            Ok(status) => match status.damage {
                None => {
                    let waiting = status.waiters.len();
                    Finding::ok(CHECK, format!("{name}: {}/{} used, {waiting} waiting", status.used, status.limit))
                }
                Some(damage) => Finding::bad(CHECK, format!("{name}: {damage}"), format!("gatepost repair {name}")),
            },
            Err(error) => {
                Finding::note(CHECK, format!("{name}: {error}"), "this one cannot be used; others are not concerned")
            }
        }
    };
    list.into_iter().map(of_one).collect()
}
