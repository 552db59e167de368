//! A limit as it is written, and what it comes to on this machine.

use std::fmt;
use std::fs;
use std::num::NonZeroU32;
use std::path::Path;
use std::str::FromStr;

use bytesize::ByteSize;

use crate::values;

/// A limit of a semaphore of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// A number; 0 admits nobody.
    Count(u32),
    /// The CPUs that this process may use, divided.
    Cores {
        /// By this.
        divisor: NonZeroU32,
    },
    /// The memory that this process may use, divided.
    Memory {
        /// By so many bytes.
        unit: u64,
    },
}

/// How a limit is written.
const HOW: &str = "write a whole number, cores, cores/2, or mem/3G";

impl Limit {
    /// The number that it is here. A share of something is never less than 1.
    pub(crate) fn count(self) -> u32 {
        let at_least_one = |count: u64| u32::try_from(count).unwrap_or(u32::MAX).max(1);
        match self {
            Self::Count(count) => count,
            Self::Cores { divisor } => at_least_one(values::cpus() as u64 / u64::from(divisor.get())),
            Self::Memory { unit } => at_least_one(memory() / unit),
        }
    }
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            None if text == "cores" => Ok(Self::Cores { divisor: NonZeroU32::MIN }),
            None => text.parse().map(Self::Count).map_err(|_| format!("{text:?} is no limit; {HOW}")),
            Some(("cores", divisor)) => divisor
                .parse()
                .map(|divisor| Self::Cores { divisor })
                .map_err(|_| format!("{divisor:?} is nothing to divide by; {HOW}")),
            Some(("mem", unit)) => match bytes(unit) {
                Some(unit) if unit > 0 => Ok(Self::Memory { unit }),
                _ => Err(format!("{unit:?} is no size of memory; {HOW}")),
            },
            Some(_) => Err(format!("{text:?} is no limit; {HOW}")),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Cores { divisor } => write!(f, "cores/{divisor}"),
            Self::Memory { unit } => write!(f, "mem/{unit}"),
        }
    }
}

/// A size in bytes. A bare K, M, G or T is a power of 1024, as `head -c` and `ulimit` have it; KB, MB, GB of 1000.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    let binary = text.ends_with(['k', 'K', 'm', 'M', 'g', 'G', 't', 'T']);
    let parsed = if binary { format!("{text}iB").parse::<ByteSize>() } else { text.parse() };
    parsed.ok().map(|size| size.as_u64())
}

/// The bytes of memory that this process may use: the machine's, or its control group's if that has fewer.
fn memory() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_of(&text)).unwrap_or(u64::MAX);
    let group = fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| allowed_by(&text));
    group.map_or(machine, |group| machine.min(group))
}

/// `MemTotal` of `/proc/meminfo`, in bytes.
fn total_of(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The least `memory.max` of the control group of version 2 in `cgroup`, and of those above it.
fn allowed_by(cgroup: &str) -> Option<u64> {
    let group = cgroup.lines().find_map(|line| line.strip_prefix("0::"))?;
    let group = Path::new("/sys/fs/cgroup").join(group.trim_start_matches('/'));
    let limits = group.ancestors().take_while(|path| path.starts_with("/sys/fs/cgroup"));
    limits.filter_map(|path| fs::read_to_string(path.join("memory.max")).ok()?.trim().parse().ok()).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_numbers_or_shares_of_the_machine() {
        assert_eq!("8".parse(), Ok(Limit::Count(8)));
        assert_eq!("0".parse(), Ok(Limit::Count(0)));
        assert_eq!("mem/3G".parse(), Ok(Limit::Memory { unit: 3 << 30 }));
        assert_eq!("mem/1GB".parse(), Ok(Limit::Memory { unit: 1_000_000_000 }));
        assert_eq!("cores".parse::<Limit>().map(Limit::count), Ok(values::cpus() as u32));
        for wrong in
            ["", "-1", "many", "cores/0", "cores/", "cores/x", "mem", "mem/", "mem/0", "mem/3Q", "cpu/2", "1/2"]
        {
            assert!(wrong.parse::<Limit>().is_err(), "{wrong:?} is no limit");
        }
    }

    #[test]
    fn a_share_is_at_least_one() {
        assert_eq!("cores/100000".parse::<Limit>().map(Limit::count), Ok(1));
        assert_eq!("mem/1000T".parse::<Limit>().map(Limit::count), Ok(1));
        assert!(Limit::Memory { unit: 1 << 20 }.count() > 1, "a machine with a megabyte runs no test");
    }

    #[test]
    fn the_machines_memory_is_read() {
        assert_eq!(total_of("MemFree: 1 kB\nMemTotal:       16 kB\n"), Some(16 << 10));
        assert_eq!(total_of("nothing"), None);
        assert_eq!(allowed_by("1:name=systemd:/x\n"), None);
    }
}
