//! A process that single-steps a thread of another and counts what it executes.
//!
//! ```text
//!   the test                                  the same binary, started again
//!   ────────                                  ──────────────────────────────
//!   spawn ──────────────────────────────────▶ PTRACE_TRACEME, by the thread to be measured
//!   wait ◀─────────────────────────────────── int3: BEGIN(row)
//!   step, decode, count; step, decode, …      the operation
//!   seen: int3 comes next ◀────────────────── int3: the end
//!   continue ◀─────────────────────────────── int3: REPORT(row, allocator calls)
//!   …
//!   let go ◀───────────────────────────────── int3: DONE
//! ```
//! The process is a fresh one and no fork of a test's, which would have the locks of threads that it does not have.
//!
//! **Two threads.** PAIR(thread, hold) before a region asks the ruler to step *another* thread of the process, which
//! begins a region of its own, up to where it would sleep (or to its n-th locked instruction), and to hold it there. The
//! region that follows meets it in exactly that state: no clock and no luck decide. UNPAIR lets it finish.
//!
//! The end of a region has no arguments, so nothing is executed for it but itself, which is not counted.

use super::decode::{Instruction, Kind, decode};
use libc::{c_int, c_long, c_void, pid_t};
use std::arch::asm;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::ptr;

/// What happened in a region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) instructions: u64,
    pub(crate) locked: u64,
    pub(crate) fences: u64,
    pub(crate) syscalls: u64,
    /// Calls of the allocator.
    pub(crate) allocator: u64,
}

/// Where a thread of a pair is held.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Hold {
    /// Before it asks the kernel to sleep.
    BeforeSleeping,
    /// Before its n-th locked instruction.
    BeforeLocked(u64),
}

/// What `rax` holds at a marker, so that a stray breakpoint is not taken for one.
const MARKER: u64 = 0x6761_7465_706F_7374;
const BEGIN: u64 = 1;
const REPORT: u64 = 2;
const PAIR: u64 = 3;
const UNPAIR: u64 = 4;
const DONE: u64 = 5;

/// The side of the thread that is measured.
pub(crate) mod measured {
    use super::*;

    /// Makes the current thread one that the ruler steps. It must not go on without.
    pub(crate) fn begin() {
        let nothing = ptr::null_mut::<c_void>();
        // SAFETY: PTRACE_TRACEME has no arguments.
        let refused = unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, nothing, nothing) } == -1;
        assert!(!refused, "ptrace(PTRACE_TRACEME): {}", io::Error::last_os_error());
    }

    #[inline(always)]
    fn mark(event: u64, first: u64, second: u64) {
        // SAFETY: the ruler, which stops this thread at the breakpoint, changes nothing and lets it go on after it.
        unsafe { asm!("int3", in("rax") MARKER, in("rdi") event, in("rsi") first, in("rdx") second, options(nostack)) }
    }

    #[inline(always)]
    fn end() {
        // SAFETY: as for `mark`.
        unsafe { asm!("int3", options(nostack, preserves_flags)) }
    }

    /// Has `operation` measured, as the row of that number.
    #[inline(always)]
    pub(crate) fn region<R>(row: usize, operation: impl FnOnce() -> R) -> R {
        let before = crate::allocations::calls();
        mark(BEGIN, row as u64, 0);
        let result = operation();
        end();
        mark(REPORT, row as u64, crate::allocations::calls() - before);
        result
    }

    /// Has `thread` stepped through the region that it begins, until it is to be held.
    #[cfg(feature = "std")]
    pub(crate) fn pair(thread: pid_t, hold: Hold) {
        let hold = match hold {
            Hold::BeforeSleeping => 0,
            Hold::BeforeLocked(n) => n,
        };
        mark(PAIR, u64::from(thread.unsigned_abs()), hold);
    }

    /// Has the thread of the pair finish its region, and lets it go.
    #[cfg(feature = "std")]
    pub(crate) fn unpair() {
        mark(UNPAIR, 0, 0);
    }

    /// Nothing more is measured.
    pub(crate) fn done() {
        mark(DONE, 0, 0);
    }

    /// The current thread, as the kernel names it.
    #[cfg(feature = "std")]
    pub(crate) fn thread_id() -> pid_t {
        // SAFETY: no arguments, cannot fail.
        unsafe { libc::syscall(libc::SYS_gettid) as pid_t }
    }

    /// Has the current thread, and those it starts, run on one processor: then nobody spins, and no clock is read.
    pub(crate) fn use_one_processor() {
        let size = size_of::<libc::cpu_set_t>();
        // SAFETY: a set of processors is plain bits; the kernel writes and reads at most `size` bytes of it.
        unsafe {
            let mut allowed: libc::cpu_set_t = std::mem::zeroed();
            assert_eq!(libc::sched_getaffinity(0, size, &mut allowed), 0, "{}", io::Error::last_os_error());
            let first = (0..size * 8).find(|&cpu| libc::CPU_ISSET(cpu, &allowed)).expect("it runs somewhere");
            let mut one: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(first, &mut one);
            assert_eq!(libc::sched_setaffinity(0, size, &one), 0, "{}", io::Error::last_os_error());
        }
    }
}

