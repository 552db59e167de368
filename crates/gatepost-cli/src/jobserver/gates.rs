//! What must hold before another token is offered, besides a permit: free memory, and no pressure.
//!
//! A build that has tokens keeps them; a gate only holds back the next one. So the build goes on with its own job at
//! least, and a gate can never stop it for good. Nothing tells us when a gate opens: it is looked at every [`AGAIN`]
//! while it alone keeps a token back. (The kernel's averages over ten seconds are renewed every two.)
//!
//! Pressure is the share of time in which work stood still for want of something. `io` and `memory` are read from the
//! line `full`: nobody got on, which is when one job more makes all of them slower. `cpu` is read from `some`, as its
//! `full` means nothing for a whole machine.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use crate::machine::limit::bytes;

/// How often a gate that is shut is looked at.
pub(crate) const AGAIN: Duration = Duration::from_millis(500);

/// The gates of a build.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Gates {
    /// Bytes of memory that must be available.
    pub(crate) min_free: Option<u64>,
    /// Pressures that must not be exceeded.
    pub(crate) pressures: Vec<Pressure>,
    /// Where the kernel tells of both.
    pub(crate) proc: PathBuf,
}

impl Default for Gates {
    fn default() -> Self {
        Self { min_free: None, pressures: Vec::new(), proc: PathBuf::from("/proc") }
    }
}

/// A pressure and its bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pressure {
    what: Resource,
    /// In percent of the last ten seconds.
    most: f64,
}

/// What work may stand still for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resource {
    Cpu,
    Io,
    Memory,
}

impl Resource {
    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Io => "io",
            Self::Memory => "memory",
        }
    }

    fn line(self) -> &'static str {
        match self {
            Self::Cpu => "some ",
            Self::Io | Self::Memory => "full ",
        }
    }
}

impl FromStr for Pressure {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const HOW: &str = "write io=20, memory=10 or cpu=80: percent of the last ten seconds";
        let (what, most) = text.split_once('=').ok_or_else(|| format!("{text:?} is no pressure; {HOW}"))?;
        let what = match what {
            "cpu" => Resource::Cpu,
            "io" => Resource::Io,
            "memory" | "mem" => Resource::Memory,
            _ => return Err(format!("the kernel knows no pressure on {what:?}; {HOW}")),
        };
        match most.trim_end_matches('%').parse::<f64>() {
            Ok(most) if (0.0..=100.0).contains(&most) => Ok(Self { what, most }),
            _ => Err(format!("{most:?} is no percentage from 0 to 100; {HOW}")),
        }
    }
}

/// The value of `--min-free`.
pub(crate) fn min_free(text: &str) -> Result<u64, String> {
    bytes(text).ok_or_else(|| format!("{text:?} is no size of memory; write a number and a unit, such as 4G or 500M"))
}

/// Why a gate is shut.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shut {
    /// Too little memory.
    Memory {
        /// What there is.
        available: u64,
        /// What there should be.
        wanted: u64,
    },
    /// Too much pressure.
    Pressure {
        /// On what.
        on: &'static str,
        /// How much.
        now: f64,
        /// How much at most.
        most: f64,
    },
}

impl fmt::Display for Shut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory { available, wanted } => {
                let mib = |bytes: &u64| bytes >> 20;
                write!(f, "{} MiB of memory are available, --min-free wants {}", mib(available), mib(wanted))
            }
            Self::Pressure { on, now, most } => write!(f, "{on} pressure is {now} %, --psi allows {most} %"),
        }
    }
}

impl Gates {
    /// Reads what is needed, once: a gate that can never be looked at is an error before the build starts.
    pub(crate) fn check(&self) -> Result<(), (PathBuf, io::Error)> {
        let missing = |path: &Path, what: &str| {
            let error = io::Error::new(io::ErrorKind::InvalidData, format!("there is no {what} in it"));
            (path.to_owned(), error)
        };
        let read = |path: &Path| fs::read_to_string(path).map_err(|error| (path.to_owned(), error));
        if self.min_free.is_some() {
            let path = self.proc.join("meminfo");
            available(&read(&path)?).ok_or_else(|| missing(&path, "MemAvailable"))?;
        }
        for pressure in &self.pressures {
            let path = self.pressure_file(pressure.what);
            average(&read(&path)?, pressure.what).ok_or_else(|| missing(&path, "avg10"))?;
        }
        Ok(())
    }

