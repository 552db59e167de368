//! The table grows, and nobody is lost or slowed down by it.

use crate::address::table::{BASE, hash};
use crate::address::{Acquire, RawSema, Sema, SemaTable};
use crate::wait::tree::steps;
use std::boxed::Box;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::vec::Vec;

fn poll<W: crate::address::Word>(acquire: &mut Pin<Box<Acquire<'_, W>>>) -> Poll<()> {
    acquire.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// So many tasks, each waiting at an address of its own, and then woken in another order.
fn storm(n: usize) -> (usize, f64, f64) {
    let table = SemaTable::new();
    let semas: Vec<Sema> = (0..n).map(|_| Sema::new(0)).collect();
    let mut waiting: Vec<_> = semas.iter().map(|sema| Box::pin(sema.acquire_in(&table))).collect();
    let before = steps::count();
    waiting.iter_mut().for_each(|acquire| assert!(poll(acquire).is_pending()));
    let joined = steps::count();
    let stride = n / 2 + 1; // odd or coprime enough: every one once, far apart
    for i in 0..n {
        semas[i * stride % n].release_in(&table);
    }
    let served = steps::count();
    waiting.iter_mut().for_each(|acquire| assert!(poll(acquire).is_ready(), "nobody is left"));
    (table.buckets(), (joined - before) as f64 / n as f64, (served - joined) as f64 / n as f64)
}

#[test]
fn g26_with_many_addresses_each_operation_costs_what_it_costs_with_few() {
    let (small_size, small_join, small_serve) = storm(10_001);
    let (large_size, large_join, large_serve) = storm(160_001);
    assert!(large_size > 160_001 / 16, "the table has grown: {large_size}");
    assert!(large_size < 160_001 / 2, "but not without measure: {large_size}");
    assert!(small_size > BASE);
    assert!(large_join < small_join * 1.5 && large_serve < small_serve * 1.5, "{large_join} {large_serve}");
    assert!(large_join < 6.0 && large_serve < 6.0, "steps of a search: {large_join} {large_serve}");
}

#[test]
#[ignore = "a million addresses: half a gigabyte"]
fn g26_with_a_million_addresses_too() {
    let (size, join, serve) = storm(1_000_001);
    assert!(size > 1_000_001 / 16 && join < 6.0 && serve < 6.0, "{size} {join} {serve}");
}

#[test]
fn one_insertion_splits_one_bucket_at_the_most() {
    let table = SemaTable::new();
    let semas: Vec<Sema> = (0..20_000).map(|_| Sema::new(0)).collect();
    let mut waiting: Vec<_> = semas.iter().map(|sema| Box::pin(sema.acquire_in(&table))).collect();
    for acquire in &mut waiting {
        let before = table.buckets();
        assert!(poll(acquire).is_pending());
        assert!(table.buckets() <= before + 1);
    }
}

#[test]
fn a_table_that_is_crowded_at_one_address_does_not_grow() {
    let table = SemaTable::new();
    let sema = Sema::new(0);
    let mut waiting: Vec<_> = (0..1000).map(|_| Box::pin(sema.acquire_in(&table))).collect();
    waiting.iter_mut().for_each(|acquire| assert!(poll(acquire).is_pending()));
    assert_eq!(table.buckets(), BASE);
    assert_eq!(sema.num_waiters_in(&table), 1000);
}

#[test]
fn words_side_by_side_do_not_meet_in_one_bucket() {
    let words: Vec<RawSema> = (0..BASE * 8).map(|_| RawSema::new(0)).collect();
    let mut counts = [0; BASE];
    for word in &words {
        counts[hash(std::ptr::from_ref(word).addr()) % BASE] += 1;
    }
    assert!(counts.iter().all(|&count| count <= 24), "eight are expected in each: {counts:?}");
}

#[test]
fn an_empty_bucket_is_all_zeros() {
    use crate::address::table::Bucket;
    let bucket = Box::new(Bucket::new());
    let bytes = std::ptr::from_ref(&*bucket).cast::<u8>();
    // The lock, the count, the root, the two numbers of the treap: what is behind them is padding, which has no value.
    let used = core::mem::offset_of!(Bucket, treap) + size_of::<crate::address::treap::Treap>();
    for at in 0..used {
        // SAFETY: within the bucket; the bytes of atomics and pointers, written when it was made, in one thread.
        assert_eq!(unsafe { bytes.add(at).read() }, 0, "byte {at}");
    }
    assert_eq!(size_of::<Bucket>(), 64);
}
