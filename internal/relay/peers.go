package relay

import (
	"context"
	"sync"
	"time"
)

// peers are the other nodes: which are heard, which hear this node, and which should,
// because they have a row in the database.
type peers struct {
	env
	self      string // this node's id
	version   string
	unlinked  bool // this node has no link
	heartbeat time.Duration
	sendBeat  func(beatNote)
	reactions peerReactions

	mu        sync.Mutex // guards what follows
	heard     map[string]*peer
	rows      map[string]*nodeRow // as the database has them, without this node's
	rowsRead  bool
	beats     uint64    // the number of this node's last heartbeat
	lostUntil time.Time // messages were lost a moment ago
	lostWhy   string
	linked    bool
	state     State // as evaluated last
}

// peerReactions are what happens when the peers change.
type peerReactions struct {
	nodeGone        func(id string) // a node has ended or is no longer heard
	pollSoon        func()          // the database may have what was lost
	refreshPresence func()          // ask all nodes who is online there
}

// peer is a node that is heard. Times are of this node's clock, except where they are
// microseconds.
type peer struct {
	version   string
	beats     uint64    // the number of its last heartbeat
	sentAt    int64     // when it sent that, by its clock
	heardAt   time.Time // when that was received
	since     time.Time // of the first heartbeat
	hearsAt   time.Time // when it last reported that it hears this node
	roundTrip time.Duration
	ahead     time.Duration // of its clock, against this node's
	measured  time.Time     // when roundTrip and ahead were measured
}

// nodeRow is a node in the database.
type nodeRow struct {
	beats     int64
	unchanged int // polls of the database without a new heartbeat
}

const (
	silentBeats    = 2.5  // heartbeats after which a node is silent
	goneBeats      = 10   // heartbeats after which a node is gone
	lossBeats      = 10   // heartbeats for which the state is degraded after a loss
	ticksPerBeat   = 2    // evaluations in the time of a heartbeat
	maxPeers       = 1000 // further nodes are ignored
	maxMeasuredAge = 30 * time.Second

	deadPolls   = 3  // polls of the database after which a node's row is dead
	forgetPolls = 20 // polls of the database after which a node's row is deleted
)

func newPeers(e env, c *Config, self nodeID, sendBeat func(beatNote), reactions peerReactions) *peers {
	return &peers{
		env: e, self: self.String(), version: c.Version, unlinked: !c.Link.IsSet(), heartbeat: c.Heartbeat,
		sendBeat: sendBeat, reactions: reactions,
		heard: make(map[string]*peer), rows: make(map[string]*nodeRow), linked: true,
	}
}

// isSilent reports whether something that happens with every heartbeat last happened too
// long ago.
func (p *peers) isSilent(now, last time.Time) bool {
	return now.Sub(last) > time.Duration(silentBeats*float64(p.heartbeat))
}

// isAlone reports whether there are no other nodes.
func (p *peers) isAlone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.heard) == 0 && p.livingRows() == 0
}

// heardNodes returns the ids of the nodes that are heard.
func (p *peers) heardNodes() map[string]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	nodes := make(map[string]bool, len(p.heard))
	for id, other := range p.heard {
		if !p.isSilent(now, other.heardAt) {
			nodes[id] = true
		}
	}
	return nodes
}

// run sends heartbeats and evaluates the state until ctx ends.
func (p *peers) run(ctx context.Context) {
	tick := time.NewTicker(p.heartbeat / ticksPerBeat)
	defer tick.Stop()
	p.beat()
	for n := 1; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if n%ticksPerBeat == 0 {
			p.beat()
		}
		p.evaluate()
	}
}

// beat sends a heartbeat. It does not wait for the outbox, and other nodes do not expect
// it to be in order with what was queued there.
func (p *peers) beat() {
	p.mu.Lock()
	now := p.now()
	p.beats++
	note := beatNote{N: p.beats, Version: p.version}
	for id, other := range p.heard {
		if !p.isSilent(now, other.heardAt) {
			held := now.Sub(other.heardAt).Microseconds()
			note.Hears = append(note.Hears, heardNote{ID: id, At: other.sentAt, Held: held})
		}
	}
	p.mu.Unlock()
	p.sendBeat(note)
}

// handleBeat processes a heartbeat of another node.
func (p *peers) handleBeat(h header, note beatNote) bool {
	isNew, missed := p.received(h, note)
	switch {
	case isNew:
		p.log.Info("node joined", "node", h.node, "version", note.Version)
		p.lost(lostUntilPeer)
		p.reactions.refreshPresence()
		p.beat() // so that it knows at once that it is heard
	case missed:
		p.lost(lostBeats)
	}
	return true
}

