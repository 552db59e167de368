// U1 and U4: one goroutine and free permits. C6: a million semaphores.
package main

import (
	"bytes"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"
)

// batch is how many pairs run between two looks at the clock: 20 µs or more, against 25 ns for the look.
const batch = 4096

func uncontended(p *peer, r *request) answer {
	permits := 16
	if p.most != 0 {
		permits = p.most
	}
	s := p.make(permits)
	loop := func() {
		if r.Case == "U4" {
			s.acquireLoop(batch)
		} else if got := s.tryLoop(batch); got != batch {
			fail("%s: %d of %d tries got a free permit", p.Name, got, batch)
		}
	}
	ns := repeat(r, loop)
	p.complete(s, permits)
	return answer{Metrics: map[string]float64{"ns": ns}}
}

// repeat runs the loop for the warm-up, then for the window; it returns ns for each of the loop's pairs.
func repeat(r *request, loop func()) float64 {
	for begin := time.Now(); time.Since(begin) < milliseconds(r.WarmMs); {
		loop()
	}
	begin, n := time.Now(), 0
	for {
		loop()
		n++
		if in := time.Since(begin); in >= milliseconds(r.WindowMs) {
			return float64(in) / float64(n*batch)
		}
	}
}

// bank is many semaphores with one permit each.
type bank interface {
	// tryLoop takes and gives back a permit at n random ones; it returns how often it got one, and the random state.
	tryLoop(n int, x uint64) (int, uint64)
	// sizeOf is what one takes in the slice.
	sizeOf() uintptr
}

func step(x uint64) uint64 {
	x ^= x << 13
	x ^= x >> 7
	x ^= x << 17
	return x
}

func pick(x uint64, n int) int { return int((x >> 32) * uint64(n) >> 32) }

func million(p *peer, r *request) answer {
	const n = 1_000_000
	debug.FreeOSMemory()
	before := resident()
	b := p.bank(n)
	x := seed(0)
	// One use of each, more or less: memory counts when it was touched.
	for i := 0; i < n; i += batch {
		_, x = b.tryLoop(batch, x)
	}
	runtime.GC()
	after := resident()
	ns := repeat(r, func() {
		var got int
		if got, x = b.tryLoop(batch, x); got != batch {
			fail("%s: %d of %d tries got a free permit", p.Name, got, batch)
		}
	})
	runtime.KeepAlive(b)
	return answer{Metrics: map[string]float64{
		"bytes": (after - before) / n, "size_of": float64(b.sizeOf()), "ns": ns,
	}}
}

// resident is the process's memory in bytes.
func resident() float64 {
	text, err := os.ReadFile("/proc/self/statm")
	fields := bytes.Fields(text)
	if err != nil || len(fields) < 2 {
		fail("/proc/self/statm: %v", err)
	}
	pages, err := strconv.Atoi(string(fields[1]))
	if err != nil {
		fail("/proc/self/statm: %v", err)
	}
	return float64(pages * os.Getpagesize())
}
