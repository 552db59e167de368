//! Where semaphores are and how they are opened: the options that the commands of the scope share.

use std::fs;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use gatepost_shared::{Options, Policy, Semaphore};
use rustix::fs::fstat;

use super::limit::Limit;
use super::name::{PermitName, Wanted};
use crate::error::Error;

/// Where a semaphore's file is: for every command of the scope.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Place {
    /// Look for semaphores in DIR [default: $GATEPOST_DIR, or gatepost in $XDG_RUNTIME_DIR or /run]
    ///
    /// A NAME with a slash in it is the path of the semaphore's file, wherever DIR is.
    #[arg(long, value_name = "DIR", help_heading = "Semaphore")]
    dir: Option<PathBuf>,

    /// Use a file on a network file system, where the limit holds for each machine by itself
    #[arg(long, hide_short_help = true, help_heading = "Semaphore")]
    unsafe_nfs: bool,
}

impl Place {
    /// What to open with; no limit, so nothing is created.
    pub(crate) fn options(&self) -> Options {
        let options = Options::new().unsafe_network_file_system(self.unsafe_nfs);
        match &self.dir {
            Some(dir) => options.directory(dir),
            None => options,
        }
    }

    /// The folder of the names.
    pub(crate) fn directory(&self) -> PathBuf {
        self.dir.clone().unwrap_or_else(gatepost_shared::default_directory)
    }

    /// Opens what is there.
    pub(crate) fn open(&self, name: &str) -> Result<Semaphore, Error> {
        Ok(Semaphore::open(name, &self.options())?)
    }

    /// Opens what `permit` belongs to.
    pub(crate) fn open_of(&self, permit: &PermitName) -> Result<Semaphore, Error> {
        self.open(&permit.name).map_err(|error| match error {
            // A limit, which would create it, is of no use here.
            Error::Shared(gatepost_shared::Error::NotFound { name, path, .. }) => {
                Error::NoSuchSemaphore { permit: permit.to_string(), name, path }
            }
            error => error,
        })
    }
}

/// How a semaphore is made, if it is not there: for the commands that take permits.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Making {
    /// Where it is.
    #[command(flatten)]
    pub(crate) place: Place,

    /// Create the semaphore with this limit, or insist on it: a number, cores, cores/2, mem/3G
    ///
    /// `cores` is the number of CPUs that this process may use, `mem/3G` its memory divided by 3 GiB; a share is at
    /// least 1. If the semaphore has another limit already, that is an error which says both numbers. With several
    /// semaphores, say whose limit it is: --limit build=8 --limit link=2.
    #[arg(long, value_name = "[NAME=]LIMIT", allow_negative_numbers = true, help_heading = "Semaphore")]
    limit: Vec<NamedLimit>,

    /// Change the limit to that of --limit, for everybody
    #[arg(long, requires = "limit", help_heading = "Semaphore")]
    set_limit: bool,

    /// In which order waiters are served [default: as it is, or fifo]
    #[arg(long, value_enum, value_name = "POLICY", help_heading = "Semaphore")]
    policy: Option<PolicyName>,

    /// Create the semaphore for all users of this group (name or number), not for this user alone
    #[arg(long, value_name = "GROUP", hide_short_help = true, value_parser = group, help_heading = "Semaphore")]
    group: Option<u32>,
}

/// The policies by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PolicyName {
    /// Strictly as they came: a large request at the head makes the others wait
    Fifo,
    /// While the head does not fit, later ones that do may pass it, at most 16 times
    Overtaking,
}

impl From<PolicyName> for Policy {
    fn from(name: PolicyName) -> Self {
        match name {
            PolicyName::Fifo => Self::Fifo,
            PolicyName::Overtaking => Self::Overtaking,
        }
    }
}

/// `LIMIT` or `NAME=LIMIT`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct NamedLimit {
    name: Option<String>,
    limit: Limit,
}

impl std::str::FromStr for NamedLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text.rsplit_once('=') {
            None => Self { name: None, limit: text.parse()? },
            Some((name, limit)) => Self { name: Some(name.to_owned()), limit: limit.parse()? },
        })
    }
}

impl Making {
    /// Whether what was said of limits fits `names`.
    pub(crate) fn check<'name>(&self, names: impl Iterator<Item = &'name str>) -> Result<(), Error> {
        let names: Vec<_> = names.collect();
        for NamedLimit { name, limit } in &self.limit {
            match name {
                None if names.len() > 1 => return Err(Error::LimitOfWhich { limit: limit.to_string() }),
                Some(name) if !names.contains(&name.as_str()) => {
                    return Err(Error::LimitOfNone { name: name.clone(), limit: limit.to_string() });
                }
                _ => {}
            }
        }
        match names.iter().find(|&&name| self.said_of(name).count() > 1) {
            Some(&name) => Err(Error::LimitTwice { name: name.to_owned() }),
            None => Ok(()),
        }
    }

    fn said_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Limit> + 'a {
        let of_it = move |said: &&NamedLimit| said.name.as_deref().is_none_or(|said| said == name);
        self.limit.iter().filter(of_it).map(|said| said.limit)
    }

    /// Opens `name`, makes it if need be, and insists on what was said of it.
    ///
    /// What was said of a limit the semaphore itself looks at; policy and group only count when it is made.
    pub(crate) fn open(&self, name: &str, session: &str) -> Result<Semaphore, Error> {
        let semaphore = Semaphore::open(name, &self.options(name).session_name(session))?;
        if let Some(asked) = self.policy.map(Policy::from) {
            let there = semaphore.status()?.policy;
            if there != asked {
                return Err(Error::PolicyDiffers { name: name.to_owned(), asked, there });
            }
        }
        if let Some(asked) = self.group {
            let file = fstat(semaphore.session_fd()).map_err(|errno| Error::SetUp { source: errno.into() })?;
            let is_shared = file.st_mode & 0o020 != 0;
            if !is_shared || file.st_gid != asked {
                let there = if is_shared { format!("group {}", file.st_gid) } else { format!("user {}", file.st_uid) };
                return Err(Error::GroupDiffers { name: name.to_owned(), asked, there });
            }
        }
        Ok(semaphore)
    }

    /// What to open `name` with.
    pub(crate) fn options(&self, name: &str) -> Options {
        let mut options = self.place.options();
        if let Some(limit) = self.said_of(name).next() {
            options = options.limit(limit.count()).set_limit(self.set_limit);
        }
        if let Some(policy) = self.policy {
            options = options.policy(policy.into());
        }
        match self.group {
            Some(group) => options.group(group),
            None => options,
        }
    }
}

