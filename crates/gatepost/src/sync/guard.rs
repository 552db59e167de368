//! What a condition variable asks of a mutex: that a guard can be given up, and got back.

use core::future::Future;

/// A guard that can be given up for a while: what a [`Condvar`](super::Condvar) waits with.
///
/// It is a small trait, so that any mutex can have it: see the example. Where a task may wait with it, it is an
/// [`AsyncGuard`] too. What goes into a wait comes out of it: the type that is given up is the type that is got back.
///
/// # Examples
/// A spin lock from elsewhere:
/// ```
/// use gatepost::sync::Guard;
/// # use std::sync::{Mutex as SpinLock, MutexGuard};
///
/// struct SpinGuard<'a, T> {
///     lock: &'a SpinLock<T>,
///     guard: MutexGuard<'a, T>,
/// }
///
/// impl<'a, T> Guard for SpinGuard<'a, T> {
///     type Mutex = &'a SpinLock<T>;
///     type Relock = core::convert::Infallible; // no task waits for it
///
///     fn unlock(self) -> &'a SpinLock<T> {
///         self.lock // the guard is dropped
///     }
///
///     fn lock(lock: &'a SpinLock<T>) -> Self {
///         SpinGuard { lock, guard: lock.lock().unwrap() }
///     }
/// }
/// ```
pub trait Guard: Sized {
    /// What is left of a guard that was given up: enough to lock again. A reference to the mutex, most often.
    type Mutex: Clone;

    /// The future with which a task locks again: see [`AsyncGuard`]. [`Infallible`](core::convert::Infallible) for a mutex
    /// that only threads can lock.
    type Relock;

    /// Unlocks the mutex.
    fn unlock(self) -> Self::Mutex;

    /// Locks the mutex again, and blocks the thread for it.
    fn lock(mutex: Self::Mutex) -> Self;
}

/// A guard of a mutex that a task can lock without blocking its thread. With the feature `tokio`, the guards of Tokio's mutex
/// are such.
///
/// # Examples
/// A lock of a machine with one thread, where nobody holds it while a task is polled:
/// ```
/// use gatepost::sync::{AsyncGuard, Condvar, Guard};
/// use std::cell::Cell;
/// use std::future::{Ready, ready};
///
/// struct Held<'a>(&'a Cell<bool>);
///
/// impl<'a> Guard for Held<'a> {
///     type Mutex = &'a Cell<bool>;
///     type Relock = Ready<Self>;
///
///     fn unlock(self) -> &'a Cell<bool> {
///         self.0.set(false);
///         self.0
///     }
///
///     fn lock(lock: &'a Cell<bool>) -> Self {
///         assert!(!lock.replace(true));
///         Held(lock)
///     }
/// }
///
/// impl AsyncGuard for Held<'_> {
///     fn lock_async(lock: Self::Mutex) -> Ready<Self> {
///         ready(Self::lock(lock))
///     }
/// }
///
/// let (lock, condvar) = (Cell::new(false), Condvar::new());
/// let waits = async { condvar.wait(Held::lock(&lock)).await };
/// # drop(waits);
/// ```
pub trait AsyncGuard: Guard<Relock: Future<Output = Self>> {
    /// Locks the mutex again. Dropping the future before it is done must leave the mutex unlocked.
    fn lock_async(mutex: Self::Mutex) -> Self::Relock;
}

#[cfg(feature = "std")]
pub use of_std::StdGuard;

#[cfg(feature = "std")]
mod of_std {
    use super::Guard;
    use core::convert::Infallible;
    use core::ops::{Deref, DerefMut};
    use std::sync::{LockResult, Mutex, MutexGuard, PoisonError};

    /// A guard of `std`'s mutex that knows its mutex, which `std`'s own does not tell.
    ///
    /// # Poisoning
    /// Whoever waits with a `StdGuard` panics if the mutex is found poisoned when it is locked again, as with
    /// `lock().unwrap()`. Whoever waits with the [`LockResult`] that [`lock`](Self::lock) gave gets one back: poisoned or
    /// not, as the mutex is then.
    ///
    /// # Examples
    /// ```
    /// use gatepost::sync::{Condvar, StdGuard};
    /// use std::sync::{Mutex, PoisonError};
    ///
    /// let (ready, condvar) = (Mutex::new(false), Condvar::new());
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| {
    ///         *ready.lock().unwrap() = true;
    ///         condvar.notify_one();
    ///     });
    ///     // Poisoning as a value:
    ///     let mut result = StdGuard::lock(&ready);
    ///     while !**result.as_ref().unwrap_or_else(PoisonError::get_ref) {
    ///         result = condvar.wait(result).wait();
    ///     }
    /// });
    /// ```
    #[derive(Debug)]
    #[must_use = "dropping it unlocks the mutex"]
    pub struct StdGuard<'a, T: ?Sized> {
        guard: MutexGuard<'a, T>,
        mutex: &'a Mutex<T>,
    }

