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
)

// size is how much goes on.
type size struct {
	users, channels, members int
	think                    time.Duration // between two changes of one user, on average
	time                     time.Duration // of load and faults
	quiet                    time.Duration // between two faults: up to three times as long
	layout                   layout        // of several nodes; zero is one server
}

// world is a server, a network and people.
type world struct {
	t      *testing.T
	size   size
	seed   uint64
	db     database
	server *server
	others []*server      // nodes beside it
	way    *testkit.Proxy // between two nodes; nil when there is none
	nats   *nats          // nil when nodes have their own
	proxy  *testkit.Proxy // nil when there is a cable
	cable  *cable         // nil when there is a proxy
	rec    *history.Recorder
	marks  *history.Log // faults
	people []*person

	channels []chat.ID // channels[i] is owned by people[i % users]
	alone    bool      // there is one kind of fault

	connected, acked atomic.Int64 // by all clients, so far

	stop    context.CancelFunc
	acting  sync.WaitGroup
	reading sync.WaitGroup
}

// epochID makes an id of an epoch's name.
func epochID(epoch string) chat.ID {
	sum := sha256.Sum256([]byte(epoch))
	return chat.ID(sum[:16])
}

// newWorld connects everybody and makes the channels.
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
	w.marks = w.rec.Session("the one who breaks things")
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
				_, err = p.client.Channels(ctx) // so that the user exists
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

// found makes the channels, and waits until everybody knows of them.
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
		ch, err := owner.client.CreateChannel(ctx, chat.CreateChannelRequest{Name: fmt.Sprint("channel ", i), IsPrivate: true, MemberIDs: others})
		if err != nil {
			w.t.Fatal(err)
		}
		w.channels = append(w.channels, ch.ID)
		for _, u := range append(others, owner.id) {
			members[u] = append(members[u], ch.ID)
		}
	}
	// Only now: without a relay somebody on another node hears of it seconds later.
	for _, p := range w.people {
		for _, id := range members[p.id] {
			if !p.await(ctx, func() bool { return p.at[id] > 0 }) {
				w.t.Fatalf("%s does not hear that he is a member of %s", p.id, id)
			}
		}
	}
}

// start makes everybody act until the world is stopped.
func (w *world) start() {
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	for _, p := range w.people {
		w.acting.Go(func() { p.act(ctx) }) // ends when the world is stopped
	}
}

// finish heals the network, lets everybody finish and catch up, and proves it.
func (w *world) finish() *history.Report {
	w.t.Helper()
	if w.proxy != nil {
		w.proxy.Delay(0)
	}
	for _, p := range w.people {
		p.asleep.Store(false)
	}
	w.stop()
	w.acting.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for i := 0; i < len(w.channels) && ctx.Err() == nil; i++ { // each waits long for a server that is no more
		w.people[i%len(w.people)].send(w.channels[i])
	}
	var all sync.WaitGroup
	for _, p := range w.people {
		all.Go(func() { p.level(ctx) })
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
		w.t.Logf("the server said last:\n%s", w.server.tail())
	}
	return report
}

// save keeps a history that failed, for another look.
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
