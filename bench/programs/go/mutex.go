// sync.Mutex: a semaphore with one permit.
package main

import (
	"sync"
	"unsafe"
)

// mutex fills the lines of a semaphore, so that it never shares one with what else the heap holds.
type mutex struct {
	_ [128]byte
	m sync.Mutex
	_ [120]byte
}

func newMutex(int) sema { return &mutex{} }

func (s *mutex) acquire()  { s.m.Lock() }
func (s *mutex) release()  { s.m.Unlock() }
func (s *mutex) try() bool { return s.m.TryLock() }

func (s *mutex) tryLoop(n int) (got int) {
	for i := 0; i < n; i++ {
		if s.m.TryLock() {
			got++
			s.m.Unlock()
		}
	}
	return got
}

func (s *mutex) acquireLoop(n int) {
	for i := 0; i < n; i++ {
		s.m.Lock()
		s.m.Unlock()
	}
}

func (s *mutex) workLoop(phase *phase, t *tally) {
	n, x := uint64(0), t.x
	for now := phase.get(); now != stopping; now = phase.get() {
		s.m.Lock()
		x = work(x)
		s.m.Unlock()
		if now == counting {
			n++
		}
	}
	t.ops, t.x = n, x
}

type mutexBank []sync.Mutex

func newMutexBank(n int) bank { return make(mutexBank, n) }

func (b mutexBank) sizeOf() uintptr { return unsafe.Sizeof(b[0]) }

func (b mutexBank) tryLoop(n int, x uint64) (got int, _ uint64) {
	for i := 0; i < n; i++ {
		var m *sync.Mutex
		x = step(x)
		m = &b[pick(x, len(b))]
		if m.TryLock() {
			got++
			m.Unlock()
		}
	}
	return got, x
}
