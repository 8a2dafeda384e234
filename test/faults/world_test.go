package faults

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/client"
	"github.com/chowk-chat/chowk/internal/history"
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
	others []*server // nodes beside it
	way    *proxy    // between two nodes; nil when there is none
	nats   *nats     // nil when nodes have their own
	proxy  *proxy    // nil when there is a cable
	cable  *cable    // nil when there is a proxy
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

// person is one user: a client, somebody who reads, and somebody who acts.
type person struct {
	w      *world
	id     chat.UserID
	client *client.Client
	log    *history.Log
	random *rand.Rand

	asleep atomic.Bool // takes no events

	mu    sync.Mutex              // guards what follows
	at    map[chat.ID]chat.Seq    // channels of which he is a member, and how far he has read
	mine  map[chat.ID][]chat.ID   // his newest messages
	heard map[chat.ID][]chat.ID   // the newest messages of anybody
	news  chan struct{}           // closed at every event
	out   map[chat.ID]chat.UserID // whom he has removed and not yet taken back
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
		if w.proxy, err = newProxy(w.addresses()...); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(w.proxy.close)
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

func (w *world) join(name string, i int) *person {
	p := &person{
		w: w, id: chat.UserID(name), random: rand.New(rand.NewPCG(w.seed, uint64(i))), log: w.rec.Session(chat.UserID(name)),
		at: make(map[chat.ID]chat.Seq), mine: make(map[chat.ID][]chat.ID), heard: make(map[chat.ID][]chat.ID),
		news: make(chan struct{}), out: make(map[chat.ID]chat.UserID),
	}
	return p
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

func (p *person) options() client.Options {
	first, url, via := true, "", (*http.Client)(nil)
	if c := p.w.cable; c != nil {
		url, via = "http://"+p.w.server.address, c.client()
	} else {
		url = p.w.proxy.url()
	}
	return client.Options{
		URL: url, HTTPClient: via, Token: client.StaticToken(token(string(p.id))), Buffer: 64,
		Backoff: client.Backoff{Base: 100 * time.Millisecond, Cap: 2 * time.Second}, PingAfter: time.Second, PongWithin: time.Second,
		Trace: client.Trace{
			Connected: func(hello *chat.ConnectionFrame) {
				p.w.connected.Add(1)
				if hello.Durability != "disk" {
					p.w.t.Errorf("an ack means %q here, not \"disk\"", hello.Durability)
				}
				p.log.Add(history.Record{Kind: history.Connected, ID: epochID(hello.Epoch)}, chat.ID{})
				if !first {
					return
				}
				first = false
				for _, st := range hello.Channels {
					p.log.Add(history.Record{Kind: history.Began, Seq: st.LastSeq}, st.ID)
				}
			},
			Resuming: func(_ string, cursors map[chat.ID]chat.Seq) {
				for id, seq := range cursors {
					p.log.Add(history.Record{Kind: history.Resumed, Seq: seq}, id)
				}
			},
			Level: func() { p.log.Add(history.Record{Kind: history.Level}, chat.ID{}) },
			Received: func(ev client.Event) {
				if ev.Seq > 0 {
					p.log.Add(p.record(history.Received, &ev), ev.ChannelID)
				}
			},
		},
	}
}

// record puts an event in the store's words.
func (p *person) record(kind history.Kind, ev *client.Event) history.Record {
	r := history.Record{Kind: kind, What: history.WhatOf(ev.Type), Seq: ev.Seq, ID: ev.MessageID}
	switch ev.Type {
	case chat.EventMessage:
		r.ID = ev.Message.ID
	case chat.EventChannelJoined:
		if ev.Seq > 1 {
			r.What = history.Joins
		}
		r.User = p.w.rec.User(p.id)
	case chat.EventChannelLeft:
		r.What, r.User = history.Leaves, p.w.rec.User(p.id)
	case chat.EventMemberJoined, chat.EventMemberLeft:
		r.User = p.w.rec.User(ev.UserID)
	}
	return r
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

// await waits for a condition that events bring about; it is looked at under mu.
func (p *person) await(ctx context.Context, done func() bool) bool {
	for {
		p.mu.Lock()
		ok, news := done(), p.news
		p.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-news:
		case <-ctx.Done():
			return false
		}
	}
}

// read takes events until the client is closed.
func (p *person) read() {
	for {
		for p.asleep.Load() {
			time.Sleep(20 * time.Millisecond)
		}
		ev, err := p.client.Next(context.Background())
		if err != nil {
			if !errors.Is(err, client.ErrClosed) {
				p.w.t.Errorf("%s: %v", p.id, err)
			}
			return
		}
		p.take(&ev)
	}
}

func (p *person) take(ev *client.Event) {
	switch {
	case ev.Type == client.Resync:
		reasons := map[client.Reason]history.What{
			client.ReasonEpoch: history.ReasonEpoch, client.ReasonAhead: history.ReasonAhead,
			client.ReasonHistory: history.ReasonHistory, client.ReasonJoined: history.ReasonJoined,
		}
		p.log.Add(history.Record{Kind: history.Told, What: reasons[ev.Reason], Seq: ev.Seq}, ev.ChannelID)
	case ev.Seq > 0:
		p.log.Add(p.record(history.Handed, ev), ev.ChannelID)
	case ev.Type == chat.EventChannelLeft:
		p.log.Add(history.Record{Kind: history.Parted}, ev.ChannelID)
	default:
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if ev.Type == chat.EventChannelLeft {
		delete(p.at, ev.ChannelID)
	} else {
		p.at[ev.ChannelID] = ev.Seq
	}
	if ev.Type == chat.EventMessage {
		p.heard[ev.ChannelID] = keep(p.heard[ev.ChannelID], ev.Message.ID)
	}
	close(p.news)
	p.news = make(chan struct{})
}

func keep(ids []chat.ID, id chat.ID) []chat.ID {
	if ids = append(ids, id); len(ids) > 16 {
		ids = ids[len(ids)-8:]
	}
	return ids
}

// start makes everybody act until the world is stopped.
func (w *world) start() {
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	for _, p := range w.people {
		w.acting.Go(func() { p.act(ctx) }) // ends when the world is stopped
	}
}

func (p *person) act(ctx context.Context) {
	for ctx.Err() == nil {
		t := time.NewTimer(time.Duration(p.random.ExpFloat64() * float64(p.w.size.think)))
		select {
		case <-t.C:
			p.once()
		case <-ctx.Done():
			t.Stop()
		}
	}
	p.mu.Lock()
	out := p.out
	p.mu.Unlock()
	for ch := range out {
		p.takeBack(ch)
	}
}

// finish heals the network, lets everybody finish and catch up, and proves it.
func (w *world) finish() *history.Report {
	w.t.Helper()
	if w.proxy != nil {
		w.proxy.delay.Store(0)
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

// level waits until he has everything of every channel of which he is a member. (If
// he never gets it, the proof says so.)
func (p *person) level(ctx context.Context) {
	channels, err := p.client.Channels(ctx)
	if err != nil {
		p.w.t.Errorf("list the channels of %s: %v\n%s", p.id, err, p.w.server.tail())
		return
	}
	p.await(ctx, func() bool {
		for _, c := range channels {
			if p.at[c.ID] < c.LastSeq {
				return false
			}
		}
		return true
	})
	p.log.Add(history.Record{Kind: history.Barrier}, chat.ID{})
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
