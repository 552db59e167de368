//! Peers that are programs: other languages, and another version of a crate that this process already links.
//!
//! | step | when | if it fails |
//! |---|---|---|
//! | build | before anything is measured, into `bench/target/programs` | its peers are reported missing, with what to install |
//! | start | once | the same |
//! | ask | for each sample, in turn with the peers in this process | that peer is left out from there on |
//! | retire | at the end: its input ends | it is killed after a while |

mod session;

pub(crate) use session::{Refused, Session};

use crate::glob;
use anyhow::{Context as _, Result, bail};
use gatepost_bench_kit::result::Missing;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::SystemTime;

/// A program that can be built.
struct Program {
    /// Its folder, and the name of what is built.
    folder: &'static str,
    /// The peers that it has if all is well.
    peers: &'static [&'static str],
    build: fn(&Path, &Path) -> Result<Built>,
}

/// A program that was built.
struct Built {
    executable: PathBuf,
    /// Peers that were left out: lines of the build.
    said: String,
}

const PROGRAMS: &[Program] = &[
    Program {
        folder: "gatepost-plain",
        peers: &[
            "gatepost, no features",
            "gatepost barging, no features",
            "gatepost Sema, no features",
            "gatepost RawSema, no features",
        ],
        build: cargo,
    },
    Program { folder: "tokio-1.53", peers: &["tokio 1.53.3"], build: cargo },
    Program {
        folder: "go",
        peers: &["Go sync.Mutex", "Go channel", "Go x/sync", "Go runtime sema", "Go runtime sema handoff"],
        build: script,
    },
    Program { folder: "java", peers: &["Java Semaphore fair", "Java Semaphore"], build: script },
    Program { folder: "cpp", peers: &["C++ counting_semaphore"], build: script },
];

/// Names of every peer that is a program.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    PROGRAMS.iter().flat_map(|program| program.peers).copied()
}

/// Builds and starts each program that has a peer which is wanted.
pub(crate) fn start(wanted: &[String], mut at: impl FnMut(&str)) -> (Vec<Session>, Vec<Missing>) {
    let (mut sessions, mut missing) = (Vec::new(), Vec::new());
    for program in PROGRAMS {
        if !program.peers.iter().any(|name| glob::any(wanted, name)) {
            continue;
        }
        at(program.folder);
        match build_and_start(program) {
            Ok((session, said)) => {
                let absent = session.hello.absent.iter();
                missing.extend(absent.map(|absent| Missing { peer: absent.name.clone(), why: absent.why.clone() }));
                // A peer that is there is none of those that the build left out, whatever it said.
                for name in program.peers {
                    let known = session.hello.peers.iter().any(|peer| peer.name == *name)
                        || missing.iter().any(|missing| missing.peer == *name);
                    if !known {
                        let why =
                            said.lines().find(|line| line.contains(name)).unwrap_or("its program does not have it");
                        missing.push(Missing { peer: (*name).to_owned(), why: why.to_owned() });
                    }
                }
                sessions.push(session);
            }
            Err(error) => {
                let why = format!("{error:#}");
                missing.extend(program.peers.iter().map(|&peer| Missing { peer: peer.to_owned(), why: why.clone() }));
            }
        }
    }
    missing.retain(|missing| glob::any(wanted, &missing.peer));
    (sessions, missing)
}

fn build_and_start(program: &Program) -> Result<(Session, String)> {
    let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (source, out) =
        (bench.join("programs").join(program.folder), bench.join("target/programs").join(program.folder));
    if !source.is_dir() {
        bail!("its sources are not there: {}", source.display());
    }
    std::fs::create_dir_all(&out).with_context(|| format!("{} cannot be made", out.display()))?;
    let built = (program.build)(&source, &out)?;
    let session = Session::start(Command::new(&built.executable))
        .with_context(|| format!("{} does not start", built.executable.display()))?;
    Ok((session, built.said))
}

/// Runs a build and returns what it said, if it went well.
fn run(command: &mut Command) -> Result<Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).output().with_context(|| format!("`{name}` cannot be run: is it on the PATH?"))
}

/// The last lines of a failed build: there the reason stands.
fn end_of(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(3)..].join(" / ")
}

/// A folder with a script `build`, which need not run if nothing has changed since it did.
fn script(source: &Path, out: &Path) -> Result<Built> {
    let executable = out.join(source.file_name().context("a folder has a name")?);
    let said = out.join("build-said.txt");
    if let Ok(said) = std::fs::read_to_string(&said)
        && newest(source)? < changed(&executable)
    {
        return Ok(Built { executable, said });
    }
    let output = run(Command::new("sh").arg(source.join("build")).arg(out))?;
    match output.status.code() {
        Some(0) => {}
        Some(3) => bail!("{}", end_of(&output)),
        _ => bail!("it cannot be built, {}: {}", output.status, end_of(&output)),
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    std::fs::write(&said, &text).with_context(|| format!("{} cannot be written", said.display()))?;
    Ok(Built { executable, said: text })
}

/// When a file was changed; of one that is not there, long ago.
fn changed(path: &Path) -> SystemTime {
    path.metadata().and_then(|file| file.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// When anything in a folder was changed last.
fn newest(folder: &Path) -> Result<SystemTime> {
    let mut newest = changed(folder);
    for entry in std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        let path = entry?.path();
        newest = newest.max(if path.is_dir() { self::newest(&path)? } else { changed(&path) });
    }
    Ok(newest)
}

/// A Cargo workspace of its own.
fn cargo(source: &Path, out: &Path) -> Result<Built> {
    // The one that runs us, if one does.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--locked", "--manifest-path"]).arg(source.join("Cargo.toml"));
    let output = run(command.arg("--target-dir").arg(out))?;
    if !output.status.success() {
        bail!("it cannot be built, {}: {}", output.status, end_of(&output));
    }
    let manifest = std::fs::read_to_string(source.join("Cargo.toml"))?;
    let name = manifest.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    let name = name.context("its manifest has no name")?;
    Ok(Built { executable: out.join("release").join(name), said: String::new() })
}
