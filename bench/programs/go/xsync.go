//go:build xsync

// golang.org/x/sync/semaphore: a count and a list of waiters under a mutex; each waiter is a channel.
package main

import (
	"context"
	"time"
	"unsafe"

	"golang.org/x/sync/semaphore"
)

// xsyncVersion is set by the build script.
var xsyncVersion = "unknown"

type weighted struct{ w *semaphore.Weighted }

var background = context.Background()

func init() {
	optional = append(optional, &peer{
		Name: "Go x/sync", Kind: "fair", Version: xsyncVersion, make: newWeighted, bank: newWeightedBank,
		Cases: []string{"U1", "U4", "C2", "C3", "C4", "C5", "C6", "C7", "C8"},
		Notes: []string{"Go x/sync: a waiter of C3 and C4 is a goroutine, so a grant or a cancel includes the switch to it."},
	})
}

func newWeighted(permits int) sema { return weighted{semaphore.NewWeighted(int64(permits))} }

// must: Acquire fails only by its context, and more than the semaphore has is never asked.
func must(err error) {
	if err != nil {
		fail("Go x/sync: %v", err)
	}
}

func (s weighted) acquire()          { must(s.w.Acquire(background, 1)) }
func (s weighted) release()          { s.w.Release(1) }
func (s weighted) try() bool         { return s.w.TryAcquire(1) }
func (s weighted) acquireMany(n int) { must(s.w.Acquire(background, int64(n))) }
func (s weighted) releaseMany(n int) { s.w.Release(int64(n)) }

func (s weighted) queue(w *waiter) bool { return s.w.Acquire(w.context, 1) == nil }

func (s weighted) acquireFor(d time.Duration) bool {
	if s.w.TryAcquire(1) {
		return true
	}
	until, cancel := context.WithTimeout(background, d)
	defer cancel()
	return s.w.Acquire(until, 1) == nil
}

func (s weighted) tryLoop(n int) (got int) {
	for i := 0; i < n; i++ {
		if s.w.TryAcquire(1) {
			got++
			s.w.Release(1)
		}
	}
	return got
}

func (s weighted) acquireLoop(n int) {
	for i := 0; i < n; i++ {
		must(s.w.Acquire(background, 1))
		s.w.Release(1)
	}
}

func (s weighted) workLoop(phase *phase, t *tally) {
	n, x := uint64(0), t.x
	for now := phase.get(); now != stopping; now = phase.get() {
		must(s.w.Acquire(background, 1))
		x = work(x)
		s.w.Release(1)
		if now == counting {
			n++
		}
	}
	t.ops, t.x = n, x
}

type weightedBank []*semaphore.Weighted

func newWeightedBank(n int) bank {
	b := make(weightedBank, n)
	for i := range b {
		b[i] = semaphore.NewWeighted(1)
	}
	return b
}

func (b weightedBank) sizeOf() uintptr { return unsafe.Sizeof(b[0]) }

func (b weightedBank) tryLoop(n int, x uint64) (got int, _ uint64) {
	for i := 0; i < n; i++ {
		x = step(x)
		w := b[pick(x, len(b))]
		if w.TryAcquire(1) {
			got++
			w.Release(1)
		}
	}
	return got, x
}
