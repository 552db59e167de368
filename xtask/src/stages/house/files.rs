//! The files of the project: what git tracks or would track; without git, everything that is not built.

use crate::process::Step;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Paths as seen from `root`, lock files left out.
pub(crate) fn of(root: &Path) -> io::Result<Vec<PathBuf>> {
    let git = Step::new("git").arg("-C").arg(root).args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
        "--deduplicate",
    ]);
    let mut paths: Vec<PathBuf> = match git.answer() {
        Some(list) => list.split_terminator('\0').map(PathBuf::from).collect(),
        None => walked(root)?,
    };
    paths.retain(|path| path.file_name().is_none_or(|name| name != "Cargo.lock"));
    paths.sort();
    Ok(paths)
}

/// An unpacked archive has no git.
fn walked(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                if entry.file_name() != "target" && entry.file_name() != ".git" {
                    folders.push(path);
                }
            } else if let Ok(path) = path.strip_prefix(root) {
                found.push(path.to_path_buf());
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_find_this_file_and_no_lock_file() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let this = Path::new("xtask/src/stages/house/files.rs");
        let listed = of(&root).expect("a list");
        assert!(listed.iter().any(|path| path == this));
        assert!(listed.iter().all(|path| path != Path::new("Cargo.lock")));
        assert!(walked(&root).expect("a walk").iter().any(|path| path == this));
    }
}
