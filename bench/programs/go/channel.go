// A buffered channel: a send acquires, a receive releases. A sender that waits is handed its place in order.
package main

import (
	"time"
	"unsafe"
)

type channel chan struct{}

func newChannel(permits int) sema { return channel(make(chan struct{}, permits)) }

func (s channel) acquire() { s <- struct{}{} }
func (s channel) release() { <-s }

func (s channel) try() bool {
	select {
	case s <- struct{}{}:
		return true
	default:
		return false
	}
}

func (s channel) acquireFor(d time.Duration) bool {
	select {
	case s <- struct{}{}:
		return true
	default:
	}
	// A timer that is stopped when the permit came first: time.After alone would leave it to the collector.
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case s <- struct{}{}:
		return true
	case <-timer.C:
		return false
	}
}

func (s channel) tryLoop(n int) (got int) {
	for i := 0; i < n; i++ {
		select {
		case s <- struct{}{}:
			got++
			<-s
		default:
		}
	}
	return got
}

func (s channel) acquireLoop(n int) {
	for i := 0; i < n; i++ {
		s <- struct{}{}
		<-s
	}
}

func (s channel) workLoop(phase *phase, t *tally) {
	n, x := uint64(0), t.x
	for now := phase.get(); now != stopping; now = phase.get() {
		s <- struct{}{}
		x = work(x)
		<-s
		if now == counting {
			n++
		}
	}
	t.ops, t.x = n, x
}

type channelBank []chan struct{}

func newChannelBank(n int) bank {
	b := make(channelBank, n)
	for i := range b {
		b[i] = make(chan struct{}, 1)
	}
	return b
}

func (b channelBank) sizeOf() uintptr { return unsafe.Sizeof(b[0]) }

func (b channelBank) tryLoop(n int, x uint64) (got int, _ uint64) {
	for i := 0; i < n; i++ {
		x = step(x)
		c := b[pick(x, len(b))]
		select {
		case c <- struct{}{}:
			got++
			<-c
		default:
		}
	}
	return got, x
}
