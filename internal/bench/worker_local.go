package bench

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chowk-chat/chowk/internal/async"
)

// localWorker is a worker in this process.
type localWorker struct {
	plan     Plan
	emit     func(Tick)
	sockets  []*socket
	counters counters
	arrived  atomic.Int64   // messages, since the start
	reading  sync.WaitGroup // one for each connection

	mu            sync.Mutex // guards what follows
	phase         string
	since         time.Time
	reconnectLoop []*socket
}

// newLocalWorker returns a worker without connections; emit is called with every tick,
// one at a time.
func newLocalWorker(p Plan, emit func(Tick)) *localWorker {
	w := &localWorker{plan: p, emit: emit, since: time.Now()}
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

// do executes the nth phase of the scenario, until it is done, its time is over or ctx
// ends.
func (w *localWorker) do(ctx context.Context, n int) error {
	ph := scenarios[w.plan.Scenario].phases[n]
	ctx, cancel := context.WithTimeout(ctx, ph.limit(&w.plan))
	defer cancel()
	w.flush(ph.name)
	var ticking sync.WaitGroup
	ticks, stop := context.WithCancel(context.Background())
	ticking.Go(func() { w.reportTicks(ticks) }) // ends with the phase
	ph.run(w, ctx)
	stop()
	ticking.Wait()
	w.flush(ph.name) // what happens before the next phase belongs to this one
	return nil
}

// reportTicks reports what happens, slot by slot, until ctx ends.
func (w *localWorker) reportTicks(ctx context.Context) {
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

// flush reports what has happened so far, and sets the phase that follows.
func (w *localWorker) flush(next string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	t := w.collect(now)
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
	w.emit(t)
}

// collect returns what was counted since the last time. Called with mu held.
func (w *localWorker) collect(now time.Time) Tick {
	t := w.counters.drain()
	t.First, t.Phase = w.plan.First, w.phase
	t.Slot = int((now.Sub(w.plan.Start) - time.Millisecond) / w.plan.Every)
	return t
}

// close closes every connection and waits for the readers. Requests that are then
// pending belong to the last phase.
func (w *localWorker) close() error {
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
	t := w.collect(w.since)
	t.After = true
	w.emit(t)
	return nil
}

// each calls f for every socket that which accepts, all at once, and waits.
func (w *localWorker) each(which func(*socket) bool, f func(*socket)) {
	var all sync.WaitGroup
	for _, s := range w.sockets {
		if which(s) {
			all.Go(func() { f(s) }) // ends when f does: f has a context
		}
	}
	all.Wait()
}

func everySocket(*socket) bool { return true }

func (s *socket) isSender() bool {
	_, ok := s.w.plan.sends(s.i)
	return ok
}

func (s *socket) stalls() bool { return s.w.plan.isSlow(s.i) }

// openAll opens the sockets at the plan's rate.
func (w *localWorker) openAll(ctx context.Context) {
	start := time.Now()
	first := w.plan.First
	w.each(everySocket, func(s *socket) {
		share := w.plan.ConnectRate * float64(w.plan.Count) / float64(w.plan.Sockets)
		due := start.Add(time.Duration(float64(s.i-first) / share * float64(time.Second)))
		if async.Sleep(ctx, time.Until(due)) {
			s.connect(ctx, due, connecting)
		}
	})
}

// sendAll lets the senders send until ctx ends.
func (w *localWorker) sendAll(ctx context.Context) {
	start := time.Now()
	w.each((*socket).isSender, func(s *socket) { s.sendLoop(ctx, start) })
}

// sendLoop sends at the plan's rate, or as fast as answers arrive. A command that is
// due at a time counts from then, however late it is written.
func (s *socket) sendLoop(ctx context.Context, start time.Time) {
	p := &s.w.plan
	if p.Rate == 0 {
		s.sendUnpaced(ctx)
		return
	}
	gap := time.Duration(float64(p.senders()) / p.Rate * float64(time.Second))
	nth, _ := p.sends(s.i)
	due := start.Add(time.Duration(float64(nth) / p.Rate * float64(time.Second)))
	for async.Sleep(ctx, time.Until(due)) {
		if !s.send(ctx, s.next(), due) && !s.reconnect(ctx) {
			return
		}
		if p.Scenario == mixed {
			due = due.Add(time.Duration(rand.ExpFloat64() * float64(gap)))
		} else {
			due = due.Add(gap)
		}
	}
}

// sendUnpaced sends whenever a pending request is answered.
func (s *socket) sendUnpaced(ctx context.Context) {
	for ctx.Err() == nil {
		if wait := time.Until(time.Unix(0, s.wait.Load())); wait > 0 && !async.Sleep(ctx, wait) {
			return
		}
		if !s.send(ctx, s.next(), time.Time{}) && !s.reconnect(ctx) {
			return
		}
	}
}

// reconnect opens a sender's socket again if it has closed. It returns false when ctx
// ends first.
func (s *socket) reconnect(ctx context.Context) bool {
	if s.open() { // refused, or not accepted yet: the server has not closed it
		return async.Sleep(ctx, 10*time.Millisecond)
	}
	return s.connect(ctx, time.Now(), reconnecting)
}

// next returns what a sender sends: messages, and in the mixed load what clients send
// in between.
func (s *socket) next() command {
	if s.w.plan.Scenario != mixed {
		return cmdMessage
	}
	switch n := rand.IntN(10); {
	case n < 3:
		return cmdTyping
	case n < 5 && !s.w.plan.Old:
		return cmdReceipt
	}
	return cmdMessage
}

const quiet = 500 * time.Millisecond

// settle waits until no more messages arrive.
func (w *localWorker) settle(ctx context.Context) {
	for last := int64(-1); ; {
		n := w.arrived.Load()
		if n == last || !async.Sleep(ctx, quiet) {
			return
		}
		last = n
	}
}
