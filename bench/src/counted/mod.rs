//! Costs that are counted and not timed, so that they do not drift: instructions, locked instructions, fences, system calls
//! and calls of the allocator, of each peer in this process.
//!
//! The ruler is that of the library's own tests: a second process of this same binary is stepped over, instruction by
//! instruction. Each peer has a process of its own, so that one that cannot be counted takes no other's figures with it.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[path = "../../../crates/gatepost/tests/cost/decode.rs"]
mod decode;
mod operations;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[path = "../../../crates/gatepost/tests/cost/ruler.rs"]
#[allow(dead_code, reason = "it can do more than is asked of it here")]
mod ruler;

#[cfg(target_os = "linux")]
mod processes;

#[cfg(target_os = "linux")]
pub(crate) use processes::of_processes;

pub(crate) use operations::{Count, all, nothing, of_threads, of_threads_one_at_a_time, one_at_a_time};

use crate::peers::Peer;
use gatepost_bench_kit::result::{Counted, Size};

/// What the process that is stepped over is started with, before the peer's name.
pub(crate) const ARGUMENT: &str = "--be-counted";

/// Counts for each of `peers`; says on the way which one it is at.
pub(crate) fn run(peers: &[&Peer], mut at: impl FnMut(&str)) -> Counted {
    let mut counted = Counted { sizes: sizes(peers), ..Counted::default() };
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        counted.missing = Some("not counted: x86-64 Linux only".to_owned());
        return counted;
    }
    let mut failures = Vec::new();
    for peer in peers.iter().filter(|peer| !peer.count.is_nothing()) {
        at(&peer.entry.name);
        match count(&peer.entry.name) {
            Ok(costs) => counted.costs.extend(costs),
            Err(why) => failures.push(format!("{}: {why}", peer.entry.name)),
        }
    }
    if !failures.is_empty() {
        counted.missing = Some(failures.join("; "));
    }
    counted
}

fn sizes(peers: &[&Peer]) -> Vec<Size> {
    let sizes = peers.iter().filter_map(|peer| {
        let (semaphore, future) = (peer.count.sizes)()?;
        Some(Size { peer: peer.entry.name.clone(), semaphore, future })
    });
    sizes.collect()
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn count(peer: &str) -> Result<Vec<gatepost_bench_kit::result::Cost>, String> {
    use gatepost_bench_kit::result::Cost;
    use std::panic;
    use std::process::Command;

    let this = std::env::current_exe().map_err(|error| format!("this program cannot be found again: {error}"))?;
    let name = peer.to_owned();
    // A thread of its own, whose only child is the one to be stepped over: the ruler waits for any child of its thread.
    let ruler = std::thread::spawn(move || ruler::measure(Command::new(this).args([ARGUMENT, &name])));
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| ()));
    let rows = ruler.join();
    panic::set_hook(hook);
    let rows = rows.map_err(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str).unwrap_or("the ruler panicked");
        said.lines().next().unwrap_or(said).to_owned()
    })?;
    let costs = rows.iter().map(|(&row, counts)| {
        let (operation, n) = operations::OPERATIONS[row];
        // The mean of several, which is a whole number if they are alike.
        let each = |count: u64| (count + n / 2) / n;
        Cost {
            peer: peer.to_owned(),
            operation: operation.to_owned(),
            instructions: each(counts.instructions),
            locked: each(counts.locked),
            fences: each(counts.fences),
            syscalls: each(counts.syscalls),
            allocator: each(counts.allocator),
        }
    });
    Ok(costs.collect())
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn count(_peer: &str) -> Result<Vec<gatepost_bench_kit::result::Cost>, String> {
    Err("x86-64 Linux only".to_owned())
}

/// Is the process that is stepped over.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) fn be_counted(peer: &str) -> anyhow::Result<()> {
    use anyhow::Context as _;

    let all = crate::peers::all();
    let peer =
        all.iter().find(|other| other.entry.name == peer).with_context(|| format!("there is no peer {peer:?}"))?;
    ruler::measured::use_one_processor();
    ruler::measured::begin();
    crate::allocations::count();
    (peer.count.regions)();
    ruler::measured::done();
    Ok(())
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub(crate) fn be_counted(_peer: &str) -> anyhow::Result<()> {
    anyhow::bail!("costs are counted on x86-64 Linux only")
}
