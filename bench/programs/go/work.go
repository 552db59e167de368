// The work inside a permit, the phases of a window, and where a worker counts.
package main

import (
	"sync/atomic"
	"time"
)

// work is 20 steps of xorshift64, the same in each language of the suite.
func work(x uint64) uint64 {
	for i := 0; i < 20; i++ {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	return x
}

const (
	warming = iota
	counting
	stopping
)

// phase tells workers whether what they do counts. It lies on a cache line of its own, which each worker only reads.
type phase struct {
	_   [128]byte
	now uint32
	_   [124]byte
}

func (p *phase) get() uint32 { return atomic.LoadUint32(&p.now) }

// window lets the workers warm up, then count, then tells them to stop; it returns how long they counted.
func (p *phase) window(warmMs, windowMs float64) time.Duration {
	time.Sleep(milliseconds(warmMs))
	atomic.StoreUint32(&p.now, counting)
	begin := time.Now()
	time.Sleep(milliseconds(windowMs))
	atomic.StoreUint32(&p.now, stopping)
	return time.Since(begin)
}

func milliseconds(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }

// tally is what one worker writes, once, when it is done: while it runs its counts are its own variables. Padded, so
// that no two share a line (or a pair of lines that the prefetcher takes together).
type tally struct {
	ops, granted, x uint64
	waits           *histogram
	_               [96]byte
}

// shares gives the throughput, the least over the most, and how many got nothing.
func shares(tallies []tally, in time.Duration) map[string]float64 {
	least, most, sum, idle := ^uint64(0), uint64(0), uint64(0), 0
	for i := range tallies {
		n := tallies[i].ops
		if tallies[i].x == 0 {
			fail("worker %d lost its work", i)
		}
		if n < least {
			least = n
		}
		if n > most {
			most = n
		}
		if n == 0 {
			idle++
		}
		sum += n
	}
	return map[string]float64{
		"ops_per_s": float64(sum) / in.Seconds(), "share": float64(least) / float64(most), "idle": float64(idle),
	}
}

// seed is never 0: xorshift would stay there.
func seed(worker int) uint64 { return 0x9E3779B97F4A7C15 * uint64(worker+1) }

// base is what the cheap clock counts from: time.Since reads the monotonic clock only, time.Now the calendar's, too.
var base = time.Now()

func now() int64 { return int64(time.Since(base)) }