/// Joins `--sem NAME[=N]…` and `--permits N`: every semaphore with its number of permits, in the order of the names.
pub(crate) fn in_order(mut wanted: Vec<Wanted>, permits: Option<u32>) -> Result<Vec<(String, u32)>, Error> {
    if let Some(permits) = permits {
        match wanted.as_mut_slice() {
            [only @ Wanted { permits: None, .. }] => only.permits = Some(permits),
            _ => return Err(Error::PermitsTwice { permits }),
        }
    }
    wanted.sort_by(|a, b| a.name.cmp(&b.name));
    match wanted.windows(2).find(|pair| pair[0].name == pair[1].name) {
        Some(pair) => Err(Error::SemaphoreTwice { name: pair[0].name.clone() }),
        None => Ok(wanted.into_iter().map(|wanted| (wanted.name, wanted.permits.unwrap_or(1))).collect()),
    }
}

/// Puts semaphores into the order in which everybody takes them, so that no two can wait for each other.
///
/// That is the order of their own names: one may be called `build` here and `../run/build.gate` there. Those of one name in
/// several folders are told apart by their files, which are the same for all, whatever the path to them.
pub(crate) fn in_common_order(opened: Vec<(&str, Semaphore, u32)>) -> Result<Vec<(&str, Semaphore, u32)>, Error> {
    let file_of = |semaphore: &Semaphore| {
        let stat = fstat(semaphore.session_fd()).map_err(|errno| Error::SetUp { source: errno.into() })?;
        Ok::<_, Error>((stat.st_dev, stat.st_ino))
    };
    let mut ordered = opened
        .into_iter()
        .map(|one| Ok(((one.1.name().to_owned(), file_of(&one.1)?), one)))
        .collect::<Result<Vec<_>, Error>>()?;
    ordered.sort_by(|(a, _), (b, _)| a.cmp(b));
    match ordered.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(Error::SemaphoreTwice { name: pair[1].1.0.to_owned() }),
        None => Ok(ordered.into_iter().map(|(_, one)| one).collect()),
    }
}

/// The number of a group that is given by name or number.
fn group(text: &str) -> Result<u32, String> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let groups = fs::read_to_string("/etc/group").map_err(|error| format!("cannot read /etc/group: {error}"))?;
    let fields = groups.lines().map(|line| line.split(':').collect::<Vec<_>>());
    fields
        .filter(|fields| fields.first() == Some(&text))
        .find_map(|fields| fields.get(2)?.parse().ok())
        .ok_or_else(|| format!("there is no group {text:?}; `id` lists yours"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn making(limits: &[&str]) -> Making {
        let limit = limits.iter().map(|limit| limit.parse().expect("a limit")).collect();
        Making { limit, ..Making::default() }
    }

    #[test]
    fn a_limit_belongs_to_one_semaphore() {
        let names = || ["a", "b"].into_iter();
        assert!(making(&["8"]).check(["a"].into_iter()).is_ok());
        assert!(making(&["a=8", "b=cores"]).check(names()).is_ok());
        assert!(making(&["8"]).check(names()).unwrap_err().to_string().contains("NAME=8"));
        assert!(making(&["c=8"]).check(names()).unwrap_err().to_string().contains("\"c\""));
        assert!(making(&["a=8", "a=9"]).check(names()).unwrap_err().to_string().contains("\"a\""));
        assert_eq!(making(&["a=8", "b=3"]).said_of("b").collect::<Vec<_>>(), [Limit::Count(3)]);
    }

    #[test]
    fn semaphores_are_taken_in_the_order_of_their_names() {
        let wanted = |texts: &[&str]| texts.iter().map(|text| text.parse().expect("a name")).collect::<Vec<Wanted>>();
        let of = |name: &str, permits| (name.to_owned(), permits);
        assert_eq!(in_order(wanted(&["b=2", "a"]), None).expect("valid"), [of("a", 1), of("b", 2)]);
        assert_eq!(in_order(wanted(&["a"]), Some(3)).expect("valid"), [of("a", 3)]);
        assert!(in_order(wanted(&["a=1"]), Some(3)).is_err());
        assert!(in_order(wanted(&["a", "b"]), Some(3)).is_err());
        assert!(in_order(wanted(&["a", "a=2"]), None).is_err());
    }

    #[test]
    fn a_group_is_a_number_or_a_name() {
        assert_eq!(group("123"), Ok(123));
        assert!(group("no such group").is_err());
    }
}
