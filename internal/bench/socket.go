package bench

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/async"
	"github.com/chowk-chat/chowk/internal/frame"
)

// socket is one of the run's sockets; over time it may have several connections.
type socket struct {
	w *localWorker
	i int // its number in the run
	// channel is the socket's; zero for none.
	channel       chat.ID
	channelText   []byte
	reconnectLoop bool // of a page in a reconnect loop: only its opening is counted
	link          atomic.Pointer[link]
	slow          atomic.Bool  // it has stopped reading at least once
	wait          atomic.Int64 // the server asked not to send before, in Unix nanoseconds

	// Owned by the goroutine that opens it, and then by the reader of its connection.
	epoch string
	// last is the seq up to which it has received its channel.
	last atomic.Int64
}

// A socket that was not accepted tries again after pauses that double, or when the
// server said.
const (
	minPause = 100 * time.Millisecond
	maxPause = 10 * time.Second
)

// usableTimeout is how long a request may be pending before its socket no longer counts
// as usable.
const usableTimeout = time.Second

func (s *socket) open() bool { return s.link.Load() != nil }

func (s *socket) usable(now time.Time) bool {
	l := s.link.Load()
	if l == nil {
		return false
	}
	if !l.isReady() || l.paused.Load() != nil {
		return false
	}
	oldest := l.oldest.Load()
	return oldest == 0 || now.UnixNano()-oldest < int64(usableTimeout)
}

// connect opens a connection that was due at a time, and tries again until it is
// accepted or ctx ends.
func (s *socket) connect(ctx context.Context, due time.Time, c clock) bool {
	for failures := 0; ; failures++ {
		err := s.try(ctx)
		if err == nil {
			s.w.counters.note(c, s.i, time.Since(due))
			s.w.counters.count(opened, 1)
			return true
		}
		if hasEnded(ctx) {
			return false
		}
		pause := min(minPause<<min(failures, 10), maxPause)
		var no *errRefused
		if errors.As(err, &no) {
			s.w.counters.count(refused, 1)
			s.w.counters.code("http " + strconv.Itoa(no.status))
			pause = max(pause, no.after)
		} else {
			s.w.counters.count(failed, 1)
		}
		if s.reconnectLoop || !async.Sleep(ctx, pause+rand.N(pause/2)) {
			return false
		}
	}
}

var errGone = errors.New("the connection ended before the server accepted the socket")

func (s *socket) try(ctx context.Context) error {
	nc, rest, err := s.w.plan.handshake(ctx, s.i, s.resume())
	if err != nil {
		return err
	}
	l := newLink(nc, s.w.plan.InFlight)
	s.link.Store(l)
	s.w.reading.Go(func() { // ends when the connection does
		why := l.read(rest, func(n int, m frame.Message) { s.handle(l, n, m) })
		s.disconnected(l, why)
	})
	select {
	case <-l.ready:
		return nil
	case <-l.gone:
		return errGone
	case <-ctx.Done():
		return ctx.Err()
	}
}

// resume returns the point from which the socket resumes, for a handshake.
func (s *socket) resume() string {
	if s.epoch == "" || s.channel == (chat.ID{}) {
		return ""
	}
	return chat.FormatCursors(s.epoch, map[chat.ID]chat.Seq{s.channel: s.last.Load()})
}

// disconnected counts the end of a connection.
func (s *socket) disconnected(l *link, why string) {
	s.link.CompareAndSwap(l, nil)
	if why != "" && !s.reconnectLoop {
		s.w.counters.count(ended, 1)
		s.w.counters.code(why)
	}
	s.w.counters.count(unanswered, int64(l.dropPending()))
	close(l.gone)
}

