package faults

import (
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	natsd "github.com/nats-io/nats-server/v2/server"

	"github.com/chowk-chat/chowk/internal/testkit"
	"github.com/chowk-chat/chowk/internal/testkit/natstest"
)

// layout is the number of nodes, and how they are linked.
type layout struct {
	name     string
	nodes    int
	apart    bool // through a proxy
	nats     bool // over a NATS server that is not in a node
	unlinked bool // not linked: each reads from the database what the others commit
}

var layouts = []layout{
	{name: "3 nodes", nodes: 3},
	{name: "2 nodes", nodes: 2, apart: true},
	{name: "2 nodes on NATS", nodes: 2, nats: true},
	{name: "2 nodes, no relay", nodes: 2, unlinked: true},
}

var nodeFaults = []fault{
	{"one of three nodes killed (-9)", "3 nodes", func(w *world, r *rand.Rand) {
		s := w.any(r)
		s.kill()
		pause(r, 0, 3*time.Second)
		s.start()
	}},
	{"three nodes restarted in turn", "3 nodes", func(w *world, r *rand.Rand) {
		for _, s := range w.servers() {
			w.proxy.Avoid(s.address) // a balancer notices that it is not ready, before it stops
			s.stop()
			s.start()
			w.proxy.Avoid("")
			pause(r, 0, 500*time.Millisecond)
		}
	}},
	{"no way between nodes", "2 nodes", func(w *world, r *rand.Rand) {
		w.way.Sever()
		pause(r, time.Second, 6*time.Second)
		w.way.Restore()
	}},
	{"nothing comes from one node to the other", "2 nodes", func(w *world, r *rand.Rand) {
		w.way.Silence([]testkit.Direction{testkit.ToServer, testkit.ToClient}[r.IntN(2)])
		pause(r, time.Second, 6*time.Second)
		w.way.Restore()
	}},
	{"network between nodes slow, 0 to 200 ms", "2 nodes", func(w *world, r *rand.Rand) {
		w.way.Delay(200 * time.Millisecond)
		pause(r, time.Second, 3*time.Second)
		w.way.Delay(0)
	}},
	{"NATS killed", "2 nodes on NATS", func(w *world, r *rand.Rand) {
		w.nats.Stop()
		pause(r, 0, 4*time.Second)
		w.nats.Start()
	}},
	{"one of two nodes frozen", "2 nodes on NATS", func(w *world, r *rand.Rand) {
		s := w.any(r)
		_ = s.Signal(syscall.SIGSTOP)
		pause(r, 500*time.Millisecond, 5*time.Second)
		_ = s.Signal(syscall.SIGCONT)
	}},
	{"one of two nodes killed (-9)", "2 nodes, no relay", func(w *world, r *rand.Rand) {
		s := w.any(r)
		s.kill()
		pause(r, 0, 3*time.Second)
		s.start()
	}},
}

// shortNodes is short for several nodes.
var shortNodes = size{
	users: 24, channels: 12, members: 5, think: 40 * time.Millisecond, time: 9 * time.Second,
	quiet: 500 * time.Millisecond,
}

// TestFaultsOfNodes is TestFaults for several nodes on one PostgreSQL. Clients connect
// to any of them.
func TestFaultsOfNodes(t *testing.T) {
	z, alone := shortNodes, false
	if isLong(t) {
		z, alone = long, true
	} else {
		t.Parallel()
	}
	open := opener(t, "postgres")
	for _, l := range layouts {
		z := z
		z.layout = l
		var fit []fault
		for _, f := range nodeFaults {
			if f.only == l.name {
				fit = append(fit, f)
			}
		}
		t.Run(strings.NewReplacer(" ", "-", ",", "").Replace(l.name), func(t *testing.T) {
			if !alone {
				play(t, l.name, "all, at random", fit, z, open(t))
				return
			}
			for _, f := range fit {
				t.Run(strings.ReplaceAll(f.name, " ", "-"), func(t *testing.T) { play(t, l.name, f.name, []fault{f}, z, open(t)) })
			}
		})
	}
}

func (w *world) servers() []*server { return append([]*server{w.server}, w.others...) }

func (w *world) any(r *rand.Rand) *server { return w.servers()[r.IntN(1+len(w.others))] }

func (w *world) addresses() (all []string) {
	for _, s := range w.servers() {
		all = append(all, s.address)
	}
	return all
}

// serve starts the server, or the nodes.
func (w *world) serve() {
	l := w.size.layout
	if l.nodes == 0 {
		w.server = serveOn(w.t, w.cable, w.db)
		return
	}
	var settings [][]string
	switch {
	case l.nats:
		w.nats = startNATS(w.t)
		for range l.nodes {
			settings = append(settings, []string{"--relay.url=" + w.nats.URL()})
		}
	case l.apart:
		settings = w.apart()
	case l.unlinked:
		settings = make([][]string, l.nodes)
	default:
		settings = together(w.t, l.nodes)
	}
	for _, s := range settings {
		if !l.unlinked {
			s = append(s, "--relay.secret=0123456789abcdef")
		}
		w.others = append(w.others, serve(w.t, w.db, s...))
	}
	w.server, w.others = w.others[0], w.others[1:]
}

// apart returns the settings of two nodes with a proxy between them.
func (w *world) apart() [][]string {
	first := testkit.FreeAddress(w.t)
	var err error
	if w.way, err = testkit.NewProxy(first); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(w.way.Close)
	return [][]string{
		{"--relay.listen=" + first},
		{"--relay.listen=" + testkit.FreeAddress(w.t), "--relay.routes=" + w.way.Address()},
	}
}

// together returns the settings of nodes that each have the addresses of all, including
// their own.
func together(t *testing.T, n int) (settings [][]string) {
	t.Helper()
	var all []string
	for range n {
		all = append(all, testkit.FreeAddress(t))
	}
	for _, own := range all {
		settings = append(settings, []string{"--relay.listen=" + own, "--relay.routes=" + strings.Join(all, ",")})
	}
	return settings
}

// maxPending is how much NATS buffers for a client before it disconnects the client;
// messages are never larger.
const maxPending = 1 << 20

func startNATS(t *testing.T) *natstest.Server {
	t.Helper()
	return natstest.Start(t, natsd.Options{MaxPending: maxPending, Authorization: "0123456789abcdef"})
}
