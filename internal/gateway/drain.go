package gateway

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/async"
)

// drainBatches is in how many parts sockets are told and closed, and patience how many
// parts later a socket is closed that did not go by itself.
const (
	drainBatches = 10
	graceBatches = 5
)

// Drain ends all sockets in good order: no new ones; each is told, spread evenly
// over window, to come back within a tenth of it, and closed with 1012 half a window
// later if it has not gone. So no more than sockets / window come back a second, told
// or closed. What a socket has sent is answered before it is closed. Drain is done
// when all are, or ctx ends.
func (g *Gateway) Drain(ctx context.Context, window time.Duration) {
	g.window.Store(int64(window))
	g.draining.Store(true)
	all := g.sessions.all()
	portion := func(i int) []*session {
		if i < 0 || i >= drainBatches {
			return nil
		}
		return all[len(all)*i/drainBatches : len(all)*(i+1)/drainBatches]
	}
	step := window / drainBatches
	for i := range drainBatches + graceBatches {
		for _, s := range portion(i) {
			s.tell(step)
		}
		for _, s := range portion(i - graceBatches) {
			s.leave()
		}
		if g.sessions.len() == 0 || !async.Sleep(ctx, step) { // nobody is left to wait for
			step = 0
		}
	}
	late := g.sessions.all() // whose handshakes were under way, too
	for _, s := range late {
		s.leave()
	}
	const glance = 10 * time.Millisecond
	for slices.ContainsFunc(late, (*session).busy) && async.Sleep(ctx, glance) {
	}
	g.Log.Info("drained", "told", len(all), "left", len(late))
}

// leaving refuses newcomers while the server drains. Those who were told to go and
// found nobody else come back a window later: by then there may be another process,
// and they are as far apart as when they were told.
func (g *Gateway) leaving() error {
	return &chat.Error{
		Code: chat.Unavailable, Message: "This server is about to stop. Connect again; another one will answer.",
		RetryAfter: max(time.Duration(g.window.Load()), time.Second),
	}
}

// tell asks the client to come back within a while.
func (s *session) tell(within time.Duration) {
	s.Write(s.encode(chat.NoticeFrame{
		Type: chat.EventNotice, Code: chat.NoticeDraining, Timestamp: chat.TimeOf(s.gateway.Now()),
		ReconnectAfterMS: int64(rand.Float64() * float64(within.Milliseconds())),
	}))
}

// What work holds of a session.
const (
	carrying uint32 = 1 << iota // one of its events is being carried out
	leaving                     // it is closed as soon as that is answered
)

var errLeaving = &chat.Error{Code: chat.Unavailable, Message: "The server restarts. Nothing was stored; send it again when you are connected again.", RetryAfter: time.Second}

// release closes the socket, once what it has sent is answered.
func (s *session) leave() {
	if s.work.Or(leaving)&carrying == 0 {
		s.close(chat.CloseRestart, "the server restarts")
	}
}

// begin notes that an event is carried out; false when the socket is to be closed.
func (s *session) begin() bool {
	if s.work.Or(carrying)&leaving == 0 {
		return true
	}
	s.work.And(^carrying)
	return false
}

// end notes that it is answered.
func (s *session) end() { s.work.And(^carrying) }

// left closes the socket if that was waited for.
func (s *session) left() {
	if s.work.Load() == leaving {
		s.close(chat.CloseRestart, "the server restarts")
	}
}

func (s *session) busy() bool { return s.work.Load()&carrying != 0 }

// Close closes what is still open and waits for the events under way, until ctx
// ends.
func (g *Gateway) Close(ctx context.Context) error {
	g.draining.Store(true)
	g.shaking.close() // net/http does not wait for a handshake that has taken its connection over
	for _, s := range g.sessions.all() {
		s.close(chat.CloseRestart, "the server restarts")
	}
	err := g.Poller.Close(ctx)
	g.stop()
	g.background.Wait()
	return err
}

// inFlight counts what is under way, and lets nothing more in once it is closed: a
// WaitGroup alone must not grow while somebody waits for it.
type inFlight struct {
	mu     sync.Mutex // guards what follows
	closed bool
	inside sync.WaitGroup
}

func (e *inFlight) acquire() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.inside.Add(1)
	}
	return !e.closed
}

func (e *inFlight) release() { e.inside.Done() }

// close waits for those inside. They end by themselves, within openTimeout.
func (e *inFlight) close() {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.inside.Wait()
}
