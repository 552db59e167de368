//! `MAKEFLAGS`: what it says of a jobserver, and what we put there.
//!
//! ```text
//!   MAKEFLAGS = [letters] word* [-- variable*]       letters and words as make has them on its command line
//!   auth      = --jobserver-auth=fifo:PATH | --jobserver-auth=R,W | --jobserver-fds=R,W (before make 4.2)
//! ```
//! The last one counts, negative descriptors mean that there is none, and the `n` of a dry run stands in `letters`. GNU
//! Make, ninja and the crate `jobserver` read it in this way. What we write has exactly one `--jobserver-auth`: readers
//! differ in what they make of two.

use std::ffi::{OsStr, OsString};
use std::os::fd::RawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// Where the tokens are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Auth {
    /// In a named pipe.
    Fifo(PathBuf),
    /// In a pipe that is inherited.
    Pipe {
        /// The end to read from.
        read: RawFd,
        /// The end to write to.
        write: RawFd,
    },
}

impl Auth {
    /// As it stands behind `--jobserver-auth=`.
    fn value(&self) -> OsString {
        match self {
            Self::Fifo(path) => {
                let mut value = OsString::from("fifo:");
                value.push(path);
                value
            }
            Self::Pipe { read, write } => format!("{read},{write}").into(),
        }
    }
}

/// Why there is no jobserver to be had from a value of `MAKEFLAGS`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    /// It does not speak of one.
    #[error("it names no jobserver")]
    None,
    /// It says that there is none for this process.
    #[error("it says that the jobserver is not for this process ({0:?})")]
    Disabled(OsString),
    /// It says something that nobody understands.
    #[error("its {0:?} is neither fifo:PATH nor R,W")]
    Broken(OsString),
}

/// What `flags`, a value of `MAKEFLAGS`, says of a jobserver.
pub(crate) fn auth_in(flags: &OsStr) -> Result<Auth, Unusable> {
    let value = |word: &'_ [u8]| {
        let value = word.strip_prefix(b"--jobserver-auth=").or_else(|| word.strip_prefix(b"--jobserver-fds="));
        value.map(<[u8]>::to_vec)
    };
    let words = words_of(flags).take_while(|word| *word != b"--");
    let value = words.filter_map(value).last().ok_or(Unusable::None)?;
    parse(&value).map_err(|broken| broken(OsString::from_vec(value)))
}

fn parse(value: &[u8]) -> Result<Auth, fn(OsString) -> Unusable> {
    if let Some(path) = value.strip_prefix(b"fifo:") {
        return match path {
            b"" => Err(Unusable::Broken),
            path => Ok(Auth::Fifo(PathBuf::from(OsStr::from_bytes(path)))),
        };
    }
    let text = std::str::from_utf8(value).map_err(|_| Unusable::Broken as fn(_) -> _)?;
    let ends = text.split_once(',').and_then(|(read, write)| Some((read.parse().ok()?, write.parse().ok()?)));
    match ends.ok_or(Unusable::Broken as fn(_) -> _)? {
        (read, write) if read < 0 || write < 0 => Err(Unusable::Disabled),
        (read, write) => Ok(Auth::Pipe { read, write }),
    }
}

/// The value of `MAKEFLAGS` that tells make and whoever else reads it of `auth`: what was `there` before, less what it
/// said of jobs and jobservers.
pub(crate) fn with_auth(there: Option<&OsStr>, auth: &Auth, limit: u32) -> OsString {
    let (mut flags, variables) = without_jobs(there.unwrap_or_default());
    flags.extend_from_slice(format!(" -j{limit} --jobserver-auth=").as_bytes());
    flags.extend_from_slice(auth.value().as_bytes());
    flags.extend_from_slice(&variables);
    OsString::from_vec(flags)
}

/// `CARGO_MAKEFLAGS`, in the form that cargo gives it, since cargo and what it starts look there first.
pub(crate) fn for_cargo(auth: &Auth) -> OsString {
    let mut flags = OsString::from("-j");
    // Who knows the old name only knows pipes only.
    let names: &[&str] = match auth {
        Auth::Fifo(_) => &[" --jobserver-auth="],
        Auth::Pipe { .. } => &[" --jobserver-fds=", " --jobserver-auth="],
    };
    for name in names {
        flags.push(name);
        flags.push(auth.value());
    }
    flags
}

/// `flags` less what it says of jobs and jobservers.
pub(crate) fn unlimited(flags: &OsStr) -> OsString {
    let (mut flags, variables) = without_jobs(flags);
    flags.extend_from_slice(&variables);
    OsString::from_vec(flags)
}

