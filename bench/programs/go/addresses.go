//go:build rtsema

// A: goroutines that wait at many words. Each at one of its own (A1), all at one (A2), each at one that shares a root of the
// runtime's table with all others (A3); and one that comes and goes beside them (A4).
package main

import (
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"
)

func init() {
	cases["A1"], cases["A2"], cases["A3"], cases["A4"] = addresses, addresses, addresses, beside
}

// apart is how many words lie from one word of a root to the next: the root is (address >> 3) % 251.
const apart = 251 * 8 / 4

// once is how many waiters there are in all passes together, if one pass has fewer; but no more passes than most.
const (
	once = 2000
	most = 20
)

type times struct{ enqueue, release, wake time.Duration }

// place says where the waiters of a case wait.
func place(name string, n int) func(i int) *uint32 {
	switch name {
	case "A1":
		words := make([]uint32, n)
		return func(i int) *uint32 { return &words[i] }
	case "A2":
		word := new(uint32)
		return func(int) *uint32 { return word }
	default:
		words := make([]uint32, n*apart)
		return func(i int) *uint32 { return &words[i*apart] }
	}
}

// gather has n goroutines wait, each at its word. What it returns says how many have gone on.
func gather(at func(i int) *uint32, n int) (done *int64, enqueue time.Duration) {
	gate, ready, arrived := make(chan struct{}), int64(0), int64(0)
	done = new(int64)
	for i := 0; i < n; i++ {
		go func(word *uint32) {
			atomic.AddInt64(&ready, 1)
			<-gate
			atomic.AddInt64(&arrived, 1)
			semacquire(word)
			atomic.AddInt64(done, 1)
		}(at(i))
	}
	for atomic.LoadInt64(&ready) != int64(n) {
		runtime.Gosched()
	}
	if n > once {
		runtime.GC()
	}
	begin := time.Now()
	close(gate)
	for atomic.LoadInt64(&arrived) != int64(n) {
		runtime.Gosched()
	}
	enqueue = time.Since(begin)
	// The last to arrive may still be on its way.
	time.Sleep(2 * time.Millisecond)
	return done, enqueue
}

func pass(name string, n int) (t times) {
	at, order, x := place(name, n), make([]int, n), seed(0)
	for i := range order {
		order[i] = i
		x = step(x)
		j := pick(x, i+1)
		order[i], order[j] = order[j], order[i]
	}
	done, enqueue := gather(at, n)
	t.enqueue = enqueue
	begin := time.Now()
	for _, i := range order {
		semrelease(at(i), false, 0)
	}
	t.release = time.Since(begin)
	for atomic.LoadInt64(done) != int64(n) {
		runtime.Gosched()
	}
	t.wake = time.Since(begin)
	for i := range order {
		if *at(i) != 0 {
			fail("%s: a permit is left of %d", name, n)
		}
	}
	return t
}

func passes(name string, n int) (sum times, count float64) {
	for i := 0; i == 0 || i < once/n && i < most; i++ {
		t := pass(name, n)
		sum.enqueue += t.enqueue
		sum.release += t.release
		sum.wake += t.wake
		count++
	}
	return sum, count
}

func (t times) total(count float64) float64 { return float64(t.enqueue+t.wake) / count }

func addresses(_ *peer, r *request) answer {
	n := r.number("addresses")
	if n == 0 {
		n = r.number("waiters")
	}
	if n < 1 {
		return refuse("%s needs addresses or waiters", r.Case)
	}
	large := n
	if large < 2 {
		large = 2
	}
	few, fewTimes := passes(r.Case, large/2)
	many, manyTimes := passes(r.Case, large)
	t, count := many, manyTimes
	if n == large/2 {
		t, count = few, fewTimes
	}
	debug.FreeOSMemory()
	each := func(d time.Duration) float64 { return float64(d) / (count * float64(n)) }
	return answer{Metrics: map[string]float64{
		"ns": each(t.enqueue + t.wake), "enqueue_ns": each(t.enqueue), "wake_ns": each(t.wake),
		"release_ns": each(t.release), "doubling": many.total(manyTimes) / few.total(fewTimes),
	}}
}

func beside(p *peer, r *request) answer {
	n, many := r.number("others"), r.text("at") == "many"
	if n < 2 {
		return refuse("A4 needs others")
	}
	of := func(n int) float64 {
		words := 3
		if many {
			words = n + 2
		}
		at := place("A3", words)
		other := func(i int) *uint32 {
			if many {
				return at(i + 2)
			}
			return at(2)
		}
		done, _ := gather(other, n)
		ns := pingPong(r, &atWord{at(0)}, &atWord{at(1)})
		for i := 0; i < n; i++ {
			semrelease(other(i), false, 0)
		}
		for atomic.LoadInt64(done) != int64(n) {
			runtime.Gosched()
		}
		return ns
	}
	half := of(n / 2)
	ns := of(n)
	debug.FreeOSMemory()
	return answer{Metrics: map[string]float64{"ns": ns, "doubling": ns / half}}
}

// atWord is a semaphore somewhere.
type atWord struct{ word *uint32 }

func (s *atWord) acquire() { semacquire(s.word) }
func (s *atWord) release() { semrelease(s.word, false, 0) }