/// Runs `process`, which measures, to its end, and returns what was counted in each row: of several measurements of a
/// row the last, by which time everything that is set up once has been.
pub(crate) fn measure(process: &mut Command) -> BTreeMap<usize, Counts> {
    let process = process.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = process.spawn().expect("a test's executable can be started again");
    let result = Session::default().run();
    if result.is_err() {
        end(&mut child);
    }
    // A few lines each: neither pipe gets full while the other is read.
    let mut said = String::new();
    for mut pipe in [child.stdout.take().map(file), child.stderr.take().map(file)].into_iter().flatten() {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        said += &String::from_utf8_lossy(&bytes);
    }
    match result {
        Ok(rows) => {
            let status = child.wait().expect("it has not been waited for");
            assert!(status.success(), "the measured process failed afterwards, with {status}:\n{said}");
            rows
        }
        Err(broken) => panic!(
            "the costs could not be counted: {broken}\n{said}\n\
             The test needs ptrace(2) on a child of its own. In a container allow it (`--cap-add=SYS_PTRACE`, or a \
             seccomp profile that lets ptrace through); under Yama set `kernel.yama.ptrace_scope` to 2 or less, or run \
             it with CAP_SYS_PTRACE. Where that cannot be, leave this test out by its name and say so: what it checks \
             is unchecked then."
        ),
    }
}

fn file(pipe: impl Into<OwnedFd>) -> File {
    File::from(pipe.into())
}

/// Ends a process that may be stopped, and its traced threads with it.
fn end(child: &mut Child) {
    // What has been waited for already has no process to kill.
    if let Ok(None) = child.try_wait() {
        let _ = child.kill();
        // SAFETY: no pointers but null.
        while unsafe { libc::waitpid(-1, ptr::null_mut(), libc::__WALL | libc::__WNOTHREAD) } > 0 {}
    }
}

#[derive(Default)]
struct Session {
    rows: BTreeMap<usize, Counts>,
    /// The other thread of a pair, and what it has done so far.
    held: Option<(Thread, Region)>,
}

struct Region {
    row: usize,
    counts: Counts,
}

/// Why a region was left.
enum Left {
    AtItsEnd,
    Held,
}

impl Session {
    fn run(mut self) -> Result<BTreeMap<usize, Counts>, String> {
        let thread = Thread::first()?;
        loop {
            let marker = thread.marker()?;
            match marker.event {
                BEGIN => {
                    let mut region = Region::new(marker.first);
                    thread.step_through(&mut region, None)?;
                    self.rows.insert(region.row, region.counts);
                }
                REPORT => self.report(marker)?,
                PAIR => {
                    let other = Thread::of(marker.first)?;
                    let begin = other.marker()?;
                    if begin.event != BEGIN {
                        return Err("the other thread of a pair begins no region".into());
                    }
                    let mut region = Region::new(begin.first);
                    let hold = match marker.second {
                        0 => Hold::BeforeSleeping,
                        n => Hold::BeforeLocked(n),
                    };
                    if let Left::AtItsEnd = other.step_through(&mut region, Some(hold))? {
                        return Err("the other thread of a pair did not come to where it was to be held".into());
                    }
                    self.held = Some((other, region));
                }
                UNPAIR => {
                    let (other, mut region) = self.held.take().ok_or("no pair to end")?;
                    other.step_through(&mut region, None)?;
                    self.rows.insert(region.row, region.counts);
                    other.go_on_to_marker()?;
                    self.report(other.marker()?)?;
                    other.let_go()?;
                }
                DONE => {
                    thread.let_go()?;
                    return Ok(self.rows);
                }
                event => return Err(format!("an unknown marker: {event}")),
            }
            thread.go_on_to_marker()?;
        }
    }

    fn report(&mut self, marker: Marker) -> Result<(), String> {
        let row = self.rows.get_mut(&(marker.first as usize)).ok_or("a report on what was not measured")?;
        row.allocator = marker.second;
        Ok(())
    }
}

impl Region {
    fn new(row: u64) -> Self {
        Self { row: row as usize, counts: Counts::default() }
    }
}

/// The arguments of a marker.
struct Marker {
    event: u64,
    first: u64,
    second: u64,
}

/// A thread that is traced, and stopped unless said otherwise.
struct Thread(pid_t);

impl Thread {
    /// The first thread of the measured process that stops.
    fn first() -> Result<Self, String> {
        // Of this thread's children only, and its child's threads: other tests may have children too.
        let id = wait(-1, libc::__WALL | libc::__WNOTHREAD)?;
        Self(id).prepared()
    }

    /// The thread of that number, when it stops.
    fn of(id: u64) -> Result<Self, String> {
        let thread = Self(pid_t::try_from(id).map_err(|_| "not a thread")?);
        thread.stopped()?;
        thread.prepared()
    }

