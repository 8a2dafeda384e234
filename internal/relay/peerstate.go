package relay

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// State is the state of the connections between the nodes.
type State struct {
	Degraded bool   // messages of other nodes may be missing, and the database is polled often
	Why      string // when degraded
	Peers    int    // nodes that are heard and hear this one
	Nodes    int    // other nodes that live according to the database
	Versions []string
}

// String returns the state as a sentence for operators.
func (s State) String() string {
	if s.Peers+s.Nodes == 0 {
		return cmp.Or(s.Why, "no other node")
	}
	return cmp.Or(s.Why, fmt.Sprintf("hears %d other nodes", s.Peers))
}

// lastState returns the state as evaluated last.
func (p *peers) lastState() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

// evaluate determines the state and logs changes. It forgets nodes that are gone.
func (p *peers) evaluate() {
	p.mu.Lock()
	now := p.now()
	gone := p.removeGone(now)
	before := p.state
	p.state = p.currentState(now)
	after := p.state
	p.mu.Unlock()
	for _, id := range gone {
		p.log.Warn("node is gone", "node", id)
		p.reactions.nodeGone(id)
	}
	p.metrics.Peers.Set(float64(after.Peers))
	degraded := 0.0
	if after.Degraded {
		degraded = 1
	}
	p.metrics.Degraded.Set(degraded)
	switch {
	case after.Degraded && !before.Degraded:
		p.log.Warn("relay degraded: messages of other nodes may be missing, polling the database",
			"why", after.Why, "peers", after.Peers)
		p.reactions.pollSoon()
	case before.Degraded && !after.Degraded:
		p.log.Info("relay recovered", "peers", after.Peers)
		p.reactions.pollSoon() // for what was lost until now
	}
}

// removeGone removes the nodes that were silent for too long, and returns their ids.
// Called with mu held.
func (p *peers) removeGone(now time.Time) (gone []string) {
	for id, other := range p.heard {
		if now.Sub(other.heardAt) > goneBeats*p.heartbeat {
			gone = append(gone, id)
			delete(p.heard, id)
		}
	}
	return gone
}

// currentState is called with mu held.
func (p *peers) currentState(now time.Time) (s State) {
	var why []string
	if !p.linked {
		why = append(why, "no connection to NATS")
	}
	for id, other := range p.heard {
		hears := !p.isSilent(now, other.hearsAt)
		switch {
		case p.isSilent(now, other.heardAt):
			why = append(why, "node "+id+" is silent")
		case !hears && p.isSilent(now, other.since):
			why = append(why, "node "+id+" does not hear this one")
		case hears:
			s.Peers++
		}
		if !slices.Contains(s.Versions, other.version) {
			s.Versions = append(s.Versions, other.version)
		}
	}
	for id, r := range p.rows {
		if _, heard := p.heard[id]; !heard && r.unchanged < deadPolls {
			why = append(why, "node "+id+" shares the database and "+p.notHeard())
		}
	}
	if now.Before(p.lostUntil) {
		why = append(why, p.lostWhy)
	}
	slices.Sort(why)
	slices.Sort(s.Versions)
	s.Nodes = p.livingRows()
	s.Why = strings.Join(why, "; ")
	s.Degraded = len(why) > 0
	return s
}

func (p *peers) notHeard() string {
	if p.unlinked {
		return "this one has no relay (relay.listen or relay.url) to hear it by"
	}
	return "is not heard"
}
