//! The exit status of each error of a semaphore; the table of all of them is in `exit`.

use std::io;

use gatepost_shared::Error;

use crate::exit;

/// The status that tells a script which kind of error this is.
pub(crate) fn of(error: &Error) -> u8 {
    match error {
        Error::TimedOut { .. } => exit::TIMED_OUT,
        Error::Busy { .. } | Error::InUse { .. } => exit::BUSY,
        Error::Revoked { .. } | Error::SessionLost { .. } => exit::LOST,
        Error::Name { .. }
        | Error::NotFound { .. }
        | Error::LimitDiffers { .. }
        | Error::Capacity { .. }
        | Error::ExceedsLimit { .. }
        | Error::Zero => exit::USAGE,
        Error::Refused { .. } => exit::NO_PERMISSION,
        Error::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => exit::NO_PERMISSION,
        Error::SessionsFull { .. }
        | Error::GrantsFull { .. }
        | Error::QueueFull { .. }
        | Error::Poisoned { .. }
        | Error::Format { .. }
        | Error::FileSystem { .. } => exit::UNAVAILABLE,
        // What a later version may add, too.
        _ => exit::OWN_FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_status() {
        let name = || "build".to_owned();
        let io = |kind: io::ErrorKind| Error::Io { what: "open", path: "x".into(), source: kind.into() };
        assert_eq!(of(&Error::LimitDiffers { name: name(), asked: 4, there: 8 }), 64);
        assert_eq!(of(&Error::Busy { name: name(), used: 1, limit: 1, waiting: 0, hint: name() }), 75);
        assert_eq!(
            of(&Error::TimedOut { name: name(), asked: 1, waited: std::time::Duration::ZERO, hint: name() }),
            124
        );
        assert_eq!(of(&Error::Revoked { id: 5.into() }), 120);
        assert_eq!(of(&Error::QueueFull { name: name(), max: 1024 }), 69);
        assert_eq!(of(&io(io::ErrorKind::PermissionDenied)), 77);
        assert_eq!(of(&io(io::ErrorKind::StorageFull)), 125);
    }
}
