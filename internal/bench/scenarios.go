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
	what  string // one line for people
	talks bool   // it needs channels and senders
	// whole: every message is expected at every socket of its channel.
	whole  bool
	phases []phase
}

// phase is a part of a run that all workers begin together.
type phase struct {
	name  string
	limit func(*Plan) time.Duration // when it ends at the latest
	run   func(*worker, context.Context)
}

// The scenarios' names.
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
		what:   "sockets that are open and say nothing",
		phases: []phase{openPhase, {"hold", all, (*worker).hold}},
	},
	storm: {
		what: "every socket but the senders' is cut off at once and comes back", talks: true, whole: false,
		phases: []phase{openPhase, {"calm", third, (*worker).talkFor}, {"storm", stormLimit, (*worker).storm}, settlePhase},
	},
	fanout: {
		what: "few senders, and every message goes to many sockets", talks: true, whole: true,
		phases: []phase{openPhase, {"load", all, (*worker).talkFor}, settlePhase},
	},
	send: {
		what: "many senders in small channels", talks: true, whole: true,
		phases: []phase{openPhase, {"load", all, (*worker).talkFor}, settlePhase},
	},
	mixed: {
		what: "messages, typing and receipts at random times, as people send them", talks: true, whole: true,
		phases: []phase{openPhase, {"load", all, (*worker).talkFor}, settlePhase},
	},
	slow: {
		what: "some sockets stop reading for a third of the time", talks: true, whole: true,
		phases: []phase{openPhase, {"before", third, (*worker).talkFor}, {"stalled", third, (*worker).stall}, {"after", third, (*worker).recover}, settlePhase},
	},
	tabs: {
		what: "one user's page opens sockets without end while others talk", talks: true, whole: true,
		phases: []phase{openPhase, {"calm", half, (*worker).talkFor}, {"tabs", half, (*worker).goWild}, settlePhase},
	},
	incident: {
		what: "one member of a busy channel stops reading halfway", talks: true, whole: false,
		phases: []phase{{"incident", all, (*worker).incident}, settlePhase},
	},
}

var (
	openPhase   = phase{"open", openLimit, (*worker).openAll}
	settlePhase = phase{"settle", func(*Plan) time.Duration { return settleLimit }, (*worker).settle}
)

// Bounds on phases that end when they are done.
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

func (*worker) hold(ctx context.Context) { <-ctx.Done() }

// talkFor lets the senders talk until the phase is over.
func (w *worker) talkFor(ctx context.Context) {
	w.talkAll(ctx)
	<-ctx.Done() // workers without senders wait for the others
}

// storm cuts everybody but the senders off and waits until all are back.
func (w *worker) storm(ctx context.Context) {
	talking, quiet := context.WithCancel(ctx)
	var talk sync.WaitGroup
	talk.Go(func() { w.talkAll(talking) }) // ends when all are back
	guests := func(s *socket) bool { return !s.steady() && s.open() }
	var back []*socket
	for _, s := range w.sockets {
		if guests(s) {
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
				<-l.gone // its cursor moves no more
			}
			due := cut
			if w.plan.Over > 0 {
				due = cut.Add(rand.N(w.plan.Over))
			}
			if async.Sleep(ctx, time.Until(due)) {
				s.connect(ctx, due, comeback)
			}
		})
	}
	coming.Wait()
	quiet()
	talk.Wait()
}

// stall makes the tired sockets stop reading while the senders go on.
func (w *worker) stall(ctx context.Context) {
	w.each((*socket).tired, func(s *socket) {
		s.slow.Store(true)
		if l := s.link.Load(); l != nil {
			l.pause()
		}
	})
	w.talkFor(ctx)
}

// recover lets the tired sockets read again while the senders go on.
func (w *worker) recover(ctx context.Context) {
	w.each((*socket).tired, func(s *socket) {
		if l := s.link.Load(); l != nil {
			l.unpause()
		}
	})
	w.talkFor(ctx)
}

// goWild is what one page did whose effect depended on its own state: it opened a
// socket for every render and lost sight of some of them.
func (w *worker) goWild(ctx context.Context) {
	var page sync.WaitGroup
	if w.plan.First == 0 && w.plan.OpenRate > 0 {
		page.Go(func() { w.page(ctx) }) // ends with the phase
	}
	w.talkFor(ctx)
	page.Wait()
}

// maxWild bounds the sockets that a page has open at once.
const maxWild = 5000

func (w *worker) page(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	gap := time.Duration(float64(time.Second) / w.plan.OpenRate)
	for n, due := 0, time.Now(); async.Sleep(ctx, time.Until(due)); n, due = n+1, due.Add(gap) {
		leaks := float64(n+1)*w.plan.Leak/w.plan.OpenRate >= float64(int(float64(n)*w.plan.Leak/w.plan.OpenRate)+1)
		s := &socket{w: w, i: w.plan.Sockets, reconnectLoop: true, channelText: []byte("none")}
		w.mu.Lock()
		full := len(w.reconnectLoop) >= maxWild
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

// once opens a socket of the page, or not.
func (s *socket) once(ctx context.Context) *link {
	s.connect(ctx, time.Now(), opening)
	return s.link.Load()
}

// incident is arrival, talk and one member who stops reading, all in one go: who
// is in talks, while others may still wait for the server to let them in.
func (w *worker) incident(ctx context.Context) {
	start := time.Now()
	var silence sync.WaitGroup
	silence.Go(func() { // ends at half time, or with the phase
		if !async.Sleep(ctx, time.Until(start.Add(w.plan.Duration/2))) {
			return
		}
		for _, s := range w.sockets {
			if l := s.link.Load(); l != nil && s.tired() {
				s.slow.Store(true)
				l.pause()
			}
		}
	})
	w.each(everySocket, func(s *socket) {
		// Those who will stop reading come first, so that every server lets them in.
		place := (s.i + w.plan.Slow) % w.plan.Sockets
		due := start.Add(time.Duration(float64(place) / w.plan.ConnectRate * float64(time.Second)))
		if async.Sleep(ctx, time.Until(due)) && s.connect(ctx, due, opening) && s.steady() {
			s.talk(ctx, due)
		}
	})
	silence.Wait()
	<-ctx.Done()
}
