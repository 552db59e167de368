//! A run inside of a run that holds permits of the same semaphore.
//!
//! It would wait for permits that are only given back after it has ended: for ever, once the limit is reached. So each run
//! tells its descendants, in `GATEPOST_HELD`, which permits it and those around it hold: `PATH:ID`, one a line (in a
//! path, a line feed is `\n` and a backslash is `\\`). What is
//! said there counts only while the permit is held in fact: an environment may be older than the run.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use gatepost_shared::{PermitId, Semaphore};

use crate::error::Error;

/// The variable.
pub(crate) const VARIABLE: &str = "GATEPOST_HELD";

/// A permit that a run around us holds, or held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ancestor {
    path: PathBuf,
    id: PermitId,
}

/// Those that our environment names.
pub(crate) fn ancestors() -> Vec<Ancestor> {
    std::env::var_os(VARIABLE).map(|text| parse(&text)).unwrap_or_default()
}

fn parse(text: &OsStr) -> Vec<Ancestor> {
    let lines = text.as_bytes().split(|byte| *byte == b'\n');
    lines
        .filter_map(|line| {
            let at = line.iter().rposition(|byte| *byte == b':')?;
            let id = std::str::from_utf8(&line[at + 1..]).ok()?.parse().ok()?;
            Some(Ancestor { path: OsString::from_vec(unescaped(&line[..at])).into(), id })
        })
        .collect()
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = text.iter();
    let mut path = Vec::with_capacity(text.len());
    while let Some(&byte) = bytes.next() {
        path.push(match byte {
            b'\\' => bytes.next().map_or(b'\\', |&byte| if byte == b'n' { b'\n' } else { byte }),
            _ => byte,
        });
    }
    path
}

fn escaped(path: &Path) -> Vec<u8> {
    let mut text = Vec::new();
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'\n' => text.extend(b"\\n"),
            b'\\' => text.extend(b"\\\\"),
            _ => text.push(byte),
        }
    }
    text
}

/// What our own descendants are told: all that was held around us, and what we hold.
pub(crate) fn for_descendants<'a>(
    around: &[Ancestor],
    held: impl IntoIterator<Item = (&'a Path, PermitId)>,
) -> OsString {
    let ours = held.into_iter().map(|(path, id)| Ancestor { path: absolute(path), id });
    let lines = around.iter().cloned().chain(ours).map(|ancestor| {
        let mut line = escaped(&ancestor.path);
        line.extend_from_slice(format!(":{}", ancestor.id).as_bytes());
        line
    });
    OsString::from_vec(lines.collect::<Vec<_>>().join(&b'\n'))
}

/// The permit of `semaphore` that a run around us holds, and how many it is, if there is one.
pub(crate) fn held_around(around: &[Ancestor], semaphore: &Semaphore) -> Result<Option<(PermitId, u32)>, Error> {
    let path = absolute(semaphore.path());
    let named: Vec<_> = around.iter().filter(|ancestor| ancestor.path == path).collect();
    if named.is_empty() {
        return Ok(None);
    }
    let holders = semaphore.status()?.holders;
    let mut there = holders.iter().filter(|holder| named.iter().any(|ancestor| ancestor.id == holder.id));
    Ok(there.next().map(|holder| (holder.id, holder.permits)))
}

/// `path` as it is called everywhere.
fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_no_ancestor() {
        let found = parse(OsStr::new("/a/b:c.gate:57\nnonsense\n/x:\n:y\n/d.gate:3"));
        let ancestor = |path: &str, id: u64| Ancestor { path: path.into(), id: id.into() };
        assert_eq!(found, [ancestor("/a/b:c.gate", 57), ancestor("/d.gate", 3)]);
    }

    #[test]
    fn any_path_is_read_as_it_was_written() {
        let odd = ["/a\nb\\n\\c.gate", "/x:7\n/y:8", "\\", "/d.gate"];
        let around = odd.map(|path| Ancestor { path: path.into(), id: 5.into() });
        assert_eq!(parse(&for_descendants(&around, [])), around);
    }
}