// received notes a heartbeat. It reports whether the node was not known, and whether
// heartbeats are missing.
func (p *peers) received(h header, note beatNote) (isNew, missed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	other := p.heard[h.node]
	if other == nil {
		if len(p.heard) >= maxPeers {
			return false, false
		}
		isNew = true
		other = &peer{since: now, beats: note.N - 1}
		p.heard[h.node] = other
		if p.rows[h.node] == nil {
			p.rows[h.node] = &nodeRow{beats: -1} // until the database is polled
		}
	}
	missed = note.N > other.beats+1
	other.version, other.beats, other.sentAt, other.heardAt = note.Version, note.N, h.at, now
	for _, heard := range note.Hears {
		if heard.ID == p.self {
			other.hearsAt = now
			p.measure(other, heard, now)
		}
	}
	return isNew, missed
}

// measure measures the time of a round trip, and by how much the other node's clock is
// ahead. The quickest trip measures that best. Called with mu held.
func (p *peers) measure(other *peer, heard heardNote, now time.Time) {
	clock := now.UnixMicro()
	trip := time.Duration(clock-heard.At-heard.Held) * time.Microsecond
	if trip < 0 || trip > time.Minute {
		return // a clock was set
	}
	p.metrics.RoundTrip.Observe(trip.Seconds())
	if other.measured.IsZero() || trip <= other.roundTrip || now.Sub(other.measured) > maxMeasuredAge {
		apart := time.Duration(other.sentAt-clock) * time.Microsecond
		other.roundTrip, other.ahead, other.measured = trip, apart+trip/2, now
	}
}

// lag returns how long ago another node sent a message, with the time of its own clock;
// ok is false while that clock was not measured.
func (p *peers) lag(node string, sentAt int64) (lag time.Duration, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	other := p.heard[node]
	if other == nil || other.measured.IsZero() {
		return 0, false
	}
	apart := time.Duration(p.now().UnixMicro()-sentAt) * time.Microsecond
	return max(0, apart+other.ahead), true
}

// handleLeaving notes that a node has sent that it ends.
func (p *peers) handleLeaving(h header, _ []byte) bool {
	p.mu.Lock()
	_, known := p.heard[h.node]
	delete(p.heard, h.node)
	delete(p.rows, h.node)
	p.mu.Unlock()
	if known {
		p.log.Info("node left", "node", h.node)
		p.reactions.nodeGone(h.node)
	}
	return true
}

// lost notes that messages were lost. The database is polled soon, and often for a
// while.
func (p *peers) lost(why string) {
	p.mu.Lock()
	now := p.now()
	again := now.Before(p.lostUntil)
	p.lostUntil, p.lostWhy = now.Add(lossBeats*p.heartbeat), why
	p.mu.Unlock()
	p.evaluate()
	if !again { // otherwise it is polled often already
		p.reactions.pollSoon()
	}
}

// setLinked notes whether there is a connection to NATS.
func (p *peers) setLinked(linked bool) {
	p.mu.Lock()
	changed := p.linked != linked
	p.linked = linked
	p.mu.Unlock()
	switch {
	case changed && linked:
		p.lost(lostUntilLink)
	case changed:
		p.lost(lostLink)
	}
}

// setNodeRows notes the rows of the nodes, and returns those to delete.
func (p *peers) setNodeRows(beats map[string]int64) (dead map[string]int64) {
	dead = p.updateRows(beats)
	if p.unlinked { // otherwise run evaluates, once other nodes had time to be heard
		p.evaluate()
	}
	return dead
}

func (p *peers) updateRows(beats map[string]int64) (dead map[string]int64) {
	dead = make(map[string]int64)
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := range p.rows {
		if _, exists := beats[id]; !exists {
			delete(p.rows, id)
		}
	}
	for id, n := range beats {
		if id == p.self {
			continue
		}
		r := p.rows[id]
		switch {
		case r == nil:
			r = &nodeRow{beats: n}
			if p.unlinked && !p.rowsRead {
				// Most likely the row of this server before it was killed.
				r.unchanged = deadPolls
			}
			p.rows[id] = r
		case r.beats == n:
			r.unchanged++
		default:
			r.beats, r.unchanged = n, 0
		}
		if r.unchanged >= forgetPolls {
			dead[id] = n
		}
	}
	p.rowsRead = true
	return dead
}

// livingRows returns the number of rows that are not dead. Called with mu held.
func (p *peers) livingRows() (n int) {
	for _, r := range p.rows {
		if r.unchanged < deadPolls {
			n++
		}
	}
	return n
}
