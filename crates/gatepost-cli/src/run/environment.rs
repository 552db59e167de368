//! What the command finds in its environment.
//!
//! With several semaphores each variable has one word for each of them, in the order of the names.

use std::ffi::OsString;

use super::nested::{self, Ancestor};
use super::take::Held;

/// Names, with their values or `None` to take them out.
pub(crate) type Variables = Vec<(&'static str, Option<OsString>)>;

/// The environment of a command that runs under `held`, inside of the runs `around`. `gpu`: whose slots are GPUs.
pub(crate) fn of(held: &[Held], gpu: Option<&str>, around: &[Ancestor]) -> Variables {
    let each = |word: &dyn Fn(&Held) -> String| Some(held.iter().map(word).collect::<Vec<_>>().join(" ").into());
    let names = held.iter().map(|held| (held.semaphore.path(), held.permit.id()));
    let mut variables = vec![(nested::VARIABLE, Some(nested::for_descendants(around, names)))];
    if held.is_empty() {
        // All was had around us, and those variables stand.
        return variables;
    }
    variables.extend([
        ("GATEPOST_SEM", each(&|held| held.name.clone())),
        ("GATEPOST_PERMIT", each(&|held| held.permit_name().to_string())),
        ("GATEPOST_SLOTS", each(&|held| list(&held.permit.slots()))),
        ("GATEPOST_FENCE", each(&|held| list(&held.permit.epochs()))),
        // A permit of this scope ends with its holder and at no certain time.
        ("GATEPOST_DEADLINE", None),
    ]);
    if let Some(held) = held.iter().find(|held| Some(held.name.as_str()) == gpu) {
        variables.push(("CUDA_VISIBLE_DEVICES", Some(list(&held.permit.slots()).into())));
    }
    variables
}

/// Numbers with commas between, as CUDA takes them.
fn list<T: ToString>(numbers: &[T]) -> String {
    numbers.iter().map(T::to_string).collect::<Vec<_>>().join(",")
}