    /// The first gate that is shut, if any. What can no longer be read keeps nobody back.
    pub(crate) fn shut(&self) -> Option<Shut> {
        if let Some(wanted) = self.min_free {
            let text = fs::read_to_string(self.proc.join("meminfo")).ok();
            match text.and_then(|text| available(&text)) {
                Some(available) if available < wanted => return Some(Shut::Memory { available, wanted }),
                _ => {}
            }
        }
        self.pressures.iter().find_map(|&Pressure { what, most }| {
            let text = fs::read_to_string(self.pressure_file(what)).ok()?;
            let now = average(&text, what)?;
            (now > most).then_some(Shut::Pressure { on: what.name(), now, most })
        })
    }

    fn pressure_file(&self, what: Resource) -> PathBuf {
        self.proc.join("pressure").join(what.name())
    }
}

/// `MemAvailable` of `/proc/meminfo`, in bytes.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// `avg10` of the line that counts.
fn average(pressure: &str, what: Resource) -> Option<f64> {
    let line = pressure.lines().find_map(|line| line.strip_prefix(what.line()))?;
    line.split(' ').find_map(|field| field.strip_prefix("avg10="))?.parse().ok()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A `/proc` of our own.
    pub(crate) fn proc(mib: u64, io: f64, memory: f64) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir(dir.path().join("pressure")).expect("a folder");
        let meminfo =
            format!("MemTotal:       16384 kB\nMemFree:  1 kB\nMemAvailable:   {} kB\nBuffers: 1 kB\n", mib << 10);
        fs::write(dir.path().join("meminfo"), meminfo).expect("written");
        for (name, full) in [("io", io), ("memory", memory)] {
            let text = format!(
                "some avg10=99.00 avg60=0.00 avg300=0.00 total=1\nfull avg10={full:.2} avg60=99.00 avg300=0.00 total=1\n"
            );
            fs::write(dir.path().join("pressure").join(name), text).expect("written");
        }
        dir
    }

    fn gates(dir: &tempfile::TempDir, min_free: Option<&str>, pressures: &[&str]) -> Gates {
        Gates {
            min_free: min_free.map(|text| super::min_free(text).expect("a size")),
            pressures: pressures.iter().map(|text| text.parse().expect("a pressure")).collect(),
            proc: dir.path().to_owned(),
        }
    }

    #[test]
    fn memory_below_the_bound_shuts_and_at_the_bound_does_not() {
        let dir = proc(2048, 0.0, 0.0);
        assert_eq!(gates(&dir, Some("2G"), &[]).shut(), None);
        let shut = gates(&dir, Some("3G"), &[]).shut().expect("shut");
        assert_eq!(shut.to_string(), "2048 MiB of memory are available, --min-free wants 3072");
    }

    #[test]
    fn pressure_above_the_bound_shuts_and_at_the_bound_does_not() {
        let dir = proc(1, 20.0, 10.5);
        assert_eq!(gates(&dir, None, &["io=20"]).shut(), None);
        let shut = gates(&dir, None, &["io=20", "memory=10"]).shut().expect("shut");
        assert_eq!(shut.to_string(), "memory pressure is 10.5 %, --psi allows 10 %");
    }

    #[test]
    fn what_cannot_be_read_is_an_error_at_first_and_no_gate_later() {
        let dir = proc(1, 99.0, 99.0);
        let cpu = gates(&dir, None, &["cpu=50"]);
        let (path, _) = cpu.check().expect_err("there is no such file");
        assert!(path.ends_with("pressure/cpu"));
        assert_eq!(cpu.shut(), None);
        fs::write(dir.path().join("meminfo"), "MemTotal: 1 kB\n").expect("written");
        let (_, error) = gates(&dir, Some("1"), &[]).check().expect_err("no such line");
        assert!(error.to_string().contains("MemAvailable"), "{error}");
        assert!(gates(&dir, None, &["io=1"]).check().is_ok());
        assert!(Gates::default().check().is_ok() && Gates::default().shut().is_none());
    }

    #[test]
    fn bounds_are_written_as_name_and_percentage() {
        let pressure = |text: &str| text.parse::<Pressure>();
        assert_eq!(pressure("io=20"), Ok(Pressure { what: Resource::Io, most: 20.0 }));
        assert_eq!(pressure("mem=2.5%"), Ok(Pressure { what: Resource::Memory, most: 2.5 }));
        for wrong in ["io", "disk=3", "io=101", "io=-1", "io=many", "io=NaN", ""] {
            assert!(pressure(wrong).is_err_and(|error| error.contains("io=20")), "{wrong}");
        }
        assert!(min_free("4 apples").unwrap_err().contains("4G"));
        assert_eq!(min_free("4G"), Ok(4 << 30));
    }
}
