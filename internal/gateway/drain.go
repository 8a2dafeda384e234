package gateway

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// Drain ends all sockets in good order: no new ones, a notice to each within
// window so that they do not all come back at once, what was sent is answered, and
// then each is closed with 1012. It is done when all are closed, or ctx ends.
func (g *Gateway) Drain(ctx context.Context, window time.Duration) {
	g.draining.Store(true)
	sessions := g.sessions.all()
	notified := g.eachOver(ctx, sessions, window/2, func(s *session) {
		s.Write(s.encode(chat.NoticeFrame{
			Type: chat.EventNotice, Code: chat.NoticeDraining, Timestamp: chat.TimeOf(g.Now()),
			ReconnectAfterMS: int64(rand.Float64() * float64(window.Milliseconds())),
		}))
	})
	// Those who did not go by themselves.
	closed := g.eachOver(ctx, g.sessions.all(), window/2, func(s *session) {
		s.close(chat.CloseRestart, "the server restarts")
	})
	g.Log.Info("drained", "told", notified, "closed", closed)
}

// eachOver calls f for each session, spread evenly over window in ten slices.
func (g *Gateway) eachOver(ctx context.Context, sessions []*session, window time.Duration, f func(*session)) int {
	const slices = 10
	wait := time.NewTimer(0)
	defer wait.Stop()
	<-wait.C
	for i := range slices {
		from, to := len(sessions)*i/slices, len(sessions)*(i+1)/slices
		if from == to {
			continue
		}
		for _, s := range sessions[from:to] {
			f(s)
		}
		if to == len(sessions) {
			break
		}
		wait.Reset(window / slices)
		select {
		case <-wait.C:
		case <-ctx.Done():
			window = 0
		}
	}
	return len(sessions)
}

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

// entries counts what is under way, and lets nothing more in once it is closed: a
// WaitGroup alone must not grow while somebody waits for it.
type entries struct {
	mu     sync.Mutex // guards what follows
	closed bool
	inside sync.WaitGroup
}

func (e *entries) enter() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.inside.Add(1)
	}
	return !e.closed
}

func (e *entries) leave() { e.inside.Done() }

// close waits for those inside. They end by themselves, within openTimeout.
func (e *entries) close() {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.inside.Wait()
}
