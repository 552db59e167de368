//! The names of instruction pointers, and which of them are of interest.
//!
//! A stack begins within this library and ends within the runtime. What is shown begins with the first frame that is not
//! the library's own, so that it is the user's call; frames of the standard library in between, of `drop` above all, go
//! with the library's. It ends where the standard library says that the user's code began
//! (`__rust_begin_short_backtrace`), as in the backtraces of panics.
//!
//! Whose a function is, its file says, if the program has line tables: with those alone (`debug = "line-tables-only"`)
//! names lack their paths. Without any debug information it is the name; functions that were inlined are then not seen.

use super::snapshot::Frame;
use std::collections::HashMap;
use std::string::{String, ToString};
use std::sync::Arc;
use std::vec::Vec;

/// Names, each looked up once.
#[derive(Default)]
pub(super) struct Symbols {
    known: HashMap<usize, Arc<[Frame]>>,
    texts: HashMap<String, Arc<str>>,
}

impl Symbols {
    /// The frames of a stack, the innermost first, without those that are not of interest. One address is several frames
    /// where functions were inlined.
    pub(super) fn frames(&mut self, stack: &[usize]) -> Vec<Frame> {
        let mut frames = Vec::with_capacity(stack.len());
        for &address in stack {
            let resolved = match self.known.get(&address) {
                Some(known) => known.clone(),
                None => {
                    let resolved: Arc<[Frame]> = self.resolve(address).into();
                    self.known.insert(address, resolved.clone());
                    resolved
                }
            };
            frames.extend_from_slice(&resolved);
        }
        trim(&mut frames);
        frames
    }

    fn resolve(&mut self, address: usize) -> Vec<Frame> {
        let mut frames = Vec::new();
        // It is a return address, of which `resolve` knows that the call is before it.
        backtrace::resolve(core::ptr::without_provenance_mut(address), |symbol| {
            let name = symbol.name().map_or_else(|| unknown(address), |name| std::format!("{name:#}"));
            let file = symbol.filename().map(|file| self.text(&file.to_string_lossy()));
            frames.push(Frame { address, name: self.text(&name), file, line: symbol.lineno() });
        });
        if frames.is_empty() {
            frames.push(Frame { address, name: self.text(&unknown(address)), file: None, line: None });
        }
        frames
    }

    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return known.clone();
        }
        let shared: Arc<str> = text.into();
        self.texts.insert(text.to_string(), shared.clone());
        shared
    }
}

fn unknown(address: usize) -> String {
    std::format!("{address:#x}")
}

/// Leaves the frames of interest.
fn trim(frames: &mut Vec<Frame>) {
    if let Some(end) = frames.iter().position(|frame| frame.name.contains("__rust_begin_short_backtrace")) {
        // What calls the user's function there is a closure's `call_once`.
        let end = frames[..end].iter().rposition(|frame| owner(frame) != Owner::Standard).map_or(end, |last| last + 1);
        frames.truncate(end);
    }
    let owners: Vec<Owner> = frames.iter().map(owner).collect();
    // Before the library there is what walks the stack.
    let Some(first) = owners.iter().position(|owner| *owner == Owner::Library) else { return };
    let begin = match owners[first..].iter().position(|owner| *owner == Owner::Other) {
        Some(ours) => first + ours,
        // Nobody but the standard library has called: for a destructor of a thread-local, say.
        None => owners.iter().rposition(|owner| *owner == Owner::Library).map_or(0, |last| last + 1),
    };
    if begin < frames.len() {
        frames.drain(..begin);
    }
}

/// Whose a function is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    Library,
    Standard,
    Other,
}

fn owner(frame: &Frame) -> Owner {
    let (ours, standard) = match (&frame.file, our_files()) {
        (Some(file), Some(ours)) => {
            let file = file.replace('\\', "/");
            let standard = ["/library/core/src/", "/library/std/src/", "/library/alloc/src/"];
            let is_standard = standard.into_iter().any(|folder| file.contains(folder));
            (file.contains(&ours.replace('\\', "/")), is_standard)
        }
        _ => (is_ours(&frame.name), is_std(&frame.name)),
    };
    if ours {
        Owner::Library
    } else if standard {
        Owner::Standard
    } else {
        Owner::Other
    }
}

/// The folder of this library's sources, as the compiler was told; `None` if that does not distinguish it.
fn our_files() -> Option<&'static str> {
    let folder = file!().strip_suffix("symbols.rs")?;
    let folder = folder.strip_suffix(['/', '\\'])?.strip_suffix("profile")?;
    // A package that is compiled in its own folder has just `src/`.
    (folder.len() > "src/".len()).then_some(folder)
}

/// Whether a function is this library's own.
fn is_ours(name: &str) -> bool {
    match implementation(name) {
        Some((this, of)) => {
            is_in(of, "gatepost") || is_in(this, "gatepost") && (is_std(of) || is_in(of, "futures_core"))
        }
        None => is_in(name, "gatepost"),
    }
}

/// Whether a function is the standard library's, perhaps for a type of somebody else's.
pub(super) fn is_std(name: &str) -> bool {
    let is_std = |path: &str| ["core", "std", "alloc"].into_iter().any(|krate| is_in(path, krate));
    match implementation(name) {
        Some((this, _)) => is_std(this),
        None => is_std(name),
    }
}

