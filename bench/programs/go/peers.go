// What a peer has to offer, which peers there are, and the check before a peer's first figure.
package main

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// sema is a semaphore of one kind.
//
// Its loops are its own since a call through an interface costs a third of an uncontended pair: the loop knows the
// type, so the compiler sees (and may inline) what a user's own code would call.
type sema interface {
	acquire()
	release()
	try() bool
	// tryLoop takes a free permit and gives it back n times; it returns how often it got one.
	tryLoop(n int) int
	// acquireLoop is the same with the acquire that may block.
	acquireLoop(n int)
	// workLoop acquires, works and releases until the phase is over.
	workLoop(phase *phase, t *tally)
}

// timed can give up.
type timed interface {
	acquireFor(d time.Duration) bool
}

// many can take several permits.
type many interface {
	acquireMany(n int)
	releaseMany(n int)
	// queue is acquire(1) that gives up when `done` is cancelled: the waiter of C3 and C4.
	queue(w *waiter) bool
}

type peer struct {
	Name    string   `json:"name"`
	Kind    string   `json:"kind"`
	Version string   `json:"version"`
	Cases   []string `json:"cases"`
	Notes   []string `json:"notes,omitempty"`

	// most is the largest count of permits; 0: any.
	most    int
	make    func(permits int) sema
	bank    func(n int) bank
	checked bool
}

type missing struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

// Peers that need more than the standard library put themselves here, in files that are built when it is there.
var (
	optional []*peer
	absent   = map[string]string{
		"Go x/sync":               "golang.org/x/sync/semaphore was not found: apt-get install golang-golang-x-sync-dev",
		"Go runtime sema":         "this Go refuses go:linkname to sync.runtime_Semacquire",
		"Go runtime sema handoff": "this Go refuses go:linkname to sync.runtime_Semacquire",
	}
)

func peers() ([]*peer, []missing) {
	version := runtime.Version()
	found := []*peer{
		{Name: "Go sync.Mutex", Kind: "barging", Version: version, most: 1, make: newMutex, bank: newMutexBank,
			Cases: []string{"U1", "U4", "C2", "C6", "C7"},
			Notes: []string{"Go sync.Mutex: one permit only; past 1 ms of waiting it hands over in order."}},
		{Name: "Go channel", Kind: "fair", Version: version, make: newChannel, bank: newChannelBank,
			Cases: []string{"U1", "U4", "C2", "C6", "C7", "C8"},
			Notes: []string{"Go channel: a send acquires, a receive releases; C8 selects on it and on a timer."}},
	}
	found = append(found, optional...)
	for _, p := range optional {
		delete(absent, p.Name)
	}
	left := []missing{}
	for name, why := range absent {
		left = append(left, missing{name, why})
	}
	return found, left
}

// check runs the peer once where a mistake shows: nobody inside beside whoever has the only permit, never more inside
// than permits, and every permit back at the end.
func (p *peer) check() {
	if p.checked {
		return
	}
	p.checked = true
	for _, permits := range []int{1, 4} {
		if p.most != 0 && permits > p.most {
			continue
		}
		const workers, each = 8, 2000
		s := p.make(permits)
		plain, inside := 0, int32(0)
		var all sync.WaitGroup
		for w := 0; w < workers; w++ {
			all.Add(1)
			go func() {
				defer all.Done()
				for i := 0; i < each; i++ {
					s.acquire()
					if now := atomic.AddInt32(&inside, 1); int(now) > permits {
						fail("%s: %d inside with %d permits", p.Name, now, permits)
					}
					if permits == 1 {
						plain++
					}
					atomic.AddInt32(&inside, -1)
					s.release()
				}
			}()
		}
		all.Wait()
		if permits == 1 && plain != workers*each {
			fail("%s: %d of %d increments under one permit", p.Name, plain, workers*each)
		}
		p.complete(s, permits)
	}
}

// complete checks that all permits are there, and no more.
func (p *peer) complete(s sema, permits int) {
	for i := 0; i < permits; i++ {
		if !s.try() {
			fail("%s: %d of %d permits came back", p.Name, i, permits)
		}
	}
	if s.try() {
		fail("%s: more than %d permits came back", p.Name, permits)
	}
	for i := 0; i < permits; i++ {
		s.release()
	}
}
