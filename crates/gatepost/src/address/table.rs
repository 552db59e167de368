//! Who waits at which address: a table that grows with the addresses that somebody waits at.
//!
//! ```text
//!   address ──hash──▶ bucket: a lock, how many wait in it, a treap of addresses ──▶ each with a list of its waiters
//! ```
//! # Growth
//! Go's table has 251 buckets for ever. This one grows by *linear hashing*: there are `size` buckets; with `m` the power of
//! two at or above `size`, a hash belongs to bucket `hash mod m`, or, if there is none yet, to `hash mod m/2`. To split the
//! next bucket in turn is to make bucket `size` and move there what belongs to it, from bucket `size - m/2`, and from no
//! other. Whoever adds an address to a bucket that has [`CROWD`] of them splits *one* bucket: nobody ever stops for a whole
//! table to be moved. The table does not shrink.
//!
//! Buckets do not move: they are in segments, each as large as all before it together. The first is part of the table, so
//! that a table is a constant, and needs no allocator unless it grows.
//!
//! # Steps of a split, by whoever has `growing`
//! B1 lock the old bucket, then the new one. B2 move the addresses; the new bucket's `waiting` is written. B3 `size` is
//! written. B4 the old bucket's `waiting` is written. B5 unlock both.
//!
//! # Invariants
//! **B-I1.** Where an address belongs changes only in B3, with the lock of its old bucket held. So whoever holds a bucket's
//! lock and finds that an address belongs there keeps it there.
//!
//! **B-I2.** `waiting` of a bucket is the number of waiters linked in it, or about to be, or (between B3 and B4) moved away:
//! never too small, for an address that belongs to it.
//!
//! **B-I3 (the look without a lock).** A releaser that sees `waiting` 0 in a bucket, and afterwards that its address belongs
//! to that bucket still, has missed nobody who was linked, or announced, before its look began. Let `w` have been in that
//! bucket then. It left by being taken out, which is somebody's service, or by B2; 0 was then read from B4, or from what a
//! later holder of the lock wrote, who had B3 before it. Each of these is a Release (at least), which makes B3 visible to the
//! second look, and the address belongs elsewhere: a bucket does not become an address's own again.
//!
//! # Cost
//! 64 bytes for a bucket, each on a line of its own, and about three addresses in it. To find an address is a search of a tree of
//! about three; its price does not grow with the number of addresses (a test counts the steps). Fewer in each would cost
//! more buckets, more would cost more lines that are in no cache: with 10^4 addresses and more those are the price.

use super::treap::Treap;
use super::waiter::{Link, Protocol, Waiter};
#[cfg(feature = "alloc")]
use crate::sys::atomic::Acquire;
use crate::sys::atomic::explored::{AtomicU32, AtomicUsize};
use crate::sys::atomic::{Relaxed, Release, SeqCst};
use crate::sys::cell::UnsafeCell;
use crate::sys::mutant::{self, Mutant};
use crate::sys::{checked_fence, const_fn};
use crate::wait::lock::{Held, Lock};
#[cfg(feature = "alloc")]
use crate::wait::reason::WaitReason;
use core::ptr::NonNull;

#[cfg(feature = "alloc")]
use segments::Segments;

/// Buckets that a table begins with.
pub(super) const BASE: usize = if cfg!(all(test, any(loom, shuttle))) { 1 } else { 64 };
/// A bucket with so many addresses is a reason to split one.
pub(super) const CROWD: u32 = if cfg!(all(test, any(loom, shuttle))) { 1 } else { 4 };