/// Whether a path, or a type, begins in a crate.
fn is_in(path: &str, krate: &str) -> bool {
    let path = path.trim_start_matches(['<', '&', '(', '*']).trim_start_matches("mut ").trim_start_matches("const ");
    path.strip_prefix(krate).is_some_and(|rest| rest.starts_with("::"))
}

/// Of `<Type as Trait>::function`, the type and the trait.
fn implementation(name: &str) -> Option<(&str, &str)> {
    let inside = name.strip_prefix('<')?;
    let mut depth = 0_usize;
    let mut separator = None;
    let mut before = ' ';
    for (at, character) in inside.char_indices() {
        match character {
            '<' | '(' | '[' => depth += 1,
            '>' if before == '-' => {} // an arrow
            '>' if depth == 0 => {
                let (this, of) =
                    separator.map_or((&inside[..at], None), |s: usize| (&inside[..s], Some(&inside[s + 4..at])));
                return of.map(|of| (this, of));
            }
            '>' | ')' | ']' => depth = depth.saturating_sub(1),
            ' ' if depth == 0 && separator.is_none() && inside[at..].starts_with(" as ") => separator = Some(at),
            _ => {}
        }
        before = character;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trimmed(names: &[&str]) -> Vec<String> {
        let frame = |name: &&str| Frame { address: 1, name: (*name).into(), file: None, line: None };
        let mut frames = names.iter().map(frame).collect();
        trim(&mut frames);
        frames.iter().map(|frame| frame.name.to_string()).collect()
    }

    #[test]
    fn a_stack_begins_with_the_users_call() {
        assert_eq!(
            trimmed(&[
                "backtrace::backtrace::libunwind::trace",
                "gatepost::profile::stack::Stack::capture",
                "std::thread::local::LocalKey<T>::with",
                "<gatepost::semaphore::permit::SemaphorePermit as core::ops::drop::Drop>::drop",
                "core::ptr::drop_in_place<gatepost::semaphore::permit::SemaphorePermit>",
                "user::work",
                "gatepost::semaphore::Semaphore::acquire",
                "user::main",
                "core::ops::function::FnOnce::call_once",
                "std::sys::backtrace::__rust_begin_short_backtrace",
                "std::rt::lang_start",
            ]),
            ["user::work", "gatepost::semaphore::Semaphore::acquire", "user::main"],
        );
    }

    #[test]
    fn a_file_says_whose_a_function_is() {
        let frame =
            |name: &str, file: &str| Frame { address: 1, name: name.into(), file: Some(file.into()), line: None };
        let here = file!();
        let mut frames = vec![
            frame("trace", "/registry/backtrace-0.3.76/src/backtrace/libunwind.rs"),
            frame("capture", &std::format!("/home/{here}")),
            frame("call_once", "/rustc/0123/library/core/src/ops/function.rs"),
            frame("wait", here),
            frame("<gatepost::Semaphore as user::Limiter>::limit", "/home/user/src/main.rs"),
            frame("wait", here),
        ];
        trim(&mut frames);
        assert_eq!(frames.len(), 2);
        assert_eq!(frames[0].file(), Some("/home/user/src/main.rs"));
    }

    #[test]
    fn whose_a_function_is() {
        for ours in [
            "gatepost::semaphore::Semaphore<P>::close",
            "<gatepost::semaphore::acquire::Acquire<P> as core::future::future::Future>::poll",
            "<gatepost::wait::x::Y<F> as gatepost::wait::thread::Waiting>::join",
            "<alloc::sync::Arc<gatepost::Semaphore> as gatepost::semaphore::handle::Handle>::semaphore",
            "<gatepost::semaphore::poll::PollSemaphore as futures_core::stream::Stream>::poll_next",
            "<gatepost::semaphore::strict::Gate>::serve",
        ] {
            assert!(is_ours(ours), "{ours}");
        }
        for theirs in [
            "gatepost_cli::each::run",
            "gatepostal::work",
            "<gatepost::semaphore::Semaphore as user::Limiter>::limit",
            "<user::Limiter as core::ops::drop::Drop>::drop",
            "user::work::<gatepost::semaphore::Semaphore>",
            "<fn() -> user::T as user::Call>::call",
            "main",
        ] {
            assert!(!is_ours(theirs) && !is_std(theirs), "{theirs}");
        }
        assert!(
            is_std("core::ptr::drop_in_place<user::T>") && is_std("<alloc::boxed::Box<F> as core::ops::FnOnce>::call")
        );
    }

    #[test]
    fn a_stack_without_the_user_keeps_what_called() {
        assert_eq!(trimmed(&["gatepost::a", "core::b", "gatepost::c", "std::d"]), ["std::d"]);
        assert_eq!(trimmed(&["gatepost::a", "gatepost::b"]), ["gatepost::a", "gatepost::b"]);
        assert_eq!(trimmed(&[]), [""; 0]);
    }

    #[test]
    fn names_are_found_once() {
        let mut symbols = Symbols::default();
        let here = super::super::stack::Stack::capture();
        let frames = symbols.frames(here.frames());
        assert!(!frames.is_empty());
        let known = symbols.known.len();
        assert_eq!(symbols.frames(here.frames()), frames);
        assert_eq!(symbols.known.len(), known);
        assert_eq!(symbols.resolve(0)[0].name(), "0x0");
    }
}
