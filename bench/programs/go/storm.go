// C3 and C4: n goroutines asleep in an acquire, then permits for all of them, or a cancel for each in a random order.
package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// mostWaiters: a goroutine that waits in Weighted.Acquire costs about 5 KB.
const mostWaiters = 100_000

type waiter struct {
	context context.Context
	cancel  context.CancelFunc
}

// asleep is a semaphore with n permits that are all taken, and n goroutines that wait for one each.
type asleep struct {
	s        sema
	waiters  []waiter
	enqueue  float64
	granted  int64
	over     int64
	finished chan struct{}
}

func fallAsleep(p *peer, n int) *asleep {
	a := &asleep{s: p.make(n), waiters: make([]waiter, n), finished: make(chan struct{})}
	m := a.s.(many)
	m.acquireMany(n)
	gate, ready, arrived := make(chan struct{}), int64(0), int64(0)
	for i := range a.waiters {
		w := &a.waiters[i]
		w.context, w.cancel = context.WithCancel(context.Background())
		go func() {
			atomic.AddInt64(&ready, 1)
			<-gate
			atomic.AddInt64(&arrived, 1)
			if m.queue(w) {
				atomic.AddInt64(&a.granted, 1)
			}
			if atomic.AddInt64(&a.over, 1) == int64(n) {
				close(a.finished)
			}
		}()
	}
	for atomic.LoadInt64(&ready) != int64(n) {
		time.Sleep(time.Millisecond)
	}
	runtime.GC()
	begin := time.Now()
	close(gate)
	for atomic.LoadInt64(&arrived) != int64(n) {
		runtime.Gosched()
	}
	a.enqueue = float64(time.Since(begin)) / float64(n)
	// The last to arrive may still be on its way into the list.
	time.Sleep(5 * time.Millisecond)
	return a
}

// end forgets the goroutines' stacks, which the next request would carry along.
func (a *asleep) end() {
	for i := range a.waiters {
		a.waiters[i].cancel()
	}
	a.waiters = nil
	debug.FreeOSMemory()
}

func waiters(r *request) (int, string) {
	switch n := r.number("waiters"); {
	case n < 1:
		return 0, "how many waiters?"
	case n > mostWaiters:
		return 0, "a waiter is a goroutine of about 5 KB: not with more than 100000"
	default:
		return n, ""
	}
}

func wakeStorm(p *peer, r *request) answer {
	n, no := waiters(r)
	if no != "" {
		return refuse("%s", no)
	}
	rounds := map[string]int{"all": 1, "one": n}[r.text("release")]
	if rounds == 0 {
		return refuse("C3 release %q", r.text("release"))
	}
	a := fallAsleep(p, n)
	m := a.s.(many)
	begin := time.Now()
	for i := 0; i < rounds; i++ {
		m.releaseMany(n / rounds)
	}
	<-a.finished
	in := time.Since(begin)
	if a.granted != int64(n) {
		fail("%s: %d of %d waiters were granted", p.Name, a.granted, n)
	}
	m.releaseMany(n)
	p.complete(a.s, n)
	a.end()
	return answer{Metrics: map[string]float64{"ns": float64(in) / float64(n), "enqueue_ns": a.enqueue}}
}

func cancelStorm(p *peer, r *request) answer {
	n, no := waiters(r)
	if no != "" {
		return refuse("%s", no)
	}
	a := fallAsleep(p, n)
	order := make([]int, n)
	x := seed(0)
	for i := range order {
		order[i] = i
		x = step(x)
		j := pick(x, i+1)
		order[i], order[j] = order[j], order[i]
	}
	begin := time.Now()
	for _, i := range order {
		a.waiters[i].cancel()
	}
	<-a.finished
	in := time.Since(begin)
	if a.granted != 0 {
		fail("%s: %d waiters were granted a permit that nobody gave", p.Name, a.granted)
	}
	a.s.(many).releaseMany(n)
	p.complete(a.s, n)
	a.end()
	return answer{Metrics: map[string]float64{"ns": float64(in) / float64(n)}}
}