/// Who waits at which address. See the [module's documentation](super) for what it is for.
///
/// There is one for the process, which [`Sema`](super::Sema) and [`RawSema`](super::RawSema) use by themselves. A table of
/// one's own isolates its users from everybody else's waiters: their methods that end in `_in` take it. All who use one
/// word, to acquire or to release, must use one table: a release that looks in another one wakes nobody.
///
/// # Cost
/// 4.3 kB, and 64 bytes more for about three addresses at which somebody waits at one time, on 64-bit machines with `alloc`.
/// It grows in steps of one bucket, and keeps what it has grown to. Without `alloc` it does not grow: looking for an address
/// then takes time in proportion to the logarithm of their number.
///
/// # Examples
/// ```
/// use gatepost::address::{Sema, SemaTable};
///
/// static TABLE: SemaTable = SemaTable::new();
///
/// let sema = Sema::new(0);
/// std::thread::scope(|scope| {
///     scope.spawn(|| sema.acquire_in(&TABLE).wait());
///     sema.release_in(&TABLE);
/// });
/// ```
pub struct SemaTable {
    size: AtomicUsize,
    first: [Bucket; BASE],
    #[cfg(feature = "alloc")]
    segments: Segments,
}

/// See the module head.
#[repr(align(64))]
pub(super) struct Bucket {
    lock: Lock,
    /// Waiters in it. Written by the lock's holder.
    waiting: AtomicU32,
    pub(super) treap: UnsafeCell<Treap>,
}

// SAFETY: the treap is touched by the lock's holder only, and waiters may be touched from any thread.
unsafe impl Send for Bucket {}
// SAFETY: as above.
unsafe impl Sync for Bucket {}

impl Bucket {
    const_fn! {
        pub(super) const fn new() -> Self {
            Self { lock: Lock::new(), waiting: AtomicU32::new(0), treap: UnsafeCell::new(Treap::new()) }
        }
    }
}

/// The bucket of an address, locked.
pub(super) struct Locked<'a> {
    bucket: &'a Bucket,
    _held: Held<'a>,
}

impl Locked<'_> {
    fn treap<R>(&self, f: impl FnOnce(&mut Treap) -> R) -> R {
        // SAFETY: the lock is held, and no caller looks at the treap inside of `f`.
        self.bucket.treap.with_mut(|treap| f(unsafe { &mut *treap }))
    }

    /// A1: one more waits here, or is about to. Who releases a `RawSema` from now on comes and looks; who releases a `Sema`
    /// learns of it from the word's bit, and does not look here.
    #[inline]
    pub(super) fn announce(&self, protocol: Protocol) {
        let waiting = self.bucket.waiting.load(Relaxed).wrapping_add(1);
        match protocol {
            Protocol::Raw => {
                // ORDERING: SeqCst, the two-location protocol of `serve`: what comes before the look at the word.
                self.bucket.waiting.store(waiting, SeqCst);
                checked_fence();
            }
            // ORDERING: Release, as in `renounce`. On x86-64 that is no RMW.
            Protocol::Bit => self.bucket.waiting.store(waiting, Release),
        }
    }

    /// It waits no more, or does not wait after all.
    #[inline]
    pub(super) fn renounce(&self) {
        let waiting = self.bucket.waiting.load(Relaxed).wrapping_sub(1);
        // ORDERING: Release pairs with the look of `may_wait`: who reads a 0 that was written after B4 sees B3 (B-I3). To be
        // seen late costs a releaser a look in vain, and nobody a wake-up.
        self.bucket.waiting.store(waiting, Release);
    }

    /// The first who waits at `key`.
    #[inline]
    pub(super) fn front(&self, key: usize) -> Link {
        // SAFETY: the lock is held.
        self.treap(|treap| unsafe { treap.find(key) })
    }

    /// Links a waiter that has been announced, and tells it behind how many it stands. Whether its bucket is crowded.
    ///
    /// # Safety
    /// The waiter is in no list, and stays alive and in place until it has been taken out.
    pub(super) unsafe fn link(&self, key: usize, waiter: NonNull<Waiter>) -> bool {
        self.treap(|treap| {
            let before = treap.heads();
            // SAFETY: the lock is held; the rest by the caller's promise.
            unsafe { waiter.as_ref().ahead.set(treap.push(key, waiter)) };
            treap.heads() > before && treap.heads() > CROWD
        })
    }

    /// Takes out a waiter. Whether it was the last one at its address.
    ///
    /// # Safety
    /// `front` is what [`front`](Self::front) says of `waiter`'s address, and `waiter` is linked.
    pub(super) unsafe fn unlink(&self, front: NonNull<Waiter>, waiter: NonNull<Waiter>) -> bool {
        self.renounce();
        // SAFETY: the lock is held; the rest by the caller's promise.
        self.treap(|treap| unsafe { treap.remove(front, waiter) })
    }

    /// Waiters at `key`.
    pub(super) fn len(&self, key: usize) -> u32 {
        // SAFETY: the lock is held; a front is a head.
        self.front(key).map_or(0, |front| unsafe { Waiter::group(front, |group| group.len) })
    }
}

