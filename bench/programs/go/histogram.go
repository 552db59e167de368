// Waits in buckets of an eighth of a power of two.
package main

import "math/bits"

type histogram struct {
	buckets [62 * 8]uint64
	max     uint64
	count   uint64
}

// add counts v, in ns. Below 8 each value has its bucket; from there, bucket i holds [8 + i%8, 9 + i%8) << (i/8 - 1).
func (h *histogram) add(v int64) {
	n := uint64(v)
	if v < 0 {
		n = 0
	}
	at := int(n)
	if n >= 8 {
		e := bits.Len64(n) - 1
		at = (e-2)*8 + int(n>>(e-3)&7)
	}
	h.buckets[at]++
	h.count++
	if n > h.max {
		h.max = n
	}
}

func upper(at int) uint64 {
	if at < 8 {
		return uint64(at) + 1
	}
	return uint64(9+at%8) << (at/8 - 1)
}

func (h *histogram) merge(other *histogram) {
	for i, n := range other.buckets {
		h.buckets[i] += n
	}
	h.count += other.count
	if other.max > h.max {
		h.max = other.max
	}
}

// quantile is the upper bound of the bucket in which the q-th wait lies, and never more than the longest wait.
func (h *histogram) quantile(q float64) float64 {
	left := uint64(q * float64(h.count))
	for at, n := range h.buckets {
		if n > left {
			if top := upper(at); top < h.max {
				return float64(top)
			}
			return float64(h.max)
		}
		left -= n
	}
	return float64(h.max)
}

func (h *histogram) pairs() [][2]uint64 {
	var all [][2]uint64
	for at, n := range h.buckets {
		if n != 0 {
			all = append(all, [2]uint64{upper(at), n})
		}
	}
	return all
}
