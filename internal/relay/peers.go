package relay

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// peers are the other nodes: who is heard, who hears this one, and who should be.
type peers struct {
	node *Node

	mu       sync.Mutex // guards what follows
	heard    map[string]*peer
	rows     map[string]*row // as the database has them, without this node
	looked   bool            // at the database, once
	n        uint64          // of this node's last beat
	gapUntil time.Time       // something was lost a moment ago
	gapWhy   string
	now      State
	linked   bool
}

// peer is a node that is heard. Times are this process's, which no clock moves.
type peer struct {
	version string
	n       uint64 // of the last beat
	at      int64  // when it was sent, by its clock
	heard   time.Time
	since   time.Time
	listens time.Time // when it last said that it hears this node
	trip    time.Duration
	ahead   time.Duration // its clock of ours
	measure time.Time     // when these two were measured
}

// row is a node in the database.
type row struct {
	beats int64
	same  int // looks at the database without a beat
}

// State says how it is between the nodes.
type State struct {
	Degraded bool
	Why      string // when degraded
	Peers    int    // that are heard and hear this node
	Nodes    int    // other nodes that the database knows to live
	Versions []string
}

const (
	silentBeats = 2.5  // without a word: silent
	goneBeats   = 10   // gone
	deadLooks   = 3    // at the database, without a beat: dead
	gapBeats    = 10   // for so long after something was lost the database is asked often
	tickBeats   = 2    // ticks of a beat
	peersMost   = 1000 // nodes that are listened to
	tripsLast   = 30 * time.Second
)

func newPeers(n *Node) *peers {
	return &peers{node: n, heard: make(map[string]*peer), rows: make(map[string]*row), linked: true}
}

func (p *peers) silence() time.Duration {
	return time.Duration(silentBeats * float64(p.node.config.Heartbeat))
}

// isAlone says that there is nobody to tell.
func (p *peers) isAlone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.heard) == 0 && p.living() == 0
}

// living counts the other nodes that live, by the database. Called with mu held.
func (p *peers) living() (n int) {
	for _, r := range p.rows {
		if r.same < deadLooks {
			n++
		}
	}
	return n
}

// state is how it was at the last look.
func (p *peers) state() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

// run beats and looks who is there.
func (p *peers) run(ctx context.Context) {
	tick := time.NewTicker(p.node.config.Heartbeat / tickBeats)
	defer tick.Stop()
	p.beat()
	for n := 1; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if n%tickBeats == 0 {
			p.beat()
		}
		p.look(time.Now())
	}
}

// beat says that this node lives. It does not wait behind what is queued, and is
// not counted on by anybody to be in order with it.
func (p *peers) beat() {
	now := time.Now()
	p.mu.Lock()
	p.n++
	note := beatNote{N: p.n, Version: p.node.config.Version}
	for id, other := range p.heard {
		if now.Sub(other.heard) <= p.silence() {
			note.Hears = append(note.Hears, heardNote{ID: id, At: other.at, Held: now.Sub(other.heard).Microseconds()})
		}
	}
	p.mu.Unlock()
	_ = p.node.out.publish(kindBeat, toAll, p.node.config.Now(), note) // the next one is soon
}

// received notes a beat of another node.
func (p *peers) received(h header, note beatNote, came time.Time) {
	clock := p.node.config.Now().UnixMicro()
	p.mu.Lock()
	other := p.heard[h.node]
	isNew := other == nil
	if isNew && len(p.heard) >= peersMost {
		p.mu.Unlock()
		return
	}
	if isNew {
		other = &peer{since: came, n: note.N - 1}
		p.heard[h.node] = other
		if p.rows[h.node] == nil {
			p.rows[h.node] = &row{beats: -1} // until the database is looked at
		}
	}
	missed := note.N > other.n+1
	other.version, other.n, other.at, other.heard = note.Version, note.N, h.at, came
	for _, heard := range note.Hears {
		if heard.ID == p.node.id {
			other.listens = came
			trip := time.Duration(clock-heard.At-heard.Held) * time.Microsecond
			p.measured(other, trip, time.Duration(h.at-clock)*time.Microsecond, came)
		}
	}
	p.mu.Unlock()
	switch {
	case isNew:
		p.node.config.Log.Info("another node is here", "node", h.node, "version", note.Version)
		p.gap("a node came")
		p.node.reconciler.resync()
		p.beat() // it shall know at once that it is heard
	case missed:
		p.gap("messages of a node were lost")
	}
}

// measured takes the time of a round trip, and with it how far the other's clock is
// ahead. The quickest trip tells best. Called with mu held.
func (p *peers) measured(other *peer, trip, apart time.Duration, now time.Time) {
	if trip < 0 || trip > time.Minute {
		return // a clock was set
	}
	p.node.config.Metrics.RoundTrip.Observe(trip.Seconds())
	if other.measure.IsZero() || trip <= other.trip || now.Sub(other.measure) > tripsLast {
		other.trip, other.ahead, other.measure = trip, apart+trip/2, now
	}
}