/// Spreads addresses, which are multiples of four, over 32 bits, of which the lower ones choose the bucket.
///
/// One multiplication by the golden ratio is not enough: words side by side are an arithmetic progression, which it maps to
/// another, and in some of the sizes to which the table grows that one comes back to the same few buckets (160,000 words
/// side by side were found in buckets of 20, with most of the others empty). So what the first one has spread over the upper
/// half is folded into the lower half, and spread once more.
#[cfg(not(all(test, any(loom, shuttle))))]
#[inline]
pub(super) fn hash(key: usize) -> usize {
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    let once = (key as u64 >> 2).wrapping_mul(GOLDEN);
    #[allow(clippy::cast_possible_truncation)] // 32 bits
    let hash = ((once ^ (once >> 32)).wrapping_mul(GOLDEN) >> 32) as usize;
    hash
}

/// Under a model checker: the position of the word in the checks' array of words, which is aligned to 1024 bytes. (An
/// address of the heap would differ from execution to execution.)
#[cfg(all(test, any(loom, shuttle)))]
pub(super) fn hash(key: usize) -> usize {
    (key % 1024) / size_of::<AtomicU32>()
}

/// The bucket, of `size`, to which a hash belongs.
#[inline]
fn owner(hash: usize, size: usize) -> usize {
    let mask = size.next_power_of_two() - 1;
    let at = hash & mask;
    if at < size { at } else { at & (mask >> 1) }
}

impl SemaTable {
    const_fn! {
        /// A table in which nobody waits.
        pub const fn new() -> Self {
            Self {
                size: AtomicUsize::new(BASE),
                first: new_buckets!(),
                #[cfg(feature = "alloc")]
                segments: Segments::new(),
            }
        }
    }

    /// The table of the process.
    #[cfg(not(all(test, loom)))]
    pub fn global() -> &'static Self {
        static GLOBAL: SemaTable = SemaTable::new();
        &GLOBAL
    }

    /// Loom's objects live for one execution: the models have tables of their own.
    #[cfg(all(test, loom))]
    pub fn global() -> &'static Self {
        unreachable!("a model has a table of its own")
    }

    #[inline]
    fn size(&self) -> usize {
        // ORDERING: SeqCst pairs with B3: see B-I3, and the proof in `raw`.
        self.size.load(SeqCst)
    }

    #[inline]
    fn bucket(&self, at: usize) -> &Bucket {
        #[cfg(feature = "alloc")]
        if at >= BASE {
            return self.segments.bucket(at);
        }
        &self.first[at]
    }

    /// Locks the bucket to which `key` belongs.
    pub(super) fn lock(&self, key: usize) -> Locked<'_> {
        let hash = hash(key);
        let mut size = self.size();
        loop {
            let at = owner(hash, size);
            let bucket = self.bucket(at);
            let held = bucket.lock.lock();
            let now = self.size();
            if now == size || owner(hash, now) == at || mutant::is(Mutant::StaleBucket) {
                return Locked { bucket, _held: held }; // B-I1
            }
            size = now;
        }
    }

    /// Whether somebody may wait in the bucket to which `key` belongs: B-I3. "No" is exact.
    #[inline]
    pub(super) fn may_wait(&self, key: usize) -> bool {
        let hash = hash(key);
        let mut size = self.size();
        loop {
            let at = owner(hash, size);
            // ORDERING: SeqCst, the two-location protocol of `serve`; and with the Release half of B4 for the look below.
            if self.bucket(at).waiting.load(SeqCst) != 0 {
                return true;
            }
            let now = self.size();
            // Of the same size it is the same bucket; of another, it may be.
            if now == size || owner(hash, now) == at || mutant::is(Mutant::SplitUnseen) {
                return false;
            }
            size = now;
        }
    }

    /// Buckets that there are.
    #[cfg(all(test, feature = "alloc", not(any(loom, shuttle))))]
    pub(super) fn buckets(&self) -> usize {
        self.size()
    }

    /// Walks the whole table: everybody is where they belong and counted there (A-I2, B-I2). Returns how many wait.
    #[cfg(all(test, feature = "alloc"))]
    pub(super) fn check(&self) -> u32 {
        let size = self.size();
        let check = |at| {
            let bucket = self.bucket(at);
            let locked = Locked { bucket, _held: bucket.lock.lock() };
            let (mut waiting, mut heads) = (0, 0);
            locked.treap(|treap| {
                // SAFETY: the lock is held.
                unsafe {
                    treap.for_each(|key, waiters| {
                        assert_eq!(owner(hash(key), size), at, "B-I1: an address in a bucket that is not its own");
                        waiting += u32::try_from(waiters.count()).expect("they are counted in 32 bits");
                        heads += 1;
                    });
                }
                assert_eq!(treap.heads(), heads, "as many addresses as the treap says");
            });
            assert_eq!(bucket.waiting.load(Relaxed), waiting, "B-I2: each waiter is counted, and nobody else");
            waiting
        };
        (0..size).map(check).sum()
    }
}