/// The flags that have nothing to do with jobs, and the variables with the `--` in front of them.
fn without_jobs(flags: &OsStr) -> (Vec<u8>, Vec<u8>) {
    let (mut kept, mut variables) = (Vec::new(), Vec::new());
    let mut words = words_of(flags).enumerate().peekable();
    while let Some((at, word)) = words.next() {
        if word == b"--" || !variables.is_empty() {
            variables.push(b' ');
            variables.extend_from_slice(word);
            continue;
        }
        // Only the first word may leave the dash out, and not if it is a variable.
        let bare = at == 0 && !word.starts_with(b"-") && !word.contains(&b'=');
        let found = if bare { MAKE.in_letters(word) } else { MAKE.in_word(word) };
        let (kept_of_word, number_follows) = match found {
            Jobs::None if is_jobserver(word) => (&word[..0], false),
            Jobs::None => (word, false),
            // `-k` of `-kj8`; nothing of `-j8` and `--jobs=8`.
            Jobs::Some { before, number_follows } => {
                (if before > 1 || bare { &word[..before] } else { &word[..0] }, number_follows)
            }
        };
        if number_follows {
            words.next_if(|(_, next)| next.iter().all(u8::is_ascii_digit));
        }
        if !kept_of_word.is_empty() {
            // Make takes a first word without a space in front for letters.
            if !bare {
                kept.push(b' ');
            }
            kept.extend_from_slice(kept_of_word);
        }
    }
    (kept, variables)
}

fn is_jobserver(word: &[u8]) -> bool {
    word.starts_with(b"--jobserver-auth=") || word.starts_with(b"--jobserver-fds=")
}

fn words_of(flags: &OsStr) -> impl Iterator<Item = &[u8]> {
    flags.as_bytes().split(|byte| matches!(byte, b' ' | b'\t' | b'\n')).filter(|word| !word.is_empty())
}

/// The letters that a tool takes on its command line, as far as they matter to find its `-j`.
#[derive(Debug)]
pub(crate) struct Letters {
    /// Those with an argument: the rest of the word, or else the next word.
    with_argument: &'static [u8],
    /// Those with an argument only if it follows in the same word.
    with_optional: &'static [u8],
    /// Whether `-j` may stand alone.
    bare_jobs: bool,
    /// The long form.
    long: &'static [u8],
}

/// Those of GNU Make.
pub(crate) const MAKE: Letters =
    Letters { with_argument: b"CEfIoW", with_optional: b"lO", bare_jobs: true, long: b"--jobs" };
/// Those of ninja.
pub(crate) const NINJA: Letters =
    Letters { with_argument: b"Cdfkltw", with_optional: b"", bare_jobs: false, long: b"--jobs" };

/// What a word says of jobs.
#[derive(Debug, PartialEq, Eq)]
enum Jobs {
    None,
    Some { before: usize, number_follows: bool },
}

