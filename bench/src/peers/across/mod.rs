//! The peers that processes share, one room for each mechanism. To add one: implement [`Across`] and name it in [`all`].

mod fifo;
mod locks;
mod posix;
mod shared;
mod sysv;

use super::Peer;
use crate::counted;
use anyhow::Result;
use gatepost_bench_kit::Entry;
use gatepost_bench_kit::across::{Across, Role};
use gatepost_bench_kit::cases::processes::{be, be_nobody};
use gatepost_bench_kit::result::Kind;

/// A peer, and how another process is that peer.
struct Shared {
    peer: Peer,
    be: fn(&Role) -> Result<()>,
}

impl Shared {
    fn new<S: Across>(kind: Kind, version: String, notes: &[(&'static str, &str)]) -> Self {
        let entry = Entry::new(S::NAME, kind, version).across::<S>();
        let entry = notes.iter().fold(entry, |entry, (case, note)| entry.note_in(case, format!("{}: {note}", S::NAME)));
        Self { peer: Peer::new(entry, counted::of_processes::<S>()), be: be::<S> }
    }
}

fn all() -> Vec<Shared> {
    let libc = crate::machine::libc_version;
    let kernel = || crate::machine::kernel_version().unwrap_or_default();
    vec![
        Shared::new::<shared::Shared>(Kind::Ours, super::version("gatepost-shared"), &[]),
        Shared::new::<posix::Unnamed>(Kind::Barging, libc(), &[("P1", "sem_init(pshared = 1) in a mapped file")]),
        Shared::new::<posix::Named>(Kind::Barging, libc(), &[("P1", "sem_open")]),
        Shared::new::<sysv::Undo>(
            Kind::Fair,
            kernel(),
            &[
                ("P1", "with SEM_UNDO, as it is what brings permits back"),
                ("P2", "in order as long as each asks for one permit: who asks for few overtakes who asks for many"),
            ],
        ),
        Shared::new::<locks::Ranges>(
            Kind::Barging,
            kernel(),
            &[
                ("P1", "a byte for each permit: F_OFD_SETLK tries one after the other"),
                ("P2", "if all bytes are taken, F_OFD_SETLKW on one of them: another one may be free before"),
            ],
        ),
        Shared::new::<locks::Flock>(Kind::Barging, kernel(), &[("P1", "limit 1 only")]),
        Shared::new::<fifo::Tokens>(
            Kind::Barging,
            kernel(),
            &[("P1", "a byte for each permit in a fifo, as a client of make's jobserver reads and writes it")],
        ),
    ]
}

/// Each of them, ours first.
pub(super) fn peers() -> Vec<Peer> {
    all().into_iter().map(|shared| shared.peer).collect()
}

/// Is the process that a role of the environment asks for.
pub(crate) fn be_process() -> Result<()> {
    let Some(role) = Role::of_this_process()? else {
        anyhow::bail!("this is started by the suite itself, with a role")
    };
    play(&role)
}

/// Plays a role.
pub(crate) fn play(role: &Role) -> Result<()> {
    match all().into_iter().find(|shared| shared.peer.entry.name == role.peer) {
        Some(shared) => (shared.be)(role),
        None => be_nobody(role),
    }
}

/// What a call of the C library that must work answers; those that are interrupted are to be repeated by the caller.
#[track_caller]
fn must(what: &str, answer: libc::c_int) -> libc::c_int {
    assert!(answer >= 0, "{what}: {}", std::io::Error::last_os_error());
    answer
}

fn interrupted() -> bool {
    std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted
}
