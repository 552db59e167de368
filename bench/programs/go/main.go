// The Go peers of the benchmark: one co-process for all of them.
//
// It says what it has, then answers one request a line until its input ends (../README.md has the protocol). A peer is
// checked once before its first figure: exclusion and the count of permits. Whatever was measured and did not happen
// ends the program: a wrong figure must not look like one.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"time"
)

type request struct {
	Peer       string                     `json:"peer"`
	Case       string                     `json:"case"`
	Parameters map[string]json.RawMessage `json:"parameters"`
	WarmMs     float64                    `json:"warm_ms"`
	WindowMs   float64                    `json:"window_ms"`
}

func (r *request) number(name string) int {
	var n float64
	if raw, there := r.Parameters[name]; there && json.Unmarshal(raw, &n) == nil {
		return int(n)
	}
	return 0
}

func (r *request) text(name string) string {
	var s string
	if raw, there := r.Parameters[name]; there && json.Unmarshal(raw, &s) == nil {
		return s
	}
	return ""
}

type answer struct {
	Metrics   map[string]float64 `json:"metrics,omitempty"`
	Histogram [][2]uint64        `json:"histogram,omitempty"`
	Error     string             `json:"error,omitempty"`
}

func refuse(format string, about ...any) answer {
	return answer{Error: fmt.Sprintf(format, about...)}
}

// fail ends the program: what was measured did not happen.
func fail(format string, about ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", about...)
	os.Exit(1)
}

var cases = map[string]func(*peer, *request) answer{
	"U1": uncontended, "U4": uncontended, "C2": contended, "C3": wakeStorm, "C4": cancelStorm, "C5": mixed,
	"C6": million, "C7": handOff, "C8": deadlines,
}

func (p *peer) has(name string) bool {
	for _, c := range p.Cases {
		if c == name {
			return true
		}
	}
	return false
}

func reply(peers []*peer, line []byte) answer {
	var r request
	if err := json.Unmarshal(line, &r); err != nil {
		return refuse("not a request: %v", err)
	}
	for _, p := range peers {
		if p.Name != r.Peer {
			continue
		}
		run := cases[r.Case]
		if run == nil || !p.has(r.Case) {
			return refuse("%s does not take part in %s", p.Name, r.Case)
		}
		p.check()
		// What an earlier request left is not collected in this one's window.
		runtime.GC()
		return run(p, &r)
	}
	return refuse("no peer %q", r.Peer)
}

func main() {
	peers, absent := peers()
	out := bufio.NewWriter(os.Stdout)
	say := func(what any) {
		line, err := json.Marshal(what)
		if err != nil {
			fail("cannot be written as JSON: %v", err)
		}
		out.Write(append(line, '\n'))
		if err := out.Flush(); err != nil {
			fail("nobody reads: %v", err)
		}
	}
	say(map[string]any{
		"hello": 1, "runtime": fmt.Sprintf("%s, GOMAXPROCS %d", runtime.Version(), runtime.GOMAXPROCS(0)), "peers": peers,
		"absent": absent,
		"notes":  []string{"Go: goroutines stand for threads (C2, C5, C7, C8), for tasks and for futures (C3, C4)."},
	})
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		// A waiter that is never woken would keep the suite waiting, too.
		slow := time.AfterFunc(30*time.Second, func() { fail("did not end: %s", in.Text()) })
		say(reply(peers, in.Bytes()))
		slow.Stop()
	}
	if err := in.Err(); err != nil {
		fail("input: %v", err)
	}
}