// lag is how long ago another node said something at a time of its clock; ok is
// false while its clock is not known.
func (p *peers) lag(node string, at int64) (lag time.Duration, ok bool) {
	clock := p.node.config.Now().UnixMicro()
	p.mu.Lock()
	defer p.mu.Unlock()
	other := p.heard[node]
	if other == nil || other.measure.IsZero() {
		return 0, false
	}
	return max(0, time.Duration(clock-at)*time.Microsecond+other.ahead), true
}

// left notes that a node has said that it ends.
func (p *peers) left(node string) {
	p.mu.Lock()
	_, known := p.heard[node]
	delete(p.heard, node)
	delete(p.rows, node)
	p.mu.Unlock()
	if known {
		p.node.config.Log.Info("another node has left", "node", node)
		p.node.hub.NodeGone(node)
	}
}

// gap notes that something was lost: the database is asked at once, and often for a
// while. When that is so already, it is soon enough.
func (p *peers) gap(why string) {
	now := time.Now()
	p.mu.Lock()
	again := now.Before(p.gapUntil)
	p.gapUntil, p.gapWhy = now.Add(gapBeats*p.node.config.Heartbeat), why
	p.mu.Unlock()
	p.look(now)
	if !again {
		p.node.reconciler.runSoon()
	}
}

// setLinked notes whether there is a connection to NATS.
func (p *peers) setLinked(linked bool) {
	p.mu.Lock()
	was := p.linked
	p.linked = linked
	p.mu.Unlock()
	if linked != was {
		if linked {
			p.gap("the connection to NATS is new") // what was said before it is not heard
			return
		}
		p.gap("the connection to NATS was lost")
	}
}

// setNodeRows takes what the database says of the nodes, and gives those that are dead.
func (p *peers) setNodeRows(beats map[string]int64) (dead map[string]int64) {
	dead = make(map[string]int64)
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := range p.rows {
		if _, there := beats[id]; !there {
			delete(p.rows, id)
		}
	}
	for id, n := range beats {
		if id == p.node.id {
			continue
		}
		r := p.rows[id]
		switch {
		case r == nil:
			r = &row{beats: n}
			if p.node.unlinked && !p.looked {
				r.same = deadLooks // most likely this very server before it was killed, until it beats
			}
			p.rows[id] = r
		case r.beats == n:
			r.same++
		default:
			r.beats, r.same = n, 0
		}
		if r.same >= forgetLooks {
			dead[id] = n
		}
	}
	p.looked = true
	return dead
}

// look finds out how it is, and says so when that is another way than before.
func (p *peers) look(now time.Time) {
	p.mu.Lock()
	var gone []string
	for id, other := range p.heard {
		if now.Sub(other.heard) > goneBeats*p.node.config.Heartbeat {
			gone = append(gone, id)
			delete(p.heard, id)
		}
	}
	before := p.now
	p.now = p.evaluate(now)
	after := p.now
	p.mu.Unlock()
	for _, id := range gone {
		p.node.config.Log.Warn("another node is gone", "node", id)
		p.node.hub.NodeGone(id)
	}
	m := p.node.config.Metrics
	m.Peers.Set(float64(after.Peers))
	m.Degraded.Set(0)
	if after.Degraded {
		m.Degraded.Set(1)
	}
	switch {
	case after.Degraded && !before.Degraded:
		p.node.config.Log.Warn("not all comes from the other nodes: the database is asked", "why", after.Why, "peers", after.Peers)
		p.node.reconciler.runSoon()
	case before.Degraded && !after.Degraded:
		p.node.config.Log.Info("the nodes hear each other", "peers", after.Peers)
		p.node.reconciler.runSoon() // for what was lost until now
	}
}

// evaluate is called with mu held.
func (p *peers) evaluate(now time.Time) (s State) {
	var why []string
	if !p.linked {
		why = append(why, "no connection to NATS")
	}
	for id, other := range p.heard {
		hears := now.Sub(other.listens) <= p.silence()
		switch {
		case now.Sub(other.heard) > p.silence():
			why = append(why, "node "+id+" is silent")
		case !hears && now.Sub(other.since) > p.silence():
			why = append(why, "node "+id+" does not hear this one")
		case hears:
			s.Peers++
		}
		if !slices.Contains(s.Versions, other.version) {
			s.Versions = append(s.Versions, other.version)
		}
	}
	for id, r := range p.rows {
		if _, heard := p.heard[id]; !heard && r.same < deadLooks {
			why = append(why, "node "+id+" shares the database and "+p.unheard())
		}
	}
	if now.Before(p.gapUntil) {
		why = append(why, p.gapWhy)
	}
	slices.Sort(why)
	slices.Sort(s.Versions)
	s.Nodes = p.living()
	s.Why = strings.Join(why, "; ")
	s.Degraded = len(why) > 0
	return s
}

func (p *peers) unheard() string {
	if p.node.unlinked {
		return "this one has no relay (relay.listen or relay.url) to hear it by"
	}
	return "is not heard"
}

// String is for people.
func (s State) String() string {
	if s.Peers+s.Nodes == 0 {
		return cmp.Or(s.Why, "no other node")
	}
	return cmp.Or(s.Why, fmt.Sprintf("hears %d other nodes", s.Peers))
}
