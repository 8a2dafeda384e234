package relay

import (
	"testing"
	"testing/synctest"
	"time"
)

// reactions count what peers called.
type reactions struct {
	gone            []string
	polls, presence int
}

func newTestPeers(self nodeID, link Link) (*peers, *reactions) {
	var r reactions
	c := Config{Link: link}.withDefaults()
	return newPeers(testEnv(), &c, self, func(beatNote) {}, peerReactions{
		nodeGone:        func(id string) { r.gone = append(r.gone, id) },
		pollSoon:        func() { r.polls++ },
		refreshPresence: func() { r.presence++ },
	}), &r
}

// beatFrom processes a heartbeat of another node.
func beatFrom(p *peers, node string, n uint64, hears ...heardNote) {
	p.handleBeat(header{kind: kindBeat, node: node, at: p.now().UnixMicro()}, beatNote{N: n, Version: "v1", Hears: hears})
}

func TestPeersNoticeANodeThatIsSilentAndGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		self := newNodeID()
		p, r := newTestPeers(self, Link{Listen: "127.0.0.1:0"})
		check := func(what string, want State) {
			t.Helper()
			p.evaluate()
			equal(t, what, p.lastState(), want)
		}
		check("alone", State{})
		if !p.isAlone() {
			t.Error("a node alone is not alone")
		}
		for n := range uint64(30) {
			beatFrom(p, "other", n+1, heardNote{ID: self.String(), At: p.now().UnixMicro()})
			time.Sleep(p.heartbeat)
		}
		connected := State{Peers: 1, Nodes: 1, Versions: []string{"v1"}}
		check("connected", connected)
		equal(t, "nodes that are heard", p.heardNodes(), map[string]bool{"other": true})

		beatFrom(p, "other", 31)
		time.Sleep(2 * p.heartbeat)
		beatFrom(p, "other", 32)
		deaf := connected
		deaf.Degraded, deaf.Peers, deaf.Why = true, 0, "node other does not hear this one"
		check("not heard by the other", deaf)

		time.Sleep(3 * p.heartbeat)
		silent := deaf
		silent.Why = "node other is silent"
		check("silent", silent)
		equal(t, "nodes that are heard", p.heardNodes(), nil)

		time.Sleep(goneBeats * p.heartbeat)
		check("gone", State{Degraded: true, Nodes: 1, Why: "node other shares the database and is not heard"})
		equal(t, "gone", r.gone, []string{"other"})
		for range deadPolls + 1 {
			p.setNodeRows(map[string]int64{"other": 5})
		}
		check("dead", State{})
	})
}

func TestPeersAreDegradedAfterALoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, r := newTestPeers(newNodeID(), Link{Listen: "127.0.0.1:0"})
		p.setLinked(true) // is the state already
		p.setLinked(false)
		time.Sleep(2 * lossBeats * p.heartbeat)
		p.evaluate()
		equal(t, "unlinked", p.lastState(), State{Degraded: true, Why: "no connection to NATS"})
		p.setLinked(true)
		equal(t, "linked", p.lastState(), State{Degraded: true, Why: lostUntilLink})
		polls := r.polls
		time.Sleep(2 * lossBeats * p.heartbeat)
		p.evaluate()
		equal(t, "recovered", p.lastState(), State{})
		if r.polls != polls+1 {
			t.Errorf("%d polls when it recovered, want 1", r.polls-polls)
		}
	})
}

// TestMissedHeartbeatsAreALoss, of what was sent between them.
func TestMissedHeartbeatsAreALoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, r := newTestPeers(newNodeID(), Link{Listen: "127.0.0.1:0"})
		beatFrom(p, "other", 7)
		equal(t, "why a new node is a loss", p.lostWhy, lostUntilPeer)
		if r.presence != 1 {
			t.Errorf("presence was refreshed %d times, want 1", r.presence)
		}
		time.Sleep(2 * lossBeats * p.heartbeat)
		beatFrom(p, "other", 8)
		if p.now().Before(p.lostUntil) {
			t.Error("the next heartbeat is a loss")
		}
		beatFrom(p, "other", 10)
		equal(t, "why a missed heartbeat is a loss", p.lostWhy, lostBeats)
		p.handleLeaving(header{node: "other"}, nil)
		equal(t, "gone", r.gone, []string{"other"})
		if !p.isAlone() {
			t.Error("the node is not alone after the other has left")
		}
	})
}

// TestLagAllowsForTheOtherClock, which here is an hour ahead.
func TestLagAllowsForTheOtherClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		self := newNodeID()
		p, _ := newTestPeers(self, Link{Listen: "127.0.0.1:0"})
		const trip = 10 * time.Millisecond
		theirs := func() int64 { return p.now().Add(time.Hour).UnixMicro() }
		if _, ok := p.lag("other", theirs()); ok {
			t.Error("the lag of an unknown node is known")
		}
		sentAt := p.now().UnixMicro()
		time.Sleep(trip / 2)
		at := theirs()
		time.Sleep(trip / 2)
		p.handleBeat(header{node: "other", at: at}, beatNote{N: 1, Hears: []heardNote{{ID: self.String(), At: sentAt}}})
		at = theirs()
		time.Sleep(3 * time.Second)
		if lag, ok := p.lag("other", at); !ok || lag != 3*time.Second {
			t.Errorf("the lag is %v (known: %v), want 3s", lag, ok)
		}
	})
}

func TestRowsOfDeadNodesAreForgotten(t *testing.T) {
	self := newNodeID()
	p, _ := newTestPeers(self, Link{})
	rows := map[string]int64{self.String(): 1, "old": 7}
	p.setNodeRows(rows)
	equal(t, "state with the row of a killed server", p.lastState(), State{})
	rows["young"] = 1
	var dead map[string]int64
	for range forgetPolls {
		rows["young"]++
		dead = p.setNodeRows(rows)
	}
	equal(t, "rows to delete", dead, map[string]int64{"old": 7})
	if got := p.lastState().Nodes; got != 1 {
		t.Errorf("%d other nodes live, want 1", got)
	}
}
