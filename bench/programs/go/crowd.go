// C2: goroutines that acquire, work and release, in two windows: one without a clock for the throughput, one with a
// clock around each acquire for the waits. C5: the same with mixed weights.
package main

import (
	"runtime"
	"sync"
	"time"
)

// crowd runs `workers` goroutines for one window.
func crowd(r *request, workers int, run func(worker int, phase *phase, t *tally)) ([]tally, time.Duration) {
	tallies := make([]tally, workers)
	phase := &phase{}
	var all sync.WaitGroup
	for w := range tallies {
		all.Add(1)
		go func(w int) {
			defer all.Done()
			tallies[w].x = seed(w)
			run(w, phase, &tallies[w])
		}(w)
	}
	in := phase.window(r.WarmMs, r.WindowMs)
	all.Wait()
	runtime.KeepAlive(phase)
	return tallies, in
}

func contended(p *peer, r *request) answer {
	workers, permits := r.number("threads"), r.number("permits")
	if workers < 1 || permits < 1 {
		return refuse("C2 needs threads and permits")
	}
	if p.most != 0 && permits > p.most {
		return refuse("%s has %d permit", p.Name, p.most)
	}
	s := p.make(permits)
	tallies, in := crowd(r, workers, func(_ int, phase *phase, t *tally) { s.workLoop(phase, t) })
	metrics := shares(tallies, in)
	p.complete(s, permits)

	tallies, _ = crowd(r, workers, func(_ int, phase *phase, t *tally) { clocked(s, phase, t) })
	p.complete(s, permits)
	waits := &histogram{}
	for i := range tallies {
		waits.merge(tallies[i].waits)
	}
	if waits.count == 0 {
		fail("%s: nobody got a permit in the window with the clock", p.Name)
	}
	metrics["wait_p50"], metrics["wait_p99"] = waits.quantile(0.5), waits.quantile(0.99)
	metrics["wait_max"] = float64(waits.max)
	return answer{Metrics: metrics, Histogram: waits.pairs()}
}

// clocked goes through the interface: that is little beside two looks at the clock.
func clocked(s sema, phase *phase, t *tally) {
	x, waits := t.x, &histogram{}
	for p := phase.get(); p != stopping; p = phase.get() {
		begin := now()
		s.acquire()
		wait := now() - begin
		x = work(x)
		s.release()
		if p == counting {
			waits.add(wait)
		}
	}
	t.x, t.waits = x, waits
}

// mixed: worker i always asks i%16+1 of 16 permits.
func mixed(p *peer, r *request) answer {
	const workers, permits = 64, 16
	s := p.make(permits)
	m := s.(many)
	tallies, in := crowd(r, workers, func(w int, phase *phase, t *tally) {
		n, x, ask := uint64(0), t.x, w%permits+1
		for p := phase.get(); p != stopping; p = phase.get() {
			m.acquireMany(ask)
			x = work(x)
			m.releaseMany(ask)
			if p == counting {
				n++
			}
		}
		t.ops, t.x = n, x
	})
	metrics := shares(tallies, in)
	p.complete(s, permits)
	var big, small float64
	for w := range tallies {
		switch ask := w%permits + 1; {
		case ask >= 13:
			big += float64(tallies[w].ops)
		case ask <= 4:
			small += float64(tallies[w].ops)
		}
	}
	if small > 0 {
		metrics["big_small"] = big / small
	}
	return answer{Metrics: metrics}
}
