package relay

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/async"
)

type fakePeers struct{ alone, degraded atomic.Bool }

func (p *fakePeers) isAlone() bool    { return p.alone.Load() }
func (p *fakePeers) lastState() State { return State{Degraded: p.degraded.Load()} }

type skips int

func (s *skips) skip() { *s++ }

// fakeHeads returns heads, and records what was known and when.
type fakeHeads struct {
	heads map[chat.ID]chat.Seq
	known []map[chat.ID]chat.Seq
	at    []time.Time
}

func (f *fakeHeads) HeadsBeyond(_ context.Context, known map[chat.ID]chat.Seq) (map[chat.ID]chat.Seq, error) {
	f.known, f.at = append(f.known, known), append(f.at, time.Now())
	return f.heads, nil
}

// reconcilerWorld is a reconciler by itself, and when it polled and asked.
type reconcilerWorld struct {
	*reconciler
	begun time.Time
	peers fakePeers
	hub   fakeHub
	db    fakeHeads
	skips skips
	polls []time.Duration
	asked []string
}

func newReconcilerWorld() *reconcilerWorld {
	w := &reconcilerWorld{begun: time.Now()}
	w.reconciler = &reconciler{
		env: testEnv(), interval: 2 * time.Second, calmInterval: 30 * time.Second,
		heads: &heads{env: testEnv(), hub: &w.hub, db: &w.db},
		joins: &w.skips, peers: &w.peers, hub: &w.hub, wake: async.NewSignal(),
		askPresence: func(users []chat.UserID) {
			for _, u := range users {
				w.asked = append(w.asked, string(u))
			}
		},
		sources: []source{{"poll", func(context.Context) error {
			w.polls = append(w.polls, time.Since(w.begun))
			return errors.New("no database")
		}}},
	}
	w.begin()
	return w
}

// runFor runs the reconciler for a time of the test's own clock.
func (w *reconcilerWorld) runFor(t *testing.T, d time.Duration, meanwhile func()) {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	go w.run(ctx) // ends when ctx does
	meanwhile()
	<-ctx.Done()
	synctest.Wait()
}

func TestReconcilerPollsMoreOftenWhileDegraded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newReconcilerWorld()
		w.runFor(t, 40*time.Second, func() {
			time.Sleep(5 * time.Second)
			w.peers.degraded.Store(true)
			w.pollSoon()
			time.Sleep(5 * time.Second)
			w.peers.degraded.Store(false)
		})
		const s, ms = time.Second, time.Millisecond
		equal(t, "polls", w.polls, []time.Duration{2 * s, 5*s + 200*ms, 7*s + 200*ms, 9*s + 200*ms, 11*s + 200*ms})
		equal(t, "asked for", w.asked, []string{"watched", "watched"})
	})
}

func TestReconcilerAloneDoesNotPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newReconcilerWorld()
		w.peers.alone.Store(true)
		w.runFor(t, time.Minute, func() {})
		equal(t, "polls", w.polls, nil)
		if w.skips == 0 {
			t.Error("joins are not skipped")
		}
		w.runFor(t, time.Second, w.pollPresence)
		if len(w.polls) != 1 {
			t.Errorf("%d polls after pollPresence, want 1", len(w.polls))
		}
	})
}

// TestReconcilerCatchesUpAfterNewSubscriptions have settled.
func TestReconcilerCatchesUpAfterNewSubscriptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newReconcilerWorld()
		one, two := chat.NewID(), chat.NewID()
		w.hub.heads = map[chat.ID]chat.Seq{one: 5, two: 6}
		w.db.heads = map[chat.ID]chat.Seq{one: 7}
		w.runFor(t, time.Second, func() {
			w.scheduleCatchUp(newSubscriptions{channels: []chat.ID{one, chat.NewID()}, users: []chat.UserID{"ada"}})
		})
		equal(t, "time of the read", w.db.at, []time.Time{w.begun.Add(2 * settleDelay)})
		equal(t, "known heads", w.db.known, []map[chat.ID]chat.Seq{{one: 5}})
		equal(t, "observed heads", w.hub.observed, map[chat.ID]chat.Seq{one: 7})
		equal(t, "asked for", w.asked, []string{"ada"})
	})
}

