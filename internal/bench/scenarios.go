package bench

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/chowk-chat/chowk/internal/async"
)

// scenario is a kind of run.
type scenario struct {
	what          string // one line for the report
	needsChannels bool   // it needs channels and senders
	// expectsAll means that every message has to arrive at every socket of its channel.
	expectsAll bool
	phases     []phase
}

// phase is a part of a run that all workers begin together.
type phase struct {
	name  string
	limit func(*Plan) time.Duration // the latest end
	run   func(*localWorker, context.Context)
}

// The names of the scenarios.
const (
	idle     = "idle"
	storm    = "storm"
	fanout   = "fanout"
	send     = "send"
	mixed    = "mixed"
	slow     = "slow-readers"
	tabs     = "tabs"
	incident = "incident"
)

var scenarios = map[string]scenario{
	idle: {
		what:   "sockets that are open and idle",
		phases: []phase{openPhase, {"hold", all, (*localWorker).hold}},
	},
	storm: {
		what: "all sockets except the senders' are disconnected at once and come back", needsChannels: true,
		expectsAll: false,
		phases: []phase{
			openPhase,
			{"calm", third, (*localWorker).sendUntilEnd},
			{"storm", stormLimit, (*localWorker).storm},
			settlePhase,
		},
	},
	fanout: {
		what: "few senders, and every message goes to many sockets", needsChannels: true, expectsAll: true,
		phases: []phase{openPhase, {"load", all, (*localWorker).sendUntilEnd}, settlePhase},
	},
	send: {
		what: "many senders in small channels", needsChannels: true, expectsAll: true,
		phases: []phase{openPhase, {"load", all, (*localWorker).sendUntilEnd}, settlePhase},
	},
	mixed: {
		what: "messages, typing and receipts at random times, as people send them", needsChannels: true, expectsAll: true,
		phases: []phase{openPhase, {"load", all, (*localWorker).sendUntilEnd}, settlePhase},
	},
	slow: {
		what: "some sockets stop reading for a third of the time", needsChannels: true, expectsAll: true,
		phases: []phase{
			openPhase,
			{"before", third, (*localWorker).sendUntilEnd},
			{"stalled", third, (*localWorker).stall},
			{"after", third, (*localWorker).recover},
			settlePhase,
		},
	},
	tabs: {
		what: "one user's page keeps opening sockets while others send", needsChannels: true, expectsAll: true,
		phases: []phase{
			openPhase,
			{"calm", half, (*localWorker).sendUntilEnd},
			{"tabs", half, (*localWorker).runReconnectLoop},
			settlePhase,
		},
	},
	incident: {
		what: "one member of a busy channel stops reading halfway", needsChannels: true, expectsAll: false,
		phases: []phase{{"incident", all, (*localWorker).incident}, settlePhase},
	},
}

var (
	openPhase   = phase{"open", openLimit, (*localWorker).openAll}
	settlePhase = phase{"settle", func(*Plan) time.Duration { return settleLimit }, (*localWorker).settle}
)

// Bounds of phases that end when they are done.
const (
	openSlack   = 30 * time.Second
	settleLimit = 30 * time.Second
)

func all(p *Plan) time.Duration   { return p.Duration }
func half(p *Plan) time.Duration  { return p.Duration / 2 }
func third(p *Plan) time.Duration { return p.Duration / 3 }

func openLimit(p *Plan) time.Duration {
	return time.Duration(float64(p.Sockets)/p.ConnectRate*float64(time.Second)) + openSlack
}

func stormLimit(p *Plan) time.Duration { return p.Over + p.Duration + openSlack }

func (*localWorker) hold(ctx context.Context) { <-ctx.Done() }

// sendUntilEnd lets the senders send until the phase ends.
func (w *localWorker) sendUntilEnd(ctx context.Context) {
	w.sendAll(ctx)
	<-ctx.Done() // workers without senders wait for the others
}

