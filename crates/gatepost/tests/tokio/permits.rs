//! Permits in hand, borrowed and owned.

use crate::common::panics::caught;
use gatepost::Semaphore;
use std::sync::Arc;

/// Checks each statement once for a kind of permit: `$take` takes that many permits of an `Arc<Semaphore>`.
macro_rules! statements {
    ($kind:ident, |$semaphore:ident, $n:ident| $take:expr) => {
        mod $kind {
            use super::*;

            macro_rules! take {
                ($of:expr, $count:expr) => {{
                    let ($semaphore, $n): (&Arc<Semaphore>, usize) = (&$of, $count);
                    $take.expect("free")
                }};
            }

            #[test]
            fn t39_dropping_a_permit_gives_it_back() {
                let semaphore = Arc::new(Semaphore::new(3));
                let two = take!(semaphore, 2);
                let one = take!(semaphore, 1);
                assert_eq!((two.num_permits(), one.num_permits(), semaphore.available_permits()), (2, 1, 0));
                drop(two);
                assert_eq!(semaphore.available_permits(), 2);
                drop(one);
                assert_eq!(semaphore.available_permits(), 3);
            }

            #[test]
            fn t39_a_forgotten_permit_does_not_come_back() {
                let semaphore = Arc::new(Semaphore::new(3));
                take!(semaphore, 2).forget();
                assert_eq!(semaphore.available_permits(), 1);
                semaphore.add_permits(2);
                assert_eq!(semaphore.available_permits(), 3);
                assert_eq!(Arc::strong_count(&semaphore), 1);
            }

            #[test]
            fn t39_a_permit_knows_its_semaphore() {
                let semaphore = Arc::new(Semaphore::new(3));
                let permit = take!(semaphore, 2);
                let of: &Semaphore = permit.semaphore();
                assert!(std::ptr::eq(of, &*semaphore));
            }

            #[test]
            fn t39_permits_come_back_from_another_thread() {
                let semaphore = Arc::new(Semaphore::new(3));
                let permit = take!(semaphore, 3);
                std::thread::scope(|scope| {
                    scope.spawn(|| drop(permit));
                });
                assert_eq!(semaphore.available_permits(), 3);
            }

            #[test]
            fn t39_a_permit_comes_back_when_its_holder_panics() {
                let semaphore = Arc::new(Semaphore::new(3));
                caught(|| {
                    let _permit = take!(semaphore, 2);
                    panic!("the holder's own");
                })
                .says("the holder's own", file!());
                assert_eq!(semaphore.available_permits(), 3);
            }

            #[test]
            fn t40_merged_permits_come_back_together() {
                let semaphore = Arc::new(Semaphore::new(6));
                let mut permit = take!(semaphore, 1);
                permit.merge(take!(semaphore, 2));
                permit.merge(take!(semaphore, 0));
                assert_eq!((permit.num_permits(), semaphore.available_permits()), (3, 3));
                drop(permit);
                assert_eq!(semaphore.available_permits(), 6);
                assert_eq!(Arc::strong_count(&semaphore), 1);
            }

            #[test]
            fn t40_permits_of_two_semaphores_do_not_merge() {
                let [ours, theirs] = [(); 2].map(|()| Arc::new(Semaphore::new(3)));
                let mut permit = take!(ours, 1);
                let other = take!(theirs, 2);
                caught(|| permit.merge(other)).says("merging permits from different semaphore instances", file!());
                assert_eq!((permit.num_permits(), theirs.available_permits()), (1, 3), "theirs went back to theirs");
                drop(permit);
                assert_eq!(ours.available_permits(), 3);
            }

            /// More than one semaphore can have at a time may be in hand, if permits are added meanwhile.
            #[test]
            fn t40_the_sum_is_checked() {
                let semaphore = Arc::new(Semaphore::new(0));
                let more = || {
                    semaphore.add_permits(Semaphore::MAX_PERMITS);
                    take!(semaphore, Semaphore::MAX_PERMITS)
                };
                let mut sum = more();
                for _ in 1..8 {
                    sum.merge(more());
                }
                assert_eq!(sum.num_permits(), usize::MAX - 7);
                semaphore.add_permits(8);
                sum.merge(take!(semaphore, 7));
                let one = take!(semaphore, 1);
                caught(|| sum.merge(one)).says("number of permits overflowed", file!());
                assert_eq!((sum.num_permits(), semaphore.available_permits()), (usize::MAX, 1), "the one went back");
                sum.forget();
            }

            #[test]
            fn t41_split_takes_out_what_is_there() {
                let semaphore = Arc::new(Semaphore::new(5));
                let mut permit = take!(semaphore, 3);
                assert!(permit.split(4).is_none());
                assert!(permit.split(usize::MAX).is_none());
                assert_eq!(permit.num_permits(), 3);
                let none = permit.split(0).expect("none of 3");
                let one = permit.split(1).expect("1 of 3");
                let two = permit.split(2).expect("2 of 2");
                assert!(permit.split(1).is_none());
                assert_eq!([&none, &one, &two, &permit].map(|permit| permit.num_permits()), [0, 1, 2, 0]);
                assert_eq!(semaphore.available_permits(), 2);
                for (permit, then) in [(none, 2), (one, 3), (permit, 3), (two, 5)] {
                    drop(permit);
                    assert_eq!(semaphore.available_permits(), then);
                }
                assert_eq!(Arc::strong_count(&semaphore), 1);
            }

            #[test]
            fn t41_a_part_may_be_forgotten_and_the_rest_merged_again() {
                let semaphore = Arc::new(Semaphore::new(5));
                let mut permit = take!(semaphore, 5);
                permit.split(1).expect("1 of 5").forget();
                let part = permit.split(2).expect("2 of 4");
                permit.merge(part);
                assert_eq!(permit.num_permits(), 4);
                drop(permit);
                assert_eq!(semaphore.available_permits(), 4);
            }
        }
    };
}

statements!(borrowed, |semaphore, n| semaphore.try_acquire_n(n));
#[cfg(feature = "alloc")]
statements!(owned, |semaphore, n| semaphore.clone().try_acquire_n_owned(n));

#[test]
#[cfg(feature = "alloc")]
fn t39_an_owned_permit_names_the_shared_semaphore() {
    let semaphore = Arc::new(Semaphore::new(1));
    let permit = semaphore.clone().try_acquire_owned().expect("free");
    let of: &Arc<Semaphore> = permit.semaphore();
    assert!(Arc::ptr_eq(of, &semaphore));
}