#[cfg(not(feature = "alloc"))]
impl SemaTable {
    /// A bucket is crowded: without an allocator there is nothing to split it into.
    #[allow(clippy::unused_self)]
    pub(super) fn grow(&self) {}
}

#[cfg(feature = "alloc")]
impl SemaTable {
    /// A bucket is crowded: splits the next one in turn, unless somebody does just now.
    #[cold]
    pub(super) fn grow(&self) {
        // ORDERING: Acquire pairs with the Release below: who splits next sees what the last one did. Not a lock, under which a
        // platform may forbid preemption: memory is asked for.
        if self.segments.growing.compare_exchange(0, 1, Acquire, Relaxed).is_ok() {
            self.split();
            // ORDERING: Release, as above.
            self.segments.growing.store(0, Release);
        }
    }

    /// Makes one bucket more. `growing` is this thread's.
    fn split(&self) {
        let size = self.size();
        if !self.segments.make(size) {
            return; // as large as it gets, or no memory: it works as it is
        }
        let whole = (size + 1).next_power_of_two();
        let (old, new) = (self.bucket(size - whole / 2), self.bucket(size));
        let (_old_held, _new_held) = (old.lock.lock(), new.lock.lock()); // B1
        let moved = old.treap.with_mut(|old| {
            new.treap.with_mut(|new| {
                // SAFETY: both locks are held. B2.
                unsafe { (*old).split(&mut *new, |key| owner(hash(key), size + 1) == size) }
            })
        });
        let counted = if mutant::is(Mutant::MovedUncounted) { 0 } else { moved };
        new.waiting.store(counted, Relaxed); // published by B3
        if mutant::is(Mutant::SplitOutOfOrder) {
            // ORDERING: SeqCst as below.
            old.waiting.store(old.waiting.load(Relaxed) - moved, SeqCst);
        }
        // ORDERING: SeqCst pairs with the looks of `size()`: B3, before B4.
        self.size.store(size + 1, SeqCst);
        if !mutant::is(Mutant::SplitOutOfOrder) {
            // ORDERING: SeqCst, whose Release half pairs with the look of `may_wait`: who reads this sees B3.
            old.waiting.store(old.waiting.load(Relaxed) - moved, SeqCst); // B4
        }
    }

