// C8: one permit that a holder has most of the time, and a crowd that asks with short time-outs.
package main

import "time"

func deadlines(p *peer, r *request) answer {
	workers, timeout := 16, 50*time.Microsecond
	switch by := r.text("by"); by {
	case "threads":
	case "tasks":
		workers, timeout = 1000, time.Millisecond
	default:
		return refuse("C8 by %q", by)
	}
	s := p.make(1)
	t := s.(timed)
	// Worker 0 is the holder: it computes for 100 µs under the permit.
	tallies, in := crowd(r, workers+1, func(w int, phase *phase, mine *tally) {
		if w == 0 {
			hold(s, phase, mine)
			return
		}
		ended, granted, late := uint64(0), uint64(0), &histogram{}
		for p := phase.get(); p != stopping; p = phase.get() {
			deadline := now() + int64(timeout)
			got := t.acquireFor(timeout)
			over := now() - deadline
			if got {
				s.release()
			}
			if p != counting {
				continue
			}
			ended++
			if got {
				granted++
			} else {
				late.add(over)
			}
		}
		mine.ops, mine.granted, mine.waits = ended, granted, late
	}, ops)
	if tallies == nil {
		return idle(r)
	}
	p.complete(s, 1)
	ended, granted, late := uint64(0), uint64(0), &histogram{}
	for w := range tallies[1:] {
		mine := &tallies[w+1]
		ended, granted = ended+mine.ops, granted+mine.granted
		late.merge(mine.waits)
	}
	return answer{Metrics: map[string]float64{
		"ops_per_s": float64(ended) / in.Seconds(), "granted": float64(granted) / float64(ended),
		"late_p99": late.quantile(0.99),
	}, Histogram: late.pairs()}
}

// hold counts nothing: an attempt is what the others make.
func hold(s sema, phase *phase, t *tally) {
	x := t.x
	for phase.get() != stopping {
		s.acquire()
		for end := now() + 100_000; now() < end; {
			x = work(x)
		}
		s.release()
	}
	t.x = x
}
