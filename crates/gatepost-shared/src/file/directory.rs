//! Names, and the folder in which they are files.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::options::Options;

/// What a file's name ends in.
const EXTENSION: &str = "gate";

/// The folder of the names, where none is given: `$GATEPOST_DIR`; or `gatepost` in `$XDG_RUNTIME_DIR`, or in `/run/user/UID`;
/// or `/run/gatepost`, which an administrator makes for all users; or `/tmp/gatepost-UID`.
///
/// All of them, but perhaps the first, are in memory or emptied when the machine starts.
///
/// ```
/// println!("semaphores are in {}", gatepost_shared::default_directory().display());
/// ```
#[must_use]
pub fn default_directory() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let uid = rustix::process::geteuid().as_raw();
    if let Some(directory) = set("GATEPOST_DIR") {
        return directory;
    }
    if let Some(runtime) = set("XDG_RUNTIME_DIR").filter(|path| path.is_absolute()) {
        return runtime.join("gatepost");
    }
    let of_user = PathBuf::from(format!("/run/user/{uid}"));
    if of_user.is_dir() {
        return of_user.join("gatepost");
    }
    let of_all = PathBuf::from("/run/gatepost");
    if of_all.is_dir() || uid == 0 && Path::new("/run").is_dir() {
        return of_all;
    }
    PathBuf::from(format!("/tmp/gatepost-{uid}"))
}

/// A name, and where its file is.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// Whether the folder is ours to make.
    is_named: bool,
}

impl Place {
    /// Where `name` is: in the folder, or, if there is a slash in it, where it says.
    pub(crate) fn of(name: &str, options: &Options) -> Result<Self, Error> {
        let wrong = |why| Error::Name { name: name.to_owned(), why };
        if name.contains('\0') {
            return Err(wrong("there is a NUL in it"));
        }
        if name.contains('/') {
            let path = PathBuf::from(name);
            let stem = path.file_name().ok_or_else(|| wrong("there is no file's name at its end"))?;
            let stem = stem.to_string_lossy();
            let name = stem.strip_suffix(".gate").filter(|stem| !stem.is_empty()).unwrap_or(&stem).to_owned();
            return Ok(Self { name, path, is_named: false });
        }
        check_name(name).map_err(wrong)?;
        let directory = options.directory.clone().unwrap_or_else(default_directory);
        Ok(Self { name: name.to_owned(), path: directory.join(format!("{name}.{EXTENSION}")), is_named: true })
    }

    /// The folder that the file is in.
    pub(crate) fn directory(&self) -> &Path {
        match self.path.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => Path::new("/"),
        }
    }

    /// Makes the folder, if it is the folder of the names, and looks whether others could put their files in the place of ours.
    pub(crate) fn prepare_directory(&self, create: bool) -> Result<(), Error> {
        let path = self.directory();
        if create && self.is_named && !path.exists() {
            let for_all = path == Path::new("/run/gatepost");
            let made = fs::DirBuilder::new().recursive(true).mode(if for_all { 0o1777 } else { 0o700 }).create(path);
            let io = |what, source| Error::Io { what, path: path.to_owned(), source };
            made.map_err(|source| io("create the folder", source))?;
            if for_all {
                // The mask of the process took the right to write away.
                let all = std::os::unix::fs::PermissionsExt::from_mode(0o1777);
                fs::set_permissions(path, all).map_err(|source| io("open to all users the folder", source))?;
            }
        }
        let Ok(folder) = fs::metadata(path) else { return Ok(()) };
        let own = rustix::process::geteuid().as_raw();
        let refuse = |what: String, remedy| Err(Error::Refused { path: path.to_owned(), what, remedy });
        let is_theirs = |link: &fs::Metadata| link.is_symlink() && link.uid() != own && link.uid() != 0;
        if let Some(link) = fs::symlink_metadata(path).ok().filter(|link| self.is_named && is_theirs(link)) {
            return refuse(
                format!("it is a symbolic link of user {}, who can point it elsewhere at any time", link.uid()),
                "use a folder of your own (GATEPOST_DIR)",
            );
        }
        if self.is_named && folder.uid() != own && folder.uid() != 0 {
            return refuse(
                format!("the folder belongs to user {}, who could put any file there", folder.uid()),
                "use a folder of your own (GATEPOST_DIR)",
            );
        }
        let by_others = folder.mode() & 0o002 != 0 && folder.mode() & 0o1000 == 0;
        if self.is_named && by_others {
            return refuse(
                format!("everybody may replace files in the folder (mode {:o})", folder.mode() & 0o7777),
                "take that right away (chmod o-w, or chmod +t), or use another folder (GATEPOST_DIR)",
            );
        }
        Ok(())
    }
}

fn check_name(name: &str) -> Result<(), &'static str> {
    match name.as_bytes() {
        [] => Err("it is empty"),
        [b'.', ..] => Err("it begins with a dot"),
        [b'-', ..] => Err("it begins with a dash"),
        bytes if bytes.len() > 64 => Err("it is longer than 64 bytes"),
        bytes if bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(b)) => Ok(()),
        _ => Err("there is another character in it"),
    }
}

/// The semaphores of a folder, by name, in order. A folder that does not exist has none.
pub(crate) fn list_in(directory: &Path) -> Result<Vec<(String, PathBuf)>, Error> {
    let io = |source| Error::Io { what: "list the folder", path: directory.to_owned(), source };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(io)?.path();
        let is_gate = path.extension().is_some_and(|extension| extension == EXTENSION);
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        if let Some(stem) = stem.filter(|stem| is_gate && check_name(stem).is_ok()) {
            found.push((stem.to_owned(), path.clone()));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_file_of_the_folder_and_a_path_is_itself() {
        let options = Options::new().directory("/d");
        let place = Place::of("build-2.x", &options).expect("a name");
        assert_eq!((place.name.as_str(), place.path.to_str()), ("build-2.x", Some("/d/build-2.x.gate")));
        let place = Place::of("./b.gate", &options).expect("a path");
        assert_eq!((place.name.as_str(), place.directory()), ("b", Path::new(".")));
        for bad in ["", ".x", "-x", "a b", "ä", "..", &"x".repeat(65), "a\0b", "/"] {
            assert!(matches!(Place::of(bad, &options), Err(Error::Name { .. })), "{bad:?}");
        }
    }
}
