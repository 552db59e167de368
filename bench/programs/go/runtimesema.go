//go:build rtsema

// The runtime's own semaphore, under sync.Mutex and sync.WaitGroup: one word, and a treap of waiters keyed by its
// address.
package main

import (
	"runtime"
	"sync/atomic"
	"unsafe"
)

//go:linkname semacquire sync.runtime_Semacquire
func semacquire(word *uint32)

//go:linkname semrelease sync.runtime_Semrelease
func semrelease(word *uint32, handoff bool, skipframes int)

type runtimeSema struct {
	_    [128]byte
	word uint32
	_    [124]byte
}

func init() {
	optional = append(optional, &peer{
		Name: "Go runtime sema", Kind: "barging", Version: runtime.Version(), make: newRuntimeSema, bank: newRuntimeSemaBank,
		Cases: []string{"U1", "U4", "C2", "C6", "C7", "A1", "A2", "A3", "A4"},
		Notes: []string{"Go runtime sema: not public, reached by go:linkname; it has no try: U1 is our CAS on its word."},
	}, &peer{
		Name: "Go runtime sema handoff", Kind: "barging", Version: runtime.Version(), make: newHandedSema,
		bank: newRuntimeSemaBank, Cases: []string{"C7"},
		Notes: []string{"Go runtime sema handoff: released by semrelease with handoff."},
	})
}

// handedSema hands over: who releases gives way to whom it wakes.
type handedSema struct{ runtimeSema }

func newHandedSema(permits int) sema { return &handedSema{runtimeSema{word: uint32(permits)}} }

func (s *handedSema) release() { semrelease(&s.word, true, 0) }

func newRuntimeSema(permits int) sema { return &runtimeSema{word: uint32(permits)} }

// takeOne is what the runtime does first in semacquire.
func takeOne(word *uint32) bool {
	for {
		v := atomic.LoadUint32(word)
		if v == 0 {
			return false
		}
		if atomic.CompareAndSwapUint32(word, v, v-1) {
			return true
		}
	}
}

func (s *runtimeSema) acquire()  { semacquire(&s.word) }
func (s *runtimeSema) release()  { semrelease(&s.word, false, 0) }
func (s *runtimeSema) try() bool { return takeOne(&s.word) }

func (s *runtimeSema) tryLoop(n int) (got int) {
	for i := 0; i < n; i++ {
		if takeOne(&s.word) {
			got++
			semrelease(&s.word, false, 0)
		}
	}
	return got
}

func (s *runtimeSema) acquireLoop(n int) {
	for i := 0; i < n; i++ {
		semacquire(&s.word)
		semrelease(&s.word, false, 0)
	}
}

func (s *runtimeSema) workLoop(phase *phase, t *tally) {
	n, x := uint64(0), t.x
	for now := phase.get(); now != stopping; now = phase.get() {
		semacquire(&s.word)
		x = work(x)
		semrelease(&s.word, false, 0)
		if now == counting {
			n++
		}
	}
	t.ops, t.x = n, x
}

type runtimeSemaBank []uint32

func newRuntimeSemaBank(n int) bank {
	b := make(runtimeSemaBank, n)
	for i := range b {
		b[i] = 1
	}
	return b
}

func (b runtimeSemaBank) sizeOf() uintptr { return unsafe.Sizeof(b[0]) }

func (b runtimeSemaBank) tryLoop(n int, x uint64) (got int, _ uint64) {
	for i := 0; i < n; i++ {
		x = step(x)
		word := &b[pick(x, len(b))]
		if takeOne(word) {
			got++
			semrelease(word, false, 0)
		}
	}
	return got, x
}
