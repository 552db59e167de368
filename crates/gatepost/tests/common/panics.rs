//! Panics as values: what was said, and where.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, set_hook, take_hook};
use std::sync::Once;

/// A panic that a test expected.
pub(crate) struct Caught {
    payload: Box<dyn Any + Send>,
    file: String,
}

thread_local! {
    /// While this thread expects panics: the file that each one named, the latest last.
    static EXPECTED: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Runs `f`, which must panic. The panic is not printed.
#[track_caller]
pub(crate) fn caught<R>(f: impl FnOnce() -> R) -> Caught {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |info| {
            let expected = EXPECTED.with_borrow_mut(|files| match files {
                Some(files) => {
                    files.push(info.location().map(|at| at.file().to_owned()).unwrap_or_default());
                    true
                }
                None => false,
            });
            if !expected {
                usual(info);
            }
        }));
    });
    EXPECTED.set(Some(Vec::new()));
    let result = catch_unwind(AssertUnwindSafe(f));
    let files = EXPECTED.take().unwrap_or_default();
    match result {
        Ok(_) => panic!("this was to panic, and did not"),
        // The first panic is the one that goes on if there are several.
        Err(payload) => Caught { payload, file: files.into_iter().next().unwrap_or_default() },
    }
}

impl Caught {
    /// What was said.
    #[track_caller]
    pub(crate) fn message(&self) -> &str {
        if let Some(text) = self.payload.downcast_ref::<&str>() {
            text
        } else if let Some(text) = self.payload.downcast_ref::<String>() {
            text
        } else {
            panic!("the panic says nothing")
        }
    }

    /// Asserts what was said (a part of it), and that the blame is on `file`: `file!()` for a `#[track_caller]` method
    /// that was called with what breaks its contract.
    #[track_caller]
    pub(crate) fn says(&self, text: &str, file: &str) {
        assert!(self.message().contains(text), "{:?} does not contain {text:?}", self.message());
        assert_eq!(self.file, file, "the panic blames another file than its caller's");
    }

    /// The payload of a panic that was made with [`panic_any`].
    #[track_caller]
    pub(crate) fn payload<T: 'static>(self) -> T {
        *self.payload.downcast().expect("the payload is another one")
    }
}

/// A payload that panics when it is dropped.
pub(crate) struct Explosive;

impl Drop for Explosive {
    fn drop(&mut self) {
        panic_any("an explosive payload was dropped");
    }
}
