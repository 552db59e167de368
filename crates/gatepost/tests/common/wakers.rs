//! Wakers that count, and wakers that call back.

use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{RawWaker, RawWakerVTable, Wake, Waker};

/// Counts how often it was woken.
#[derive(Default)]
pub(crate) struct Wakes(AtomicUsize);

impl Wakes {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// What happens to a waker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// It is cloned.
    Clone,
    /// It is woken, by value or by reference.
    Wake,
    /// It is dropped without being woken.
    Drop,
}

type Hook = dyn Fn(Event) + Send + Sync;

/// A waker that tells `hook` of everything that happens to it and to its clones. The hook may panic.
pub(crate) fn hooked(hook: impl Fn(Event) + Send + Sync + 'static) -> Waker {
    let hook: Box<Hook> = Box::new(hook);
    // SAFETY: the functions of the table keep the contract of `RawWaker`: see each.
    unsafe { Waker::from_raw(RawWaker::new(Arc::into_raw(Arc::new(hook)).cast(), &TABLE)) }
}

static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

/// # Safety
/// `data` is that of a waker of [`hooked`], which owns one count of the `Arc`.
unsafe fn borrowed(data: *const ()) -> ManuallyDrop<Arc<Box<Hook>>> {
    // SAFETY: by the caller's promise; the count stays the waker's.
    ManuallyDrop::new(unsafe { Arc::from_raw(data.cast()) })
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: `Waker` calls this with its own data.
    let hook = unsafe { borrowed(data) };
    hook(Event::Clone);
    RawWaker::new(Arc::into_raw(Arc::clone(&hook)).cast(), &TABLE)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: `Waker` calls this with its own data, and gives its count up.
    let hook = ManuallyDrop::into_inner(unsafe { borrowed(data) });
    hook(Event::Wake);
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: `Waker` calls this with its own data.
    let hook = unsafe { borrowed(data) };
    hook(Event::Wake);
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: `Waker` calls this with its own data, and gives its count up.
    let hook = ManuallyDrop::into_inner(unsafe { borrowed(data) });
    hook(Event::Drop);
}

/// A waker that does something when it is woken, and nothing else.
pub(crate) fn on_wake(act: impl Fn() + Send + Sync + 'static) -> Waker {
    hooked(move |event| {
        if event == Event::Wake {
            act();
        }
    })
}
