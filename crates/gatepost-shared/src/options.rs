//! How to open a semaphore.

use std::path::PathBuf;

use crate::Policy;

/// How to open a semaphore.
///
/// Without a limit it opens one that exists. With a limit it creates one that does not exist, and insists that one that
/// does has this limit.
///
/// ```
/// # fn main() -> Result<(), gatepost_shared::Error> {
/// # let folder = tempfile::tempdir().expect("a folder");
/// use gatepost_shared::{Options, Semaphore};
///
/// let options = Options::new().directory(folder.path());
/// assert!(Semaphore::open("build", &options).is_err(), "there is none, and no limit to create it with");
/// let build = Semaphore::open("build", &options.clone().limit(8))?;
/// assert_eq!(Semaphore::open("build", &options)?.limit(), 8);
/// # drop(build);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Options {
    pub(crate) limit: Option<u32>,
    pub(crate) set_limit: bool,
    pub(crate) policy: Policy,
    pub(crate) group: Option<u32>,
    pub(crate) without_slots: bool,
    pub(crate) directory: Option<PathBuf>,
    pub(crate) unsafe_network_file_system: bool,
    pub(crate) session_name: Option<String>,
}

impl Options {
    /// Opens one that exists.
    ///
    /// ```
    /// use gatepost_shared::Options;
    ///
    /// let any_limit = Options::new();
    /// # drop(any_limit);
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates one with this limit, or insists on it. A semaphore whose limit is 0, which is being drained, is not asked for
    /// its limit.
    ///
    /// ```
    /// use gatepost_shared::Options;
    ///
    /// let at_most_eight = Options::new().limit(8);
    /// # drop(at_most_eight);
    /// ```
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Changes the limit if it differs, instead of [`Error::LimitDiffers`](crate::Error::LimitDiffers).
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// use gatepost_shared::Semaphore;
    ///
    /// Semaphore::open("build", &options.limit(4).set_limit(true))?;
    /// assert_eq!(build.limit(), 4);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_limit(mut self, yes: bool) -> Self {
        self.set_limit = yes;
        self
    }

    /// In which order waiters are served; counts when the semaphore is created.
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// use gatepost_shared::{Policy, Semaphore};
    ///
    /// let tests = Semaphore::open("tests", &options.limit(4).policy(Policy::Overtaking))?;
    /// assert_eq!(tests.status()?.policy, Policy::Overtaking);
    /// # Ok(())
    /// # }
    /// ```
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Shares it with a group: a new file can be written by this group, and one that belongs to this group is trusted, whoever
    /// owns it. Otherwise a file is its owner's alone.
    ///
    /// ```
    /// use gatepost_shared::Options;
    ///
    /// let builders = 1000;
    /// let shared = Options::new().limit(8).group(builders);
    /// # drop(shared);
    /// ```
    pub fn group(mut self, gid: u32) -> Self {
        self.group = Some(gid);
        self
    }

    /// Creates it without slots: permits have no numbers and no epochs, and the limit may be up to 2^30 - 1. One that is
    /// created with a limit of more than 1024 has none anyway.
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// use gatepost_shared::Semaphore;
    ///
    /// let memory = Semaphore::open("megabytes", &options.limit(1).without_slots())?;
    /// memory.resize(64_000)?;
    /// assert!(memory.acquire_many(4_000).wait()?.slots().is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub fn without_slots(mut self) -> Self {
        self.without_slots = true;
        self
    }

    /// The folder of the names, instead of [`default_directory`](crate::default_directory).
    ///
    /// ```
    /// use gatepost_shared::Options;
    ///
    /// let options = Options::new().directory("/run/my-service");
    /// # drop(options);
    /// ```
    pub fn directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.directory = Some(path.into());
        self
    }

    /// Uses a file on a network's file system all the same. It is right only while one machine alone uses it.
    ///
    /// ```
    /// use gatepost_shared::Options;
    ///
    /// let options = Options::new().unsafe_network_file_system(true);
    /// # drop(options);
    /// ```
    pub fn unsafe_network_file_system(mut self, yes: bool) -> Self {
        self.unsafe_network_file_system = yes;
        self
    }

    /// What this process is called in listings, cut at 24 bytes, instead of the name of its program.
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// use gatepost_shared::Semaphore;
    ///
    /// let tests = Semaphore::open("tests", &options.limit(4).session_name("nightly"))?;
    /// assert_eq!(tests.status()?.sessions[0].name, "nightly");
    /// # Ok(())
    /// # }
    /// ```
    pub fn session_name(mut self, name: impl Into<String>) -> Self {
        self.session_name = Some(name.into());
        self
    }
}
