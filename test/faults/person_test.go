package faults

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/client"
	"github.com/chowk-chat/chowk/internal/async"
	"github.com/chowk-chat/chowk/internal/history"
)

// person is one user: a client, a reader, and an actor.
type person struct {
	w      *world
	id     chat.UserID
	client *client.Client
	log    *history.Log
	random *rand.Rand

	paused atomic.Bool // reads no events

	mu   sync.Mutex              // guards what follows
	at   map[chat.ID]chat.Seq    // the channels of the user, and how far they have read
	mine map[chat.ID][]chat.ID   // the user's latest messages
	seen map[chat.ID][]chat.ID   // the latest messages of all members
	news chan struct{}           // closed at every event
	out  map[chat.ID]chat.UserID // members who were removed, and not yet added again
}

func (w *world) join(name string, i int) *person {
	p := &person{
		w: w, id: chat.UserID(name), random: rand.New(rand.NewPCG(w.seed, uint64(i))), log: w.rec.Session(chat.UserID(name)),
		at: make(map[chat.ID]chat.Seq), mine: make(map[chat.ID][]chat.ID), seen: make(map[chat.ID][]chat.ID),
		news: make(chan struct{}), out: make(map[chat.ID]chat.UserID),
	}
	return p
}

func (p *person) options() client.Options {
	first, url, via := true, "", (*http.Client)(nil)
	if c := p.w.cable; c != nil {
		url, via = "http://"+p.w.server.address, c.client()
	} else {
		url = p.w.proxy.URL()
	}
	return client.Options{
		URL: url, HTTPClient: via, Token: client.StaticToken(token(string(p.id))), Buffer: 64,
		Backoff: client.Backoff{Base: 100 * time.Millisecond, Cap: 2 * time.Second}, PingAfter: time.Second,
		PongWithin: time.Second,
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
			CaughtUp: func() { p.log.Add(history.Record{Kind: history.CaughtUp}, chat.ID{}) },
			Received: func(ev client.Event) {
				if ev.Seq > 0 {
					p.log.Add(p.record(history.Received, &ev), ev.ChannelID)
				}
			},
		},
	}
}

// record converts an event to a record.
func (p *person) record(kind history.Kind, ev *client.Event) history.Record {
	r := history.Record{Kind: kind, What: history.WhatOf(ev.Type), Seq: ev.Seq, ID: ev.MessageID}
	switch ev.Type {
	case chat.EventMessage:
		r.ID = ev.Message.ID
	case chat.EventChannelJoined:
		if ev.Seq > 1 {
			r.What = history.Join
		}
		r.User = p.w.rec.User(p.id)
	case chat.EventChannelLeft:
		r.What, r.User = history.Leave, p.w.rec.User(p.id)
	case chat.EventMemberJoined, chat.EventMemberLeft:
		r.User = p.w.rec.User(ev.Subject)
	}
	return r
}

// await waits for a condition that events bring about; it is checked with mu held.
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

// read reads events until the client is closed.
func (p *person) read() {
	for {
		for p.paused.Load() {
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
		p.log.Add(history.Record{Kind: history.Resyncs, What: reasons[ev.Reason], Seq: ev.Seq}, ev.ChannelID)
	case ev.Seq > 0:
		p.log.Add(p.record(history.Delivered, ev), ev.ChannelID)
	case ev.Type == chat.EventChannelLeft:
		p.log.Add(history.Record{Kind: history.MembershipEnded}, ev.ChannelID)
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
		p.seen[ev.ChannelID] = keep(p.seen[ev.ChannelID], ev.Message.ID)
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

func (p *person) act(ctx context.Context) {
	for ctx.Err() == nil {
		if async.Sleep(ctx, time.Duration(p.random.ExpFloat64()*float64(p.w.size.think))) {
			p.once()
		}
	}
	p.mu.Lock()
	out := p.out
	p.mu.Unlock()
	for ch := range out {
		p.takeBack(ch)
	}
}

// catchUp waits until the user has everything of all their channels. (If that never
// happens, the proof reports it.)
func (p *person) catchUp(ctx context.Context) {
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
