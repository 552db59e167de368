//! The six ways to ask for permits: one, `u32`, `usize`, each borrowed and owned.

/// Calls the macro `$check` for each way to ask, with the expression to call upon, the names of the future, the try and
/// the blocking form, their arguments, and the number of permits that this asks for. `$semaphore` is an
/// `Arc<Semaphore>`.
macro_rules! each_form {
    ($check:ident, $semaphore:ident) => {
        $check!($semaphore, acquire, try_acquire, blocking_acquire, (), 1);
        $check!($semaphore, acquire_many, try_acquire_many, blocking_acquire_many, (3), 3);
        $check!($semaphore, acquire_n, try_acquire_n, blocking_acquire_n, (3), 3);
        #[cfg(feature = "alloc")]
        {
            $check!($semaphore.clone(), acquire_owned, try_acquire_owned, blocking_acquire_owned, (), 1);
            $check!(
                $semaphore.clone(),
                acquire_many_owned,
                try_acquire_many_owned,
                blocking_acquire_many_owned,
                (3),
                3
            );
            $check!($semaphore.clone(), acquire_n_owned, try_acquire_n_owned, blocking_acquire_n_owned, (3), 3);
        }
    };
}
