package faults

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/client"
	"github.com/chowk-chat/chowk/internal/history"
	"github.com/chowk-chat/chowk/internal/testkit"
	"github.com/chowk-chat/chowk/internal/testkit/natstest"
)

// size is the amount of load.
type size struct {
	users, channels, members int
	think                    time.Duration // between two changes of one user, on average
	time                     time.Duration // of load and faults
	quiet                    time.Duration // between two faults: up to three times as long
	layout                   layout        // of several nodes; zero for one server
}

// world is a server, a network and users.
type world struct {
	t      *testing.T
	size   size
	seed   uint64
	db     database
	server *server
	others []*server        // further nodes
	way    *testkit.Proxy   // between two nodes; nil without one
	nats   *natstest.Server // nil if nodes link directly
	proxy  *testkit.Proxy   // nil with a cable
	cable  *cable           // nil with a proxy
	rec    *history.Recorder
	marks  *history.Log // faults
	people []*person

	channels []chat.ID // channels[i] is owned by people[i % users]
	alone    bool      // only one kind of fault is injected

	connected, acked atomic.Int64 // by all clients, so far

	stop    context.CancelFunc
	acting  sync.WaitGroup
	reading sync.WaitGroup
}

// epochID returns an id for an epoch's name.
func epochID(epoch string) chat.ID {
	sum := sha256.Sum256([]byte(epoch))
	return chat.ID(sum[:16])
}

// newWorld connects all clients and creates the channels.
func newWorld(t *testing.T, c *cable, z size, seed uint64, db database) *world {
	t.Helper()
	w := &world{t: t, size: z, seed: seed, db: db, cable: c, rec: history.NewRecorder()}
	w.serve()
	if c == nil {
		var err error
		if w.proxy, err = testkit.NewProxy(w.addresses()...); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(w.proxy.Close)
	}
	w.marks = w.rec.Session("the injector of faults")
	for i := range z.users {
		w.people = append(w.people, w.join(fmt.Sprintf("u%03d", i), i))
	}
	w.connect()
	if t.Failed() {
		t.FailNow()
	}
	w.found()
	return w
}

func (w *world) connect() {
	var all sync.WaitGroup
	for _, p := range w.people {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			var err error
			if p.client, err = client.Dial(ctx, p.options()); err == nil {
				_, err = p.client.Channels(ctx) // creates the user
			}
			if err != nil {
				w.t.Errorf("connect %s: %v", p.id, err)
				return
			}
			w.reading.Go(p.read) // ends when the client is closed
		})
	}
	all.Wait()
	w.t.Cleanup(func() {
		for _, p := range w.people {
			if p.client != nil {
				_ = p.client.Close()
			}
		}
		w.reading.Wait()
	})
}

// found creates the channels, and waits until all clients know them.
func (w *world) found() {
	random := rand.New(rand.NewPCG(w.seed, 1<<40))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	members := make(map[chat.UserID][]chat.ID)
	for i := range w.size.channels {
		owner := w.people[i%len(w.people)]
		var others []chat.UserID
		for _, j := range random.Perm(len(w.people)) {
			if p := w.people[j]; p != owner && len(others) < w.size.members-1 {
				others = append(others, p.id)
			}
		}
		ch, err := owner.client.CreateChannel(ctx, chat.CreateChannelRequest{
			Name: fmt.Sprint("channel ", i), IsPrivate: true,
			MemberIDs: others,
		})
		if err != nil {
			w.t.Fatal(err)
		}
		w.channels = append(w.channels, ch.ID)
		for _, u := range append(others, owner.id) {
			members[u] = append(members[u], ch.ID)
		}
	}
	// Only now: without a relay, clients on other nodes learn it seconds later.
	for _, p := range w.people {
		for _, id := range members[p.id] {
			if !p.await(ctx, func() bool { return p.at[id] > 0 }) {
				w.t.Fatalf("%s does not learn of being a member of %s", p.id, id)
			}
		}
	}
}

// start lets all users act until the world is stopped.
func (w *world) start() {
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	for _, p := range w.people {
		w.acting.Go(func() { p.act(ctx) }) // ends when the world is stopped
	}
}

// finish repairs the network, lets all clients finish and catch up, and proves the run.
func (w *world) finish() *history.Report {
	w.t.Helper()
	if w.proxy != nil {
		w.proxy.Delay(0)
	}
	for _, p := range w.people {
		p.paused.Store(false)
	}
	w.stop()
	w.acting.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for i := 0; i < len(w.channels) && ctx.Err() == nil; i++ { // each waits long for a server that is down
		w.people[i%len(w.people)].send(w.channels[i])
	}
	var all sync.WaitGroup
	for _, p := range w.people {
		all.Go(func() { p.catchUp(ctx) })
	}
	all.Wait()
	for _, p := range w.people {
		_ = p.client.Close()
	}
	w.reading.Wait()
	if err := w.db.read(w.rec, w.channels); err != nil {
		w.t.Fatalf("read the database: %v", err)
	}
	h := w.rec.History()
	report := history.Check(h)
	for _, v := range report.Violations {
		w.t.Errorf("%v", v)
	}
	if w.t.Failed() {
		w.save(h)
		w.t.Logf("the end of the server's log:\n%s", w.server.tail())
	}
	return report
}

// save keeps a history that failed.
func (w *world) save(h *history.History) {
	dir := os.Getenv("CHOWK_FAULTS_KEEP")
	if dir == "" {
		return
	}
	f, err := os.CreateTemp(dir, "history-*.bin")
	if err == nil {
		err = errors.Join(h.Write(f), f.Close())
	}
	if err != nil {
		w.t.Errorf("keep the history: %v", err)
		return
	}
	w.t.Logf("the history is in %s", f.Name())
}
