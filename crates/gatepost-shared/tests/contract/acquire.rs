//! `acquire`, `acquire_many`: how many can be asked for.

use std::time::Duration;

use gatepost_shared::{Error, Semaphore};

use super::common::{Folder, LONG};

#[test]
fn more_than_any_limit_can_be_is_refused_while_it_is_drained() {
    for (without_slots, most) in [(false, 1024), (true, (1 << 30) - 1)] {
        let folder = Folder::new();
        let options = if without_slots { folder.options().without_slots() } else { folder.options() };
        let s = Semaphore::open("s", &options.limit(0)).expect("a semaphore");
        for asked in [most + 1, 1 << 30, (1 << 30) + 1, u32::MAX] {
            match s.acquire_many(asked).wait_timeout(Duration::ZERO) {
                Err(Error::ExceedsLimit { asked: told, limit, .. }) => assert_eq!((told, limit), (asked, most)),
                other => panic!("{asked}: {other:?}"),
            }
            assert!(matches!(s.try_acquire_many(asked), Err(Error::ExceedsLimit { .. })));
        }
        assert!(matches!(s.acquire_many(most).wait_timeout(Duration::ZERO), Err(Error::TimedOut { .. })));
        s.resize(1).expect("to admit one");
        s.acquire().wait_timeout(LONG).expect("a sound semaphore");
        assert_eq!(s.status().expect("a look").damage, None);
    }
}

#[test]
fn none_at_all_and_more_than_the_limit_are_errors_that_name_the_numbers() {
    let folder = Folder::new();
    let s = folder.open(3);
    for error in [s.acquire_many(0).wait(), s.try_acquire_many(0)] {
        assert!(matches!(error, Err(Error::Zero)), "{error:?}");
    }
    for error in [s.acquire_many(4).wait(), s.try_acquire_many(4)] {
        let error = error.expect_err("too many");
        assert!(matches!(error, Error::ExceedsLimit { asked: 4, limit: 3, .. }));
        let text = error.to_string();
        assert!(
            text.contains("4 permits") && text.contains("limit of 3") && text.contains("ask for at most 3"),
            "{text}"
        );
    }
    assert_eq!(s.status().expect("a look").used, 0);
}
