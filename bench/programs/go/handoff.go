// C7: the time from a release to the partner's acquire, by ping-pong over two semaphores.
package main

import (
	"sort"
	"time"
)

func handOff(p *peer, r *request) answer {
	there, back := p.make(1), p.make(1)
	there.acquire()
	back.acquire()
	var ns float64
	switch between := r.text("between"); between {
	case "running", "tasks":
		// A goroutine is what Go has for both.
		ns = pingPong(r, there, back)
	case "parked":
		ns = parked(r, there, back)
	default:
		return refuse("C7 between %q", between)
	}
	if there.try() || back.try() {
		fail("%s: a hand-over that nobody took", p.Name)
	}
	return answer{Metrics: map[string]float64{"ns": ns}}
}

// passed is what a ping-pong needs of a semaphore.
type passed interface {
	acquire()
	release()
}

// pingPong gives half of a round trip's mean time.
func pingPong(r *request, there, back passed) float64 {
	over, done := false, make(chan int)
	go func() {
		n := 0
		for {
			there.acquire()
			// `over` was written before `there` was released.
			last := over
			back.release()
			n++
			if last {
				done <- n
				return
			}
		}
	}()
	trip := func() {
		there.release()
		back.acquire()
	}
	sent := 0
	for begin := time.Now(); time.Since(begin) < milliseconds(r.WarmMs); sent++ {
		trip()
	}
	begin, n := time.Now(), 0
	in := time.Duration(0)
	for in < milliseconds(r.WindowMs) {
		for i := 0; i < 16; i++ {
			trip()
		}
		n += 16
		in = time.Since(begin)
	}
	over = true
	trip()
	if sent += n + 1; <-done != sent {
		fail("C7: %d trips were sent, others came back", sent)
	}
	return float64(in) / float64(2*n)
}

// parked gives the median time from the look at the clock before a release to the one after the partner's acquire. Each
// side sleeps before it releases, longer than anybody spins, so that the partner's thread is asleep, too.
func parked(r *request, there, back sema) float64 {
	const pause = 300 * time.Microsecond
	var (
		sent  int64 // written before a release, read after the acquire that it allows
		over  bool
		times []float64
	)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			there.acquire()
			times = append(times, float64(now()-sent))
			last := over
			time.Sleep(pause)
			sent = now()
			back.release()
			if last {
				return
			}
		}
	}()
	for begin := time.Now(); ; {
		time.Sleep(pause)
		over = time.Since(begin) >= milliseconds(r.WindowMs+r.WarmMs)
		last := over
		sent = now()
		there.release()
		back.acquire()
		times = append(times, float64(now()-sent))
		if last {
			break
		}
	}
	<-done
	sort.Float64s(times)
	return times[len(times)/2]
}