// storm disconnects all sockets except the senders' and waits until all are back.
func (w *localWorker) storm(ctx context.Context) {
	sending, stopSending := context.WithCancel(ctx)
	var sends sync.WaitGroup
	sends.Go(func() { w.sendAll(sending) }) // ends when all are back
	receivers := func(s *socket) bool { return !s.isSender() && s.open() }
	var back []*socket
	for _, s := range w.sockets {
		if receivers(s) {
			back = append(back, s)
		}
	}
	cut := time.Now()
	var coming sync.WaitGroup
	for _, s := range back {
		l := s.link.Load()
		if l != nil {
			l.close()
		}
		coming.Go(func() { // ends when the socket is back, or with the phase
			if l != nil {
				<-l.gone // its cursor no longer moves
			}
			due := cut
			if w.plan.Over > 0 {
				due = cut.Add(rand.N(w.plan.Over))
			}
			if async.Sleep(ctx, time.Until(due)) {
				s.connect(ctx, due, reconnecting)
			}
		})
	}
	coming.Wait()
	stopSending()
	sends.Wait()
}

// stall makes the slow sockets stop reading while the senders go on.
func (w *localWorker) stall(ctx context.Context) {
	w.each((*socket).stalls, func(s *socket) {
		s.slow.Store(true)
		if l := s.link.Load(); l != nil {
			l.pause()
		}
	})
	w.sendUntilEnd(ctx)
}

// recover lets the slow sockets read again while the senders go on.
func (w *localWorker) recover(ctx context.Context) {
	w.each((*socket).stalls, func(s *socket) {
		if l := s.link.Load(); l != nil {
			l.unpause()
		}
	})
	w.sendUntilEnd(ctx)
}

// runReconnectLoop does what a real page did whose effect depended on its own state: it
// opened a socket on every render and lost track of some of them.
func (w *localWorker) runReconnectLoop(ctx context.Context) {
	var page sync.WaitGroup
	if w.plan.First == 0 && w.plan.OpenRate > 0 {
		page.Go(func() { w.page(ctx) }) // ends with the phase
	}
	w.sendUntilEnd(ctx)
	page.Wait()
}

// maxLoopSockets bounds the sockets that a page has open at once.
const maxLoopSockets = 5000

func (w *localWorker) page(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	gap := time.Duration(float64(time.Second) / w.plan.OpenRate)
	for n, due := 0, time.Now(); async.Sleep(ctx, time.Until(due)); n, due = n+1, due.Add(gap) {
		leaks := float64(n+1)*w.plan.Leak/w.plan.OpenRate >= float64(int(float64(n)*w.plan.Leak/w.plan.OpenRate)+1)
		s := &socket{w: w, i: w.plan.Sockets, reconnectLoop: true, channelText: []byte("none")}
		w.mu.Lock()
		full := len(w.reconnectLoop) >= maxLoopSockets
		if leaks && !full {
			w.reconnectLoop = append(w.reconnectLoop, s)
		}
		w.mu.Unlock()
		all.Go(func() { // ends when the socket is open or refused
			if l := s.once(ctx); l != nil && !leaks {
				l.close()
			}
		})
	}
}

// once tries to open a socket of the page.
func (s *socket) once(ctx context.Context) *link {
	s.connect(ctx, time.Now(), connecting)
	return s.link.Load()
}

// incident combines opening, sending and one member that stops reading: sockets that
// are open send, while others may still wait for the server to accept them.
func (w *localWorker) incident(ctx context.Context) {
	start := time.Now()
	var silence sync.WaitGroup
	silence.Go(func() { // ends halfway, or with the phase
		if !async.Sleep(ctx, time.Until(start.Add(w.plan.Duration/2))) {
			return
		}
		for _, s := range w.sockets {
			if l := s.link.Load(); l != nil && s.stalls() {
				s.slow.Store(true)
				l.pause()
			}
		}
	})
	w.each(everySocket, func(s *socket) {
		// The sockets that stop reading come first, so that every server accepts them.
		place := (s.i + w.plan.Slow) % w.plan.Sockets
		due := start.Add(time.Duration(float64(place) / w.plan.ConnectRate * float64(time.Second)))
		if async.Sleep(ctx, time.Until(due)) && s.connect(ctx, due, connecting) && s.isSender() {
			s.sendLoop(ctx, due)
		}
	})
	silence.Wait()
	<-ctx.Done()
}