func TestSubscriptionsSettleForOneDelayAtLeastAndTwoAtMost(t *testing.T) {
	var s settling
	start := time.UnixMilli(0)
	added := make(map[chat.UserID]time.Duration)
	for at := time.Duration(0); at < 3*time.Second; at += settleDelay / 10 {
		settled := s.take(start.Add(at))
		for _, u := range settled.users {
			if took := at - added[u]; took < settleDelay || took > 2*settleDelay {
				t.Errorf("a subscription settled after %v, want %v to %v", took, settleDelay, 2*settleDelay)
			}
			delete(added, u)
		}
		if at < time.Second {
			u := chat.UserID(at.String())
			added[u] = at
			s.add(newSubscriptions{users: []chat.UserID{u}}, start.Add(at))
		}
	}
	if len(added) > 0 || !s.rotateAt.IsZero() {
		t.Errorf("%d subscriptions did not settle", len(added))
	}
}

// fakeJoins is the database of joins.
type fakeJoins struct {
	fakeHeads
	recent  []chat.Entry
	members map[chat.UserID]chat.Seq
}

func (f *fakeJoins) RecentJoins(context.Context, chat.Time) ([]chat.Entry, error) {
	return f.recent, nil
}

func (f *fakeJoins) JoinSeqs(
	_ context.Context, _ chat.ID, users []chat.UserID,
) (joined map[chat.UserID]chat.Seq, head chat.Seq, err error) {
	joined = make(map[chat.UserID]chat.Seq)
	for _, u := range users {
		if seq, is := f.members[u]; is {
			joined[u] = seq
		}
	}
	return joined, 9, nil
}

// TestJoinsAreTakenFromTheDatabase: bob is a member there and eve is not, whatever another
// node sent. A join is applied once.
func TestJoinsAreTakenFromTheDatabase(t *testing.T) {
	channel := chat.NewID()
	hub := &fakeHub{connected: map[chat.UserID]bool{"bob": true, "eve": true}}
	join := func(user chat.UserID, seq chat.Seq) chat.Entry {
		return chat.Entry{Type: chat.EventMemberJoined, ChannelID: channel, Seq: seq, Subject: user}
	}
	db := &fakeJoins{
		recent:  []chat.Entry{join("bob", 4), join("eve", 5), join("absent", 6)},
		members: map[chat.UserID]chat.Seq{"bob": 4, "absent": 6},
	}
	j := newJoins(testEnv(), time.Second, hub, db, func(why string) { t.Errorf("lost: %s", why) })
	for range 2 {
		if err := j.poll(t.Context()); err != nil {
			t.Fatal(err)
		}
		equal(t, "joined", hub.joined, map[chat.UserID]chat.Seq{"bob": 4})
		if got := count(j.metrics.Reconciled, "memberships"); got != 2 {
			t.Errorf("%v memberships are counted, want 2", got)
		}
	}
	hub.joined = nil
	j.handle(header{}, joinsNote{Channel: channel, Seq: 7, Users: []chat.UserID{"absent"}}) // no one here needs it
	j.handle(header{}, joinsNote{Channel: channel, Seq: 8, Users: []chat.UserID{"eve"}})
	if len(j.queue) != 1 {
		t.Fatalf("%d notes are queued, want 1", len(j.queue))
	}
	j.process(t.Context(), <-j.queue)
	equal(t, "joined by a forged note", hub.joined, nil)
}

func TestJoinsAreLostWhenTooManyWait(t *testing.T) {
	var lost []string
	hub := &fakeHub{connected: map[chat.UserID]bool{"bob": true}}
	j := newJoins(testEnv(), time.Second, hub, &fakeJoins{}, func(why string) { lost = append(lost, why) })
	for range maxJoinQueue + 1 {
		j.handle(header{}, joinsNote{Users: []chat.UserID{"bob"}})
	}
	equal(t, "losses", lost, []string{lostSlow})
	if got := count(j.metrics.Dropped, "slow"); got != 1 {
		t.Errorf("%v dropped messages are counted, want 1", got)
	}
}