    /// Everybody who waits, by address: a snapshot, bucket by bucket, to find out why a program does not go on (G54). Who is moved by a split meanwhile may be found twice.
    ///
    /// # Cost
    /// Each bucket is locked while its waiters are copied.
    ///
    /// # Examples
    /// ```
    /// use gatepost::{WaitReason, address::{Sema, SemaTable}};
    /// # use std::{future::Future, pin::pin, task::{Context, Waker}};
    ///
    /// let (table, sema) = (SemaTable::new(), Sema::new(0));
    /// let mut lock = pin!(sema.acquire_in(&table).reason(WaitReason::Mutex));
    /// assert!(lock.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    ///
    /// let waiting = table.waiting();
    /// assert_eq!(waiting[0].address, std::ptr::from_ref(&sema).addr());
    /// assert_eq!(waiting[0].reasons, [WaitReason::Mutex]);
    /// ```
    pub fn waiting(&self) -> alloc::vec::Vec<WaitingAt> {
        let mut all = alloc::vec::Vec::new();
        let mut at = 0;
        while at < self.size() {
            let bucket = self.bucket(at);
            // What is copied into is allocated before the lock: an allocator may wait at an address itself.
            let mut copied = alloc::vec::Vec::with_capacity(bucket.waiting.load(Relaxed) as usize + 8);
            let locked = Locked { bucket, _held: bucket.lock.lock() };
            if bucket.waiting.load(Relaxed) as usize > copied.capacity() {
                continue; // more have come: once more, with more room
            }
            locked.treap(|treap| {
                // SAFETY: the lock is held; those in the lists are linked, hence alive.
                unsafe {
                    treap.for_each(|key, waiters| {
                        copied.extend(waiters.map(|waiter| (key & !1, waiter.as_ref().node.reason())));
                    });
                }
            });
            drop(locked);
            for here in copied.chunk_by(|a, b| a.0 == b.0) {
                let reasons = here.iter().map(|&(_, reason)| reason).collect();
                all.push(WaitingAt { address: here[0].0, reasons });
            }
            at += 1;
        }
        all
    }
}

/// Who waits at an address: see [`SemaTable::waiting`].
#[cfg(feature = "alloc")]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WaitingAt {
    /// The address of the word.
    pub address: usize,
    /// What its waiters wait for, first come first.
    pub reasons: alloc::vec::Vec<WaitReason>,
}

impl Default for SemaTable {
    fn default() -> Self {
        Self::new()
    }
}

impl core::fmt::Debug for SemaTable {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SemaTable").field("buckets", &self.size()).finish_non_exhaustive()
    }
}

// What the queues hold is consistent whenever a lock is free: no user code runs under one.
impl core::panic::UnwindSafe for SemaTable {}
impl core::panic::RefUnwindSafe for SemaTable {}

macro_rules! new_buckets {
    () => {{
        #[cfg(not(all(test, loom)))]
        {
            [const { Bucket::new() }; BASE]
        }
        #[cfg(all(test, loom))]
        {
            core::array::from_fn(|_| Bucket::new())
        }
    }};
}
use new_buckets;

#[cfg(feature = "alloc")]
mod segments {
    use super::{BASE, Bucket, const_fn};
    use crate::sys::atomic::explored::AtomicU32;
    use crate::sys::atomic::{Acquire, AtomicPtr, Relaxed, Release};
    use core::ptr;

    /// Each segment doubles the table: so many make 2^30 buckets or all of the memory.
    const SEGMENTS: usize = if cfg!(all(test, any(loom, shuttle))) { 2 } else { 24 };

    /// The buckets behind the first ones: segment `k` has buckets `BASE << k` to `BASE << (k + 1)`.
    pub(super) struct Segments {
        segments: [AtomicPtr<Bucket>; SEGMENTS],
        /// 1 while somebody makes a bucket.
        pub(super) growing: AtomicU32,
    }

    /// The segment of a bucket, and its place there.
    #[inline]
    fn segment(at: usize) -> (usize, usize) {
        let k = (at / BASE).ilog2() as usize;
        (k, at - (BASE << k))
    }

    impl Segments {
        const_fn! {
            pub(super) const fn new() -> Self {
                Self { segments: new_segments!(), growing: AtomicU32::new(0) }
            }
        }

        #[inline]
        pub(super) fn bucket(&self, at: usize) -> &Bucket {
            let (k, place) = segment(at);
            // ORDERING: Acquire pairs with the Release of `make`.
            let segment = self.segments[k].load(Acquire);
            debug_assert!(!segment.is_null(), "a bucket below the size has its segment");
            // SAFETY: whoever names a bucket has seen a size above it, or is to make it: `make` has stored its segment,
            // which lives as long as the table and has more than `place` buckets from its first aligned place on.
            unsafe { &*aligned(segment).add(place) }
        }

