// C2: goroutines that acquire, work and release, in two windows: one without a clock for the throughput, one with a
// clock around each acquire for the waits. C5: the same with mixed weights.
package main

import (
	"sync"
	"sync/atomic"
	"time"
)

// windows is how often a window is taken when nobody counted anything, each twice as long as the one before: in a few
// milliseconds the machine may have run others only.
const windows = 4

// begin is how long, at most, is waited until each worker has begun. Those who barge may keep others from it for long.
const begin = 50 * time.Millisecond

// crowd runs `workers` goroutines for one window; `counted` says what a worker did in it. Nothing if none did anything.
func crowd(
	r *request, workers int, run func(worker int, phase *phase, t *tally), counted func(t *tally) uint64,
) ([]tally, time.Duration) {
	for again := 0; again < windows; again++ {
		tallies := make([]tally, workers)
		phase := &phase{}
		gate, begun := make(chan struct{}), int32(0)
		var ready, all sync.WaitGroup
		ready.Add(workers)
		all.Add(workers)
		for w := range tallies {
			go func(w int) {
				defer all.Done()
				ready.Done()
				<-gate
				atomic.AddInt32(&begun, 1)
				tallies[w].x = seed(w)
				run(w, phase, &tallies[w])
			}(w)
		}
		ready.Wait()
		close(gate)
		// Nobody contends with those who were not scheduled yet.
		for end := time.Now().Add(begin); int(atomic.LoadInt32(&begun)) < workers && time.Now().Before(end); {
			time.Sleep(100 * time.Microsecond)
		}
		in := phase.window(r.WarmMs, r.WindowMs*float64(int(1)<<again))
		all.Wait()
		sum := uint64(0)
		for i := range tallies {
			sum += counted(&tallies[i])
		}
		if sum > 0 {
			return tallies, in
		}
	}
	return nil, 0
}

func ops(t *tally) uint64   { return t.ops }
func waits(t *tally) uint64 { return t.waits.count }

func idle(r *request) answer {
	return refuse("nobody got a permit in %d windows from %g ms", windows, r.WindowMs)
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
	tallies, in := crowd(r, workers, func(_ int, phase *phase, t *tally) { s.workLoop(phase, t) }, ops)
	if tallies == nil {
		return idle(r)
	}
	metrics := shares(tallies, in)
	p.complete(s, permits)

	tallies, _ = crowd(r, workers, func(_ int, phase *phase, t *tally) { clocked(s, phase, t) }, waits)
	if tallies == nil {
		return idle(r)
	}
	p.complete(s, permits)
	all := &histogram{}
	for i := range tallies {
		all.merge(tallies[i].waits)
	}
	metrics["wait_p50"], metrics["wait_p99"] = all.quantile(0.5), all.quantile(0.99)
	metrics["wait_max"] = float64(all.max)
	return answer{Metrics: metrics, Histogram: all.pairs()}
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
	}, ops)
	if tallies == nil {
		return idle(r)
	}
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
