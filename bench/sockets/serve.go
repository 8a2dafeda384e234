package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/chowk-chat/chowk/internal/frame"
)

// member is one socket of a peer's server; write sends it a frame's payload.
type member interface{ write(payload []byte) error }

// groups are the channels of a peer's server; each socket is in one.
type groups struct {
	mu     sync.RWMutex
	byName map[string]map[member]struct{}
}

func (g *groups) join(name string, m member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.byName[name] == nil {
		g.byName[name] = make(map[member]struct{})
	}
	g.byName[name][m] = struct{}{}
}

func (g *groups) leave(name string, m member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.byName[name], m)
}

// each calls f for each member of a group.
func (g *groups) each(name string, f func(member)) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	for m := range g.byName[name] {
		f(m)
	}
}

// peer is a server to compare with: a handler for sockets, and its broadcast.
type peer struct {
	socket  http.Handler
	publish func(group string, payload []byte) error
}

var peers = map[string]func() (peer, error){
	"write":      newBare,
	"coder":      newCoder,
	"gorilla":    newGorilla,
	"gws":        newGWS,
	"centrifuge": func() (peer, error) { return newCentrifuge(0) },
	// Every event waits up to 20 ms for others, to share a write with them.
	"centrifuge-20ms": func() (peer, error) { return newCentrifuge(20 * time.Millisecond) },
}

type memory struct {
	Heap, Live, Stack uint64
	Goroutines        int
}

// serve runs a peer's server until its standard input ends, and prints its address.
func serve(name string) error {
	make, ok := peers[name]
	if !ok {
		return fmt.Errorf("there is no server %q", name)
	}
	p, err := make()
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/ws", p.socket)
	mux.HandleFunc("POST /publish", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = p.publish(r.URL.Query().Get("group"), body)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("POST /load", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		groups, _ := strconv.Atoi(q.Get("groups"))
		count, _ := strconv.Atoi(q.Get("count"))
		rate, _ := strconv.Atoi(q.Get("rate"))
		pace(count, rate, func(n int) { _ = p.publish(fmt.Sprintf("g%d", n%groups), event(n)) })
	})
	mux.HandleFunc("GET /memory", func(w http.ResponseWriter, _ *http.Request) {
		runtime.GC()
		debug.FreeOSMemory()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		_ = json.NewEncoder(w).Encode(memory{
			Heap: m.HeapInuse, Live: m.HeapAlloc, Stack: m.StackInuse,
			Goroutines: runtime.NumGoroutine(),
		})
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http://" + l.Addr().String())
	go func() { // ends with the process
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return http.Serve(l, mux)
}

func groupOf(r *http.Request) string { return r.URL.Query().Get("group") }

// eventBytes is the size of a message of messageBytes as chowk sends it: with its
// channel, its author, times and ids.
const eventBytes = 556

// event is what a peer's servers publish, as large as chowk's.
func event(n int) []byte {
	body, _ := json.Marshal(map[string]any{"type": "message", "content": string(content(n, eventBytes-31))})
	return body
}

// pace calls f count times, at a rate per second; late calls are made up for.
func pace(count, rate int, f func(n int)) {
	start := time.Now()
	for n := range count {
		if rate > 0 {
			time.Sleep(time.Until(start.Add(time.Duration(n) * time.Second / time.Duration(rate))))
		}
		f(n)
	}
}

// text is the frame that is sent to all members of a group.
func text(payload []byte) []byte { return frame.Text(payload) }