impl Letters {
    /// The first word of `arguments` that asks for a number of jobs.
    pub(crate) fn jobs_asked<'a>(&self, arguments: &'a [OsString]) -> Option<&'a OsStr> {
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let bytes = word.as_bytes();
            if bytes == b"--" {
                return None;
            }
            if self.in_word(bytes) != Jobs::None {
                return Some(word);
            }
            if self.argument_follows(bytes) {
                words.next();
            }
        }
        None
    }

    fn in_word(&self, word: &[u8]) -> Jobs {
        if let Some(rest) = word.strip_prefix(self.long) {
            let jobs = rest.is_empty() || rest.starts_with(b"=");
            return if jobs { Jobs::Some { before: 0, number_follows: rest.is_empty() } } else { Jobs::None };
        }
        match word {
            [b'-', letters @ ..] if !letters.starts_with(b"-") => match self.in_letters(letters) {
                Jobs::Some { before, number_follows } => Jobs::Some { before: before + 1, number_follows },
                Jobs::None => Jobs::None,
            },
            _ => Jobs::None,
        }
    }

    fn in_letters(&self, letters: &[u8]) -> Jobs {
        for (at, letter) in letters.iter().enumerate() {
            match letter {
                b'j' => {
                    let alone = at + 1 == letters.len();
                    return Jobs::Some { before: at, number_follows: alone };
                }
                letter if self.with_argument.contains(letter) || self.with_optional.contains(letter) => break,
                _ => {}
            }
        }
        Jobs::None
    }

    /// Whether the last letter of `word` has its argument in the next one.
    fn argument_follows(&self, word: &[u8]) -> bool {
        let [b'-', letters @ ..] = word else { return false };
        if letters.starts_with(b"-") {
            return false;
        }
        let takes = |letter: &u8| self.with_argument.contains(letter) || self.with_optional.contains(letter);
        letters
            .iter()
            .position(takes)
            .is_some_and(|at| at + 1 == letters.len() && (self.with_argument.contains(&letters[at]) || !self.bare_jobs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(flags: &str) -> Result<Auth, Unusable> {
        auth_in(OsStr::new(flags))
    }

    fn pipe(read: RawFd, write: RawFd) -> Auth {
        Auth::Pipe { read, write }
    }

    #[test]
    fn the_last_auth_counts_in_either_form() {
        assert_eq!(auth(" -j4 --jobserver-auth=3,4"), Ok(pipe(3, 4)));
        assert_eq!(auth("ks -j --jobserver-fds=3,4 --jobserver-auth=fifo:/tmp/x"), Ok(Auth::Fifo("/tmp/x".into())));
        assert_eq!(auth("--jobserver-auth=fifo:/tmp/x\t--jobserver-auth=5,6 -- A=1"), Ok(pipe(5, 6)));
    }

    #[test]
    fn broken_flags_are_told_apart_from_none() {
        assert_eq!(auth(""), Err(Unusable::None));
        assert_eq!(auth("ks -j4 -- A=--jobserver-auth=3,4"), Err(Unusable::None));
        assert_eq!(auth("-- --jobserver-auth=3,4"), Err(Unusable::None), "a variable is no flag");
        assert_eq!(auth("--jobserver-auth=-2,-2"), Err(Unusable::Disabled("-2,-2".into())));
        for broken in ["", "3", "3,", ",4", "3,4,5", "3;4", "fifo:", "sem0", "99999999999,4"] {
            assert_eq!(auth(&format!("--jobserver-auth={broken}")), Err(Unusable::Broken(broken.into())));
        }
        let bytes = OsStr::from_bytes(b"--jobserver-auth=\xff,3");
        assert!(matches!(auth_in(bytes), Err(Unusable::Broken(_))));
    }

    #[test]
    fn what_was_there_stays_but_for_jobs() {
        let with = |there: &str| with_auth(Some(OsStr::new(there)), &pipe(3, 4), 8).into_string().expect("text");
        const OURS: &str = " -j8 --jobserver-auth=3,4";
        for (there, kept) in [
            ("", ""),
            ("ks", "ks"),
            ("-j", ""),
            ("-j16", ""),
            ("-j 16", ""),
            ("j16", ""),
            ("kj16", "k"),
            ("-kj16", " -k"),
            (" -j2 --jobserver-auth=fifo:/x --jobserver-fds=7,8", ""),
            ("k --no-print-directory --jobs=3 -l2.5", "k --no-print-directory -l2.5"),
            ("-k --jobs 3 -Ij", " -k -Ij"),
            ("-C j", " -C j"),
        ] {
            assert_eq!(with(there), format!("{kept}{OURS}"), "{there:?}");
        }
        assert_eq!(with("k -j2 -- CFLAGS=-j3"), format!("k{OURS} -- CFLAGS=-j3"));
        assert_eq!(with("CFLAGS=-j3"), format!(" CFLAGS=-j3{OURS}"));
        assert_eq!(with_auth(None, &Auth::Fifo("/t/f".into()), 2), " -j2 --jobserver-auth=fifo:/t/f");
        assert_eq!(unlimited(OsStr::new("-j8 -k")), " -k");
    }

    #[test]
    fn there_is_exactly_one_auth() {
        let flags = with_auth(Some(OsStr::new("--jobserver-auth=1,2 --jobserver-auth=fifo:/x")), &pipe(3, 4), 1);
        assert_eq!(flags.to_str().expect("text").matches("--jobserver").count(), 1);
        assert_eq!(for_cargo(&pipe(3, 4)), "-j --jobserver-fds=3,4 --jobserver-auth=3,4");
        assert_eq!(for_cargo(&Auth::Fifo("/t/f".into())), "-j --jobserver-auth=fifo:/t/f");
    }

    #[test]
    fn a_number_of_jobs_is_found_on_the_command_line() {
        let asked = |letters: &Letters, line: &str| {
            let words: Vec<OsString> = line.split(' ').map(Into::into).collect();
            letters.jobs_asked(&words).map(|word| word.to_string_lossy().into_owned())
        };
        for line in ["-j8", "all -j", "-kj4 all", "--jobs=3", "--jobs 3", "-C dir -j4"] {
            assert!(asked(&MAKE, line).is_some(), "{line}");
        }
        for line in [
            "all",
            "-C jdir",
            "-Cj",
            "-f j8",
            "-Oj",
            "-l j",
            "--no-print-directory",
            "J=-j8",
            "-- -j8",
            "--jobserver-style=pipe",
        ] {
            assert_eq!(asked(&MAKE, line), None, "{line}");
        }
        for line in ["-j8", "-vj 8", "-C dir -j 1"] {
            assert!(asked(&NINJA, line).is_some(), "{line}");
        }
        for line in ["all", "-C jdir", "-k 0 all", "-l j", "-t clean", "-d j", "--quiet"] {
            assert_eq!(asked(&NINJA, line), None, "{line}");
        }
    }
}
