//! What a waiter waits for, in one word: for profiles, and for whoever looks at a program that hangs.

/// What somebody waits for.
///
/// It says which of the contention profiles a wait belongs in (the feature `profile`), as the flags of Go's entry points
/// do (G35):
///
/// | reason | block profile | mutex profile |
/// |---|:-:|:-:|
/// | `Semaphore`, `Mutex`, `RwLockRead`, `RwLockWrite` | yes | yes |
/// | `Wakeup`, `WaitGroup`, `Condvar` | yes | no: nobody holds what is waited for |
/// | `Internal` | no | no |
///
/// # Examples
/// ```
/// assert_eq!(gatepost::WaitReason::RwLockRead.to_string(), "read lock");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum WaitReason {
    /// A permit of a semaphore that limits a resource.
    #[default]
    Semaphore = 0, // zero, so that a new node is zeros
    /// A wake-up: what a semaphore of four bytes says by itself.
    Wakeup,
    /// A mutex.
    Mutex,
    /// A read-write lock, to read.
    RwLockRead,
    /// A read-write lock, to write.
    RwLockWrite,
    /// A group of others that shall be done.
    WaitGroup,
    /// A condition variable.
    Condvar,
    /// Something of the library's own, which is nobody's contention.
    Internal,
}

impl core::fmt::Display for WaitReason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Semaphore => "semaphore",
            Self::Wakeup => "wake-up",
            Self::Mutex => "mutex",
            Self::RwLockRead => "read lock",
            Self::RwLockWrite => "write lock",
            Self::WaitGroup => "wait group",
            Self::Condvar => "condition variable",
            Self::Internal => "internal",
        })
    }
}