// handle handles a message from the server.
func (s *socket) handle(l *link, n int, m frame.Message) {
	t := &s.w.counters
	t.count(received, int64(n))
	h := parseFrame(m.Payload)
	switch h.kind {
	case "connection":
		s.connected(l, h)
	case "ack", "pong":
		s.answer(l, h)
	case "error":
		if h.event == "resume" {
			t.code("resume: " + h.refusal)
			return
		}
		s.answer(l, h)
	case "message":
		if h.due.IsZero() {
			break
		}
		t.count(delivered, 1)
		s.w.arrived.Add(1)
		c := delivery
		if s.slow.Load() {
			c = late
		}
		t.note(c, s.i, time.Since(h.due))
	}
	if h.seq > 0 && bytes.Contains(m.Payload, s.channelText) {
		s.follow(h.seq)
	}
}

func (s *socket) connected(l *link, h serverFrame) {
	if h.epoch != s.epoch {
		s.epoch = h.epoch
		s.last.Store(0)
		for _, c := range h.channels {
			if c.ID == s.channel {
				s.last.Store(c.LastSeq)
			}
		}
	}
	if s.w.plan.Old && !s.reconnectLoop && s.channel != (chat.ID{}) {
		b := append([]byte(`{"type":"join_channel","data":{"channel_id":"`), s.channelText...)
		l.send(request{time.Now(), cmdJoin}, frame.AppendMasked(nil, frame.OpText, append(b, `"}}`...), newKey()))
		return
	}
	close(l.ready)
}

// follow checks that a channel's entries arrive in order, each once.
func (s *socket) follow(seq chat.Seq) {
	last := s.last.Load()
	switch {
	case last == 0:
		return
	case seq <= last:
		s.w.counters.count(repeats, 1)
		return
	case seq > last+1:
		s.w.counters.count(gaps, seq-last-1)
	}
	s.last.Store(seq)
}

func (s *socket) answer(l *link, h serverFrame) {
	q, ok := l.nextPending()
	if !ok {
		return
	}
	if q.what == cmdJoin {
		close(l.ready)
		return
	}
	t := &s.w.counters
	t.note(ack, s.i, time.Since(q.due))
	if h.refusal == "" {
		t.count(acked, 1)
		if q.what == cmdMessage {
			t.count(stored, 1)
		}
	} else {
		t.count(denied, 1)
		t.code(h.refusal)
		s.wait.Store(time.Now().Add(h.after).UnixNano())
	}
	<-l.slots
}

// send sends a command that was due at a time, as soon as the number of pending
// requests allows it. It reports whether it did.
func (s *socket) send(ctx context.Context, what command, due time.Time) bool {
	l := s.link.Load()
	if l == nil || !l.isReady() {
		return false
	}
	select {
	case l.slots <- struct{}{}:
	case <-l.gone:
		return false
	case <-ctx.Done():
		return false
	}
	if due.IsZero() { // as fast as answers arrive
		due = time.Now()
	}
	s.w.counters.count(sent, 1)
	l.send(request{due, what}, frame.AppendMasked(nil, frame.OpText, s.command(what, due), newKey()))
	return true
}

func (s *socket) command(what command, due time.Time) []byte {
	b := make([]byte, 0, 256+s.w.plan.Size)
	switch what {
	case cmdTyping:
		b = append(b, `{"type":"typing","data":{"is_typing":true,"channel_id":"`...)
	case cmdReceipt:
		b = append(b, `{"type":"read_receipt","data":{"seq":`...)
		b = strconv.AppendInt(b, max(s.last.Load(), 1), 10)
		b = append(b, `,"channel_id":"`...)
	default:
		b = append(b, `{"type":"new_message","data":{"content":"`...)
		b = appendContent(b, due, s.w.plan.Size)
		if !s.w.plan.Old {
			b = append(b, `","client_id":"`...)
			b = append(b, uuid.Must(uuid.NewV7()).String()...)
		}
		b = append(b, `","channel_id":"`...)
	}
	b = append(b, s.channelText...)
	return append(b, `"}}`...)
}

// hasEnded reports whether a context has ended, or is about to: network deadlines,
// which derive from it, are a little earlier.
func hasEnded(ctx context.Context) bool {
	at, bounded := ctx.Deadline()
	return ctx.Err() != nil || bounded && !time.Now().Before(at)
}
