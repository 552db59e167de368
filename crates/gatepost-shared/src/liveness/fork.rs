//! A forked child is another process and must not pass for its parent.
//!
//! It inherits the descriptions, and with them the locks: while it had them open, its parent would live on for everybody else.
//! So a handler that the C library runs in the child closes them. And it inherits the handles, which it may not use, since
//! it is not that session: a page that the kernel wipes in every child, by `fork` or by a bare `clone`, tells it so, at the cost of
//! one load an operation.
//!
//! K1. A descriptor is in the list from before it has a lock until it is closed; `OPENING` is held over its opening and its
//!     listing, and over a fork, so no child inherits one that is not in the list.
//! K2. The child's handler only closes descriptors and stores to atomics, which is allowed between `fork` and `exec`.
//! K3. The mark of a process is not 0 and never that of a process it descends from.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::ptr::{self, NonNull};
use std::sync::OnceLock;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU64};

/// Held over the opening of a descriptor and over a fork.
static OPENING: AtomicBool = AtomicBool::new(false);
/// The list of descriptors. Nodes are used again and never freed.
static NODES: AtomicPtr<Node> = AtomicPtr::new(ptr::null_mut());

#[derive(Debug)]
struct Node {
    fd: AtomicI32,
    next: *const Node,
}

/// No descriptor.
const FREE: RawFd = -1;

/// A descriptor that a forked child closes at once.
#[derive(Debug)]
pub(crate) struct Registered {
    node: &'static AtomicI32,
    fd: RawFd,
    mark: Mark,
}

impl Registered {
    /// Opens a file by `open`, so that every child to come closes it.
    pub(crate) fn open<E: From<io::Error>>(open: impl FnOnce() -> Result<OwnedFd, E>) -> Result<Self, E> {
        let mark = Mark::of_this_process()?;
        // ORDERING: Acquire pairs with the Release of whoever had it before: the list is as that one left it.
        while OPENING.compare_exchange_weak(false, true, Acquire, Relaxed).is_err() {
            std::thread::yield_now();
        }
        let opened = open().map(|fd| {
            let fd = fd.into_raw_fd();
            let node = free_node();
            node.store(fd, Relaxed);
            Self { node, fd, mark }
        });
        // ORDERING: Release pairs with the Acquire above.
        OPENING.store(false, Release);
        opened
    }

    /// The mark of the process that opened it.
    pub(crate) fn mark(&self) -> Mark {
        self.mark
    }
}

impl AsFd for Registered {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: in the process that opened it the descriptor is open until this is dropped. In a forked child the handle is
        // foreign, which every operation asks first; `-1` would be no descriptor, and a closed one makes calls fail.
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if !self.mark.is_of_this_process() {
            return; // K2: the handler has closed it.
        }
        self.node.store(FREE, Relaxed);
        // SAFETY: it came from an `OwnedFd`, and nobody else closes it in this process.
        unsafe { libc::close(self.fd) };
    }
}

/// A node that nobody uses, by whoever holds `OPENING`.
fn free_node() -> &'static AtomicI32 {
    // ORDERING: Acquire pairs with the Release below; the holder of `OPENING` is the only one who adds.
    let first = NODES.load(Acquire);
    let mut at = first.cast_const();
    while let Some(node) = NonNull::new(at.cast_mut()) {
        // SAFETY: nodes are never freed.
        let node: &'static Node = unsafe { node.as_ref() };
        if node.fd.load(Relaxed) == FREE {
            return &node.fd;
        }
        at = node.next;
    }
    let node = Box::leak(Box::new(Node { fd: AtomicI32::new(FREE), next: first }));
    // ORDERING: Release: whoever finds the node finds it whole.
    NODES.store(node, Release);
    &node.fd
}

extern "C" fn prepare() {
    // ORDERING: as in `open`: K1.
    while OPENING.compare_exchange_weak(false, true, Acquire, Relaxed).is_err() {
        std::thread::yield_now();
    }
}

extern "C" fn parent() {
    // ORDERING: Release pairs with the Acquire in `open`.
    OPENING.store(false, Release);
}

extern "C" fn child() {
    // ORDERING: Acquire: the nodes are whole.
    let mut at = NODES.load(Acquire).cast_const();
    while let Some(node) = NonNull::new(at.cast_mut()) {
        // SAFETY: nodes are never freed.
        let node: &'static Node = unsafe { node.as_ref() };
        let fd = node.fd.swap(FREE, Relaxed);
        if fd != FREE {
            // SAFETY: K1: it is ours, and by the mark nobody uses it here.
            unsafe { libc::close(fd) };
        }
        at = node.next;
    }
    // ORDERING: Release pairs with the Acquire in `open`.
    OPENING.store(false, Release);
}

/// Says which process a handle belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark(u64);

/// The page that the kernel wipes in a child.
struct Page(NonNull<AtomicU64>);

// SAFETY: the page is never unmapped, and what lies in it is atomic.
unsafe impl Send for Page {}
// SAFETY: as above.
unsafe impl Sync for Page {}

static PAGE: OnceLock<Page> = OnceLock::new();
/// The last mark that was given out, here or in a process that we descend from.
static LAST: AtomicU64 = AtomicU64::new(0);

impl Mark {
    /// The mark of this process; made at the first call.
    pub(crate) fn of_this_process() -> io::Result<Self> {
        let page = match PAGE.get() {
            Some(page) => page,
            None => {
                let made = make_page()?;
                let mut first = false;
                let page = PAGE.get_or_init(|| {
                    first = true;
                    made
                });
                if first {
                    // SAFETY: the three are functions that live for ever; K2.
                    let result = unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) };
                    if result != 0 {
                        return Err(io::Error::from_raw_os_error(result));
                    }
                }
                page
            }
        };
        // SAFETY: the page is never unmapped.
        let word = unsafe { page.0.as_ref() };
        let mark = word.load(Relaxed);
        if mark != 0 {
            return Ok(Self(mark));
        }
        // K3: the counter is inherited, so a child counts on from its parent's.
        let next = LAST.fetch_add(1, Relaxed) + 1;
        let mark = match word.compare_exchange(0, next, Relaxed, Relaxed) {
            Ok(_) => next,
            Err(mark) => mark,
        };
        Ok(Self(mark))
    }

    /// As a number: not 0.
    pub(crate) fn get(self) -> u64 {
        self.0
    }

    /// Whether that is the process that runs this.
    pub(crate) fn is_of_this_process(self) -> bool {
        PAGE.get().is_some_and(|page| {
            // SAFETY: the page is never unmapped.
            unsafe { page.0.as_ref() }.load(Relaxed) == self.0
        })
    }
}

fn make_page() -> io::Result<Page> {
    use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
    let size = rustix::param::page_size();
    // SAFETY: no address is asked for, so nothing that exists is replaced.
    let page = unsafe { mmap_anonymous(ptr::null_mut(), size, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)? };
    // SAFETY: the page is ours.
    if let Err(error) = unsafe { madvise(page, size, Advice::LinuxWipeOnFork) } {
        // SAFETY: the page is ours, and nobody has seen it.
        unsafe { munmap(page, size)? };
        return Err(error.into());
    }
    NonNull::new(page.cast()).map(Page).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
}

impl AsRawFd for Registered {
    fn as_raw_fd(&self) -> RawFd {
        self.fd
    }
}