        /// Sees to it that there is memory for bucket `at`. `growing` is the caller's.
        pub(super) fn make(&self, at: usize) -> bool {
            let (k, place) = segment(at);
            if k >= SEGMENTS {
                return false;
            }
            if place > 0 {
                return true; // the segment was made for its first bucket
            }
            let segment = allocate(BASE << k);
            // ORDERING: Release pairs with the Acquire of `bucket`: the buckets are initialised.
            self.segments[k].store(segment, Release);
            !segment.is_null()
        }
    }

    impl Drop for Segments {
        fn drop(&mut self) {
            for (k, segment) in self.segments.iter().enumerate() {
                let segment = segment.load(Relaxed);
                if !segment.is_null() {
                    // SAFETY: `allocate` made it, of this length; the table is dropped, so nobody looks at it.
                    unsafe { free(segment, BASE << k) };
                }
            }
        }
    }

    /// The first place in a segment at which a bucket may be.
    #[inline]
    fn aligned(segment: *mut Bucket) -> *mut Bucket {
        const ALIGNMENT: usize = align_of::<Bucket>();
        segment.map_addr(|addr| (addr + ALIGNMENT - 1) & !(ALIGNMENT - 1))
    }

    /// Of so many buckets, wherever the first one begins. Not with their alignment: for more than an allocator gives by itself, the
    /// system's clears the memory by hand, and touches all of it, instead of asking for pages of zeros.
    #[cfg(not(all(test, any(loom, shuttle))))]
    fn layout(len: usize) -> Option<core::alloc::Layout> {
        let size = len.checked_add(1)?.checked_mul(size_of::<Bucket>())?;
        core::alloc::Layout::from_size_align(size, align_of::<usize>()).ok()
    }

    /// Memory for so many buckets, or null. Asked for as zeros: of a large segment the kernel then gives only those pages
    /// that are used.
    #[cfg(not(all(test, any(loom, shuttle))))]
    fn allocate(len: usize) -> *mut Bucket {
        let Some(layout) = layout(len) else { return ptr::null_mut() };
        // SAFETY: the layout is not empty. An empty bucket is all zeros: a free lock, no waiter, no root, no random number
        // yet (`an_empty_bucket_is_all_zeros` checks it).
        unsafe { alloc::alloc::alloc_zeroed(layout) }.cast()
    }

    /// # Safety
    /// `segment` is of [`allocate`], with the same `len`, and is not used any more.
    #[cfg(not(all(test, any(loom, shuttle))))]
    unsafe fn free(segment: *mut Bucket, len: usize) {
        let layout = layout(len).expect("it was allocated with it");
        // SAFETY: by the caller's promise. A bucket has no destructor to run.
        unsafe { alloc::alloc::dealloc(segment.cast(), layout) };
    }

    #[cfg(all(test, any(loom, shuttle)))]
    fn allocate(len: usize) -> *mut Bucket {
        let buckets: alloc::boxed::Box<[Bucket]> = (0..len).map(|_| Bucket::new()).collect();
        alloc::boxed::Box::into_raw(buckets).cast()
    }

    /// # Safety
    /// As in the shipped one.
    #[cfg(all(test, any(loom, shuttle)))]
    unsafe fn free(segment: *mut Bucket, len: usize) {
        // SAFETY: `allocate` made it from such a box.
        drop(unsafe { alloc::boxed::Box::from_raw(ptr::slice_from_raw_parts_mut(segment, len)) });
    }

    macro_rules! new_segments {
        () => {{
            #[cfg(not(all(test, loom)))]
            {
                [const { AtomicPtr::new(ptr::null_mut()) }; SEGMENTS]
            }
            #[cfg(all(test, loom))]
            {
                core::array::from_fn(|_| AtomicPtr::new(ptr::null_mut()))
            }
        }};
    }
    use new_segments;
}