    impl<'a, T: ?Sized> StdGuard<'a, T> {
        /// Locks `mutex`.
        ///
        /// # Errors
        /// If it is poisoned: with the guard in it.
        ///
        /// # Examples
        /// ```
        /// use gatepost::sync::StdGuard;
        /// use std::sync::Mutex;
        ///
        /// let mutex = Mutex::new(1);
        /// *StdGuard::lock(&mutex).unwrap() += 1;
        /// assert_eq!(*mutex.lock().unwrap(), 2);
        /// ```
        pub fn lock(mutex: &'a Mutex<T>) -> LockResult<Self> {
            match mutex.lock() {
                Ok(guard) => Ok(Self { guard, mutex }),
                Err(poisoned) => Err(PoisonError::new(Self { guard: poisoned.into_inner(), mutex })),
            }
        }

        /// Makes one of a guard that is there already. It must be one of `mutex`: a wait unlocks the guard's and locks
        /// `mutex`.
        ///
        /// # Examples
        /// ```
        /// use gatepost::sync::StdGuard;
        /// use std::sync::Mutex;
        ///
        /// let mutex = Mutex::new(1);
        /// let guard = mutex.lock().unwrap();
        /// let guard = StdGuard::new(&mutex, guard);
        /// assert_eq!(*guard, 1);
        /// ```
        pub fn new(mutex: &'a Mutex<T>, guard: MutexGuard<'a, T>) -> Self {
            Self { guard, mutex }
        }

        /// The guard of `std`.
        ///
        /// # Examples
        /// ```
        /// use gatepost::sync::StdGuard;
        /// use std::sync::Mutex;
        ///
        /// let mutex = Mutex::new(1);
        /// let guard = StdGuard::lock(&mutex).unwrap().into_inner();
        /// assert_eq!(*guard, 1);
        /// ```
        pub fn into_inner(self) -> MutexGuard<'a, T> {
            self.guard
        }
    }

    impl<T: ?Sized> Deref for StdGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.guard
        }
    }

    impl<T: ?Sized> DerefMut for StdGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            &mut self.guard
        }
    }

    impl<'a, T: ?Sized> Guard for StdGuard<'a, T> {
        type Mutex = &'a Mutex<T>;
        type Relock = Infallible;

        fn unlock(self) -> &'a Mutex<T> {
            self.mutex
        }

        /// # Panics
        /// If the mutex is poisoned.
        #[track_caller]
        fn lock(mutex: &'a Mutex<T>) -> Self {
            match StdGuard::lock(mutex) {
                Ok(guard) => guard,
                Err(_) => panic!(
                    "the mutex of a condition variable was poisoned during a wait: to be told so instead, wait with the \
                     LockResult of StdGuard::lock"
                ),
            }
        }
    }

    impl<'a, T: ?Sized> Guard for LockResult<StdGuard<'a, T>> {
        type Mutex = &'a Mutex<T>;
        type Relock = Infallible;

        fn unlock(self) -> &'a Mutex<T> {
            self.unwrap_or_else(PoisonError::into_inner).mutex
        }

        fn lock(mutex: &'a Mutex<T>) -> Self {
            StdGuard::lock(mutex)
        }
    }
}

#[cfg(feature = "tokio")]
mod of_tokio {
    use super::{AsyncGuard, Guard};
    use core::pin::Pin;
    use std::boxed::Box;
    use std::future::Future;
    use std::sync::Arc;
    use tokio::sync::{Mutex, MutexGuard, OwnedMutexGuard};

    /// Tokio's future that locks has no name, hence a box: one allocation for each wait of a task.
    type Relock<'a, G> = Pin<Box<dyn Future<Output = G> + Send + 'a>>;

    impl<'a, T: ?Sized + Send> Guard for MutexGuard<'a, T> {
        type Mutex = &'a Mutex<T>;
        type Relock = Relock<'a, Self>;

        fn unlock(self) -> &'a Mutex<T> {
            MutexGuard::mutex(&self)
        }

        #[track_caller]
        fn lock(mutex: &'a Mutex<T>) -> Self {
            mutex.blocking_lock()
        }
    }

    impl<T: ?Sized + Send> AsyncGuard for MutexGuard<'_, T> {
        fn lock_async(mutex: Self::Mutex) -> Self::Relock {
            Box::pin(mutex.lock())
        }
    }

    impl<T: ?Sized + Send + 'static> Guard for OwnedMutexGuard<T> {
        type Mutex = Arc<Mutex<T>>;
        type Relock = Relock<'static, Self>;

        fn unlock(self) -> Arc<Mutex<T>> {
            OwnedMutexGuard::mutex(&self).clone()
        }

        #[track_caller]
        fn lock(mutex: Arc<Mutex<T>>) -> Self {
            mutex.blocking_lock_owned()
        }
    }

    impl<T: ?Sized + Send + 'static> AsyncGuard for OwnedMutexGuard<T> {
        fn lock_async(mutex: Self::Mutex) -> Self::Relock {
            Box::pin(mutex.lock_owned())
        }
    }
}
