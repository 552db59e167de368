//! Which file systems have shared memory and locks that every process of the machine sees at once.

use std::os::fd::BorrowedFd;
use std::path::Path;

use crate::error::Error;

/// File systems on which another machine, or a program, may be on the other side.
const REFUSED: [(u64, &str); 14] = [
    (0x6969, "NFS"),
    (0xFF53_4D42, "CIFS"),
    (0xFE53_4D42, "SMB2"),
    (0x517B, "SMB"),
    (0x0102_1997, "9P"),
    (0x6573_5546, "FUSE, or virtiofs"),
    (0x5346_414F, "AFS"),
    (0x7375_7245, "Coda"),
    (0x00C3_6400, "Ceph"),
    (0x0116_1970, "GFS2"),
    (0x7461_636F, "OCFS2"),
    (0x0BD0_0BD0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x6163_6673, "ACFS"),
];

/// An error if `file` is on one of them, unless that was asked for.
pub(super) fn check(file: BorrowedFd<'_>, path: &Path, allowed: bool) -> Result<(), Error> {
    let io = |source: rustix::io::Errno| Error::Io {
        what: "ask for the file system of",
        path: path.into(),
        source: source.into(),
    };
    let kind = rustix::fs::fstatfs(file).map_err(io)?.f_type as u64 & 0xFFFF_FFFF;
    match name_of_refused(kind) {
        Some(kind) if !allowed => Err(Error::FileSystem { path: path.to_owned(), kind: kind.to_owned() }),
        _ => Ok(()),
    }
}

fn name_of_refused(kind: u64) -> Option<&'static str> {
    REFUSED.into_iter().find_map(|(refused, name)| (refused == kind).then_some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_refused_and_memory_is_not() {
        assert_eq!(name_of_refused(0x6969), Some("NFS"));
        assert_eq!(name_of_refused(0x0102_1994), None, "tmpfs");
    }
}
