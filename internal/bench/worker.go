package bench

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chowk-chat/chowk/internal/async"
)

// worker has a share of a run's sockets and carries out phases with them.
type worker struct {
	plan     Plan
	tell     func(Tick)
	sockets  []*socket
	counters counters
	arrived  atomic.Int64   // messages, since the start
	reading  sync.WaitGroup // one for each connection

	mu            sync.Mutex // guards what follows
	phase         string
	since         time.Time
	reconnectLoop []*socket
}

// newWorker makes a worker that has opened nothing yet; tell is called with every
// tick, one after the other.
func newWorker(p Plan, tell func(Tick)) *worker {
	w := &worker{plan: p, tell: tell, since: time.Now()}
	for i := p.First; i < p.First+p.Count; i++ {
		s := &socket{w: w, i: i}
		if c := p.channel(i); c < len(p.Channels) {
			s.channel = p.Channels[c]
			s.channelText = []byte(s.channel.String())
		}
		w.sockets = append(w.sockets, s)
	}
	return w
}

// do carries out the nth phase of the scenario, until it is done, its time is up or
// ctx ends.
func (w *worker) do(ctx context.Context, n int) error {
	ph := scenarios[w.plan.Scenario].phases[n]
	ctx, cancel := context.WithTimeout(ctx, ph.limit(&w.plan))
	defer cancel()
	w.flush(ph.name)
	var ticking sync.WaitGroup
	ticks, stop := context.WithCancel(context.Background())
	ticking.Go(func() { w.tick(ticks) }) // ends with the phase
	ph.run(w, ctx)
	stop()
	ticking.Wait()
	w.flush(ph.name) // what comes before the next phase belongs to this one
	return nil
}

// tick tells what happens, slot by slot of the run's time, until ctx ends.
func (w *worker) tick(ctx context.Context) {
	for {
		next := w.plan.Start.Add(time.Since(w.plan.Start).Truncate(w.plan.Every) + w.plan.Every)
		if !async.Sleep(ctx, time.Until(next)) {
			return
		}
		w.mu.Lock()
		phase := w.phase
		w.mu.Unlock()
		w.flush(phase)
	}
}

// flush tells what has happened up to now, and what phase follows.
func (w *worker) flush(next string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	t := w.take(now)
	t.Seconds = now.Sub(w.since).Seconds()
	for _, s := range w.sockets {
		if s.open() {
			t.Open++
		}
		if s.usable(now) {
			t.Usable++
		}
	}
	w.phase, w.since = next, now
	w.tell(t)
}

// take gives what was noted since the last time; w.mu is held.
func (w *worker) take(now time.Time) Tick {
	t := w.counters.take()
	t.First, t.Phase = w.plan.First, w.phase
	t.Slot = int((now.Sub(w.plan.Start) - time.Millisecond) / w.plan.Every)
	return t
}

// close ends every connection and waits for their readers. What it leaves
// unanswered belongs to the last phase.
func (w *worker) close() error {
	w.mu.Lock()
	all := append(append([]*socket{}, w.sockets...), w.reconnectLoop...)
	w.mu.Unlock()
	for _, s := range all {
		if l := s.link.Load(); l != nil {
			forget(l.conn)
			l.close()
		}
	}
	w.reading.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.take(w.since)
	t.After = true
	w.tell(t)
	return nil
}

// each runs f for every socket that which accepts, all at once, and waits for all.
func (w *worker) each(which func(*socket) bool, f func(*socket)) {
	var all sync.WaitGroup
	for _, s := range w.sockets {
		if which(s) {
			all.Go(func() { f(s) }) // ends when f does: f has a context
		}
	}
	all.Wait()
}

func everySocket(*socket) bool { return true }

func (s *socket) steady() bool {
	_, ok := s.w.plan.sends(s.i)
	return ok
}

func (s *socket) tired() bool { return s.w.plan.isSlow(s.i) }

// openAll opens the sockets at the plan's rate.
func (w *worker) openAll(ctx context.Context) {
	start := time.Now()
	first := w.plan.First
	w.each(everySocket, func(s *socket) {
		share := w.plan.ConnectRate * float64(w.plan.Count) / float64(w.plan.Sockets)
		due := start.Add(time.Duration(float64(s.i-first) / share * float64(time.Second)))
		if async.Sleep(ctx, time.Until(due)) {
			s.connect(ctx, due, opening)
		}
	})
}

// talkAll lets the senders send until ctx ends.
func (w *worker) talkAll(ctx context.Context) {
	start := time.Now()
	w.each((*socket).steady, func(s *socket) { s.talk(ctx, start) })
}

// talk sends at the plan's rate, or as fast as it is answered. What is due at a
// time counts from then, however late it can be written.
func (s *socket) talk(ctx context.Context, start time.Time) {
	p := &s.w.plan
	if p.Rate == 0 {
		s.hurry(ctx)
		return
	}
	gap := time.Duration(float64(p.senders()) / p.Rate * float64(time.Second))
	nth, _ := p.sends(s.i)
	due := start.Add(time.Duration(float64(nth) / p.Rate * float64(time.Second)))
	for async.Sleep(ctx, time.Until(due)) {
		if !s.ask(ctx, s.next(), due) && !s.back(ctx) {
			return
		}
		if p.Scenario == mixed {
			due = due.Add(time.Duration(rand.ExpFloat64() * float64(gap)))
		} else {
			due = due.Add(gap)
		}
	}
}

// hurry sends whenever one of the allowed number of questions is answered.
func (s *socket) hurry(ctx context.Context) {
	for ctx.Err() == nil {
		if wait := time.Until(time.Unix(0, s.wait.Load())); wait > 0 && !async.Sleep(ctx, wait) {
			return
		}
		if !s.ask(ctx, s.next(), time.Time{}) && !s.back(ctx) {
			return
		}
	}
}

// back opens the socket of a sender again, if it has ended; false when ctx ends
// first.
func (s *socket) back(ctx context.Context) bool {
	if s.open() { // let in no more, or never: the server's last word is not said
		return async.Sleep(ctx, 10*time.Millisecond)
	}
	return s.connect(ctx, time.Now(), comeback)
}

// next is what a sender sends: messages, and in the mixed load what people's
// clients send between them.
func (s *socket) next() event {
	if s.w.plan.Scenario != mixed {
		return aMessage
	}
	switch n := rand.IntN(10); {
	case n < 3:
		return aTyping
	case n < 5 && !s.w.plan.Old:
		return aReceipt
	}
	return aMessage
}

const quiet = 500 * time.Millisecond

// settle waits until nothing arrives any more.
func (w *worker) settle(ctx context.Context) {
	for last := int64(-1); ; {
		n := w.arrived.Load()
		if n == last || !async.Sleep(ctx, quiet) {
			return
		}
		last = n
	}
}