    fn prepared(self) -> Result<Self, String> {
        // A measured process never outlives the ruler.
        let options = ptr::without_provenance_mut(libc::PTRACE_O_EXITKILL as usize);
        self.ptrace(libc::PTRACE_SETOPTIONS, ptr::null_mut(), options)?;
        Ok(self)
    }

    fn ptrace(&self, request: libc::c_uint, address: *mut c_void, data: *mut c_void) -> Result<c_long, String> {
        // SAFETY: the requests made here read and write this process through `data` only for PTRACE_GETREGS, whose
        // caller passes a `user_regs_struct`; all else concerns the other process.
        let result = unsafe { libc::ptrace(request, self.0, address, data) };
        if result == -1 && request != libc::PTRACE_PEEKTEXT {
            return Err(format!("ptrace request {request}: {}", io::Error::last_os_error()));
        }
        Ok(result)
    }

    fn registers(&self) -> Result<libc::user_regs_struct, String> {
        // SAFETY: plain numbers.
        let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        self.ptrace(libc::PTRACE_GETREGS, ptr::null_mut(), (&raw mut registers).cast())?;
        Ok(registers)
    }

    /// The instruction at `address`. (A word that cannot be read comes as ones: an instruction at the end of a mapping
    /// does not reach into it.)
    fn instruction(&self, address: u64) -> Result<Instruction, String> {
        let mut bytes = [0; 16];
        for (n, word) in bytes.chunks_exact_mut(8).enumerate() {
            let at = ptr::without_provenance_mut(address as usize + 8 * n);
            let value = self.ptrace(libc::PTRACE_PEEKTEXT, at, ptr::null_mut())?;
            word.copy_from_slice(&value.to_ne_bytes());
        }
        Ok(decode(&bytes))
    }

    fn stopped(&self) -> Result<(), String> {
        wait(self.0, libc::__WALL).map(drop)
    }

    /// Lets the thread run to its next breakpoint.
    fn go_on_to_marker(&self) -> Result<(), String> {
        self.ptrace(libc::PTRACE_CONT, ptr::null_mut(), ptr::null_mut())?;
        self.stopped()
    }

    fn step(&self) -> Result<(), String> {
        self.ptrace(libc::PTRACE_SINGLESTEP, ptr::null_mut(), ptr::null_mut())?;
        self.stopped()
    }

    fn let_go(&self) -> Result<(), String> {
        self.ptrace(libc::PTRACE_DETACH, ptr::null_mut(), ptr::null_mut()).map(drop)
    }

    /// The marker at which the thread stands.
    fn marker(&self) -> Result<Marker, String> {
        let registers = self.registers()?;
        if registers.rax != MARKER {
            return Err(format!("a breakpoint that is no marker, at {:#x}", registers.rip));
        }
        Ok(Marker { event: registers.rdi, first: registers.rsi, second: registers.rdx })
    }

    /// Steps to and past the end of the region, or to where the thread is to be held.
    fn step_through(&self, region: &mut Region, hold: Option<Hold>) -> Result<Left, String> {
        /// Far more than any row takes.
        const TOO_MANY: u64 = 1_000_000;
        let counts = &mut region.counts;
        while counts.instructions < TOO_MANY {
            let registers = self.registers()?;
            let instruction = self.instruction(registers.rip)?;
            if instruction.is_breakpoint {
                self.go_on_to_marker()?; // the end itself
                return Ok(Left::AtItsEnd);
            }
            match hold {
                Some(Hold::BeforeSleeping) if instruction.kind == Kind::Syscall => return Ok(Left::Held),
                Some(Hold::BeforeLocked(n)) if instruction.kind == Kind::Locked && counts.locked + 1 == n => {
                    return Ok(Left::Held);
                }
                _ => {}
            }
            self.step()?;
            if instruction.repeats && self.registers()?.rip == registers.rip {
                continue; // one instruction, however often it stops
            }
            counts.instructions += 1;
            match instruction.kind {
                Kind::Plain => {}
                Kind::Locked => counts.locked += 1,
                Kind::Fence => counts.fences += 1,
                Kind::Syscall => counts.syscalls += 1,
            }
        }
        Err(format!("row {} does not end", region.row))
    }
}

/// Waits until a thread stops by a breakpoint or a step. Anything else ends the session.
fn wait(which: pid_t, options: c_int) -> Result<pid_t, String> {
    let mut status = 0;
    let id = loop {
        // SAFETY: `status` is this frame's.
        let id = unsafe { libc::waitpid(which, &mut status, options) };
        if id != -1 {
            break id;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(format!("waitpid: {error}"));
        }
    };
    if libc::WIFSTOPPED(status) && libc::WSTOPSIG(status) == libc::SIGTRAP {
        Ok(id)
    } else if libc::WIFEXITED(status) {
        Err(format!("a measured thread ended early, with status {}", libc::WEXITSTATUS(status)))
    } else if libc::WIFSIGNALED(status) {
        Err(format!("a measured thread was killed by signal {}", libc::WTERMSIG(status)))
    } else {
        Err(format!("a measured thread got signal {}", libc::WSTOPSIG(status)))
    }
}
