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

// Sockets are notified in drainBatches batches. A socket that has not closed by itself
// graceBatches batches later is closed.
const (
	drainBatches = 10
	graceBatches = 5
)

// Drain closes all sockets in good order and admits no new ones. The sockets are
// notified in batches, spread evenly over window, and asked to reconnect within a tenth
// of it. A socket that is still open half a window later is closed with code 1012. So
// no more than sockets / window clients per second reconnect. Commands that a client
// has sent are answered before its socket is closed. Drain returns when all sockets
// are done, or ctx ends.
func (g *Gateway) Drain(ctx context.Context, window time.Duration) {
	g.drainWindow.Store(int64(window))
	g.draining.Store(true)
	all := g.sessions.all()
	batch := func(i int) []*session {
		if i < 0 || i >= drainBatches {
			return nil
		}
		return all[len(all)*i/drainBatches : len(all)*(i+1)/drainBatches]
	}
	step := window / drainBatches
	for i := range drainBatches + graceBatches {
		for _, s := range batch(i) {
			s.notifyDraining(step)
		}
		for _, s := range batch(i - graceBatches) {
			s.drain()
		}
		if g.sessions.len() == 0 || !async.Sleep(ctx, step) { // nothing to wait for
			step = 0
		}
	}
	remaining := g.sessions.all() // includes those whose handshake was under way
	for _, s := range remaining {
		s.drain()
	}
	const pollInterval = 10 * time.Millisecond
	for slices.ContainsFunc(remaining, (*session).isBusy) && async.Sleep(ctx, pollInterval) {
	}
	g.Log.Info("drained", "notified", len(all), "remaining", len(remaining))
}

// errDraining refuses new sockets while the server drains. Clients that were asked to
// reconnect and reached this process again come back a window later: by then another
// process may run, and they are as spread out as before.
func (g *Gateway) errDraining() error {
	return &chat.Error{
		Code: chat.Unavailable, Message: "This server is restarting. Connect again.",
		RetryAfter: max(time.Duration(g.drainWindow.Load()), time.Second),
	}
}

// notifyDraining asks the client to reconnect, at a random time within d.
func (s *session) notifyDraining(d time.Duration) {
	s.Write(s.encode(chat.NoticeFrame{
		Type: chat.EventNotice, Code: chat.NoticeDraining, Timestamp: chat.TimeOf(s.gateway.Now()),
		ReconnectAfterMS: int64(rand.Float64() * float64(d.Milliseconds())),
	}))
}

// Bits of session.work.
const (
	busy     uint32 = 1 << iota // a command of the socket runs
	draining                    // the socket closes once that command is answered
)

const textRestarting = "the server is restarting"

var errRestarting = &chat.Error{
	Code:       chat.Unavailable,
	Message:    "The server is restarting and nothing was stored. Send it again after reconnecting.",
	RetryAfter: time.Second,
}

// drain closes the socket once the command that runs is answered.
func (s *session) drain() {
	if s.work.Or(draining)&busy == 0 {
		s.close(chat.CloseRestart, textRestarting)
	}
}

// beginCommand notes that a command runs. It returns false if the socket is draining.
func (s *session) beginCommand() bool {
	if s.work.Or(busy)&draining == 0 {
		return true
	}
	s.work.And(^busy)
	return false
}

// endCommand notes that the command is answered.
func (s *session) endCommand() { s.work.And(^busy) }

// closeIfDraining closes the socket if it is draining and no command runs.
func (s *session) closeIfDraining() {
	if s.work.Load() == draining {
		s.close(chat.CloseRestart, textRestarting)
	}
}

func (s *session) isBusy() bool { return s.work.Load()&busy != 0 }

// Close closes all sockets and waits for the commands that run, until ctx ends.
func (g *Gateway) Close(ctx context.Context) error {
	g.draining.Store(true)
	g.handshakes.close() // net/http does not wait for hijacked connections
	for _, s := range g.sessions.all() {
		s.close(chat.CloseRestart, textRestarting)
	}
	err := g.Poller.Close(ctx)
	g.stop()
	g.background.Wait()
	return err
}

// inFlight counts operations that run, and admits no more once it is closed. A
// sync.WaitGroup alone must not grow from zero while Wait is called.
type inFlight struct {
	mu     sync.Mutex // guards closed, and that count does not grow after it is set
	closed bool
	count  sync.WaitGroup
}

// acquire admits an operation. It returns false once closed.
func (f *inFlight) acquire() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.count.Add(1)
	}
	return !f.closed
}

func (f *inFlight) release() { f.count.Done() }

// close waits for the operations that run.
func (f *inFlight) close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.count.Wait()
}
