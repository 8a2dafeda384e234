package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database/databasetest"
	"github.com/chowk-chat/chowk/internal/journal"
	"github.com/chowk-chat/chowk/internal/state"
	"github.com/chowk-chat/chowk/internal/store"
)

// workload sends messages whatever happens to the database, and records what senders and
// listeners were told.
type workload struct {
	t        *testing.T
	world    *world
	journal  *journal.Journal
	channels []chat.ID
	stop     context.CancelFunc
	senders  sync.WaitGroup
	acks     atomic.Int64
	refusals atomic.Int64
	unknowns atomic.Int64 // replies that left the outcome open

	mu        sync.Mutex // guards what follows
	acked     map[chat.ID]chat.Seq
	refused   map[chat.ID]bool // refused once and not sent again
	published map[position]chat.ID
	broken    []string // broken guarantees
}

// position is a place in a channel's log.
type position struct {
	channel chat.ID
	seq     chat.Seq
}

const (
	workloadChannels = 8
	workloadSenders  = 24
)

// Publish is the journal's.
func (l *workload) Publish(entries []chat.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range entries {
		if e.Message == nil {
			continue
		}
		at := position{e.ChannelID, e.Seq}
		if before, twice := l.published[at]; twice && before != e.Message.ID {
			l.broken = append(l.broken, fmt.Sprintf("seq %d of %s was published as %s and as %s",
				e.Seq, e.ChannelID, before, e.Message.ID))
		}
		l.published[at] = e.Message.ID
	}
}

// MarkUncertain is the journal's. The log is read in the end.
func (*workload) MarkUncertain([]chat.ID) {}

// startWorkload creates channels and begins to send.
func startWorkload(t *testing.T, w *world) *workload {
	t.Helper()
	l := &workload{
		t: t, world: w,
		acked: map[chat.ID]chat.Seq{}, refused: map[chat.ID]bool{}, published: map[position]chat.ID{},
	}
	for range workloadChannels {
		l.channels = append(l.channels, newChannel(t, w.Store))
	}
	l.journal = journal.Start(journal.Config{Store: w, Publisher: l})
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	for i := range workloadSenders {
		l.senders.Go(func() { l.sender(ctx, i) }) // ends with ctx
	}
	t.Cleanup(l.end)
	return l
}

// sender sends one message after the other. Every fourth message is not sent again when it
// is refused. All others are sent until they are acknowledged, even after ctx has ended.
func (l *workload) sender(ctx context.Context, number int) {
	deadline := time.Now().Add(10 * databasetest.Patience)
	for i := 0; ctx.Err() == nil; i++ {
		c := sending(l.channels[(number+i)%len(l.channels)], "hello")
		for attempt := 0; ; attempt++ {
			out, err := l.commit(c)
			if l.settled(&c, out, err, attempt == 0 && i%4 == 3) {
				break
			}
			if time.Now().After(deadline) {
				l.t.Errorf("a message was not acknowledged: %v", err)
				return
			}
			time.Sleep(min(chat.AsError(err).RetryAfter, 20*time.Millisecond))
		}
		time.Sleep(4 * time.Millisecond)
	}
}

func (l *workload) commit(c state.Change) (state.Outcome, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := l.journal.Commit(ctx, c)
	if err == nil {
		err = out.Err
	}
	return out, err
}

// settled records a reply, and reports whether the message is done.
func (l *workload) settled(c *state.Change, out state.Outcome, err error, onlyOnce bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		if out.Message == nil || out.Message.ID != c.ID || out.Message.Seq == 0 {
			l.broken = append(l.broken, fmt.Sprintf("%s was acknowledged with %+v", c.ID, out.Message))
			return true
		}
		l.acks.Add(1)
		l.acked[c.ID] = out.Message.Seq
		return true
	case errors.Is(err, chat.ErrOutcomeUnknown):
		l.unknowns.Add(1)
	case code(err) == chat.Overloaded, code(err) == chat.Unavailable:
		l.refusals.Add(1)
		if onlyOnce {
			l.refused[c.ID] = true
			return true
		}
	default:
		l.broken = append(l.broken, fmt.Sprintf("%s: %v", c.ID, err))
		return true
	}
	return false
}

// end stops the senders and waits until every message is done.
func (l *workload) end() {
	l.stop()
	l.senders.Wait()
	if err := l.journal.Close(context.Background()); err != nil {
		l.t.Errorf("close the journal: %v", err)
	}
}

// check compares what was reported with what another connection finds stored.
func (l *workload) check(url string) {
	l.t.Helper()
	stored := l.readStored(url)
	for id, seq := range l.acked {
		if stored[id] != seq {
			l.t.Errorf("%s was acknowledged as %d and is stored as %d", id, seq, stored[id])
		}
	}
	for id := range l.refused {
		if stored[id] != 0 {
			l.t.Errorf("%s was refused and is stored as %d", id, stored[id])
		}
	}
	for _, b := range l.broken {
		l.t.Error(b)
	}
	if len(l.acked)+len(l.refused) == 0 || len(stored) != len(l.acked) {
		l.t.Errorf("%d messages are stored and %d were acknowledged, want as many", len(stored), len(l.acked))
	}
	l.t.Logf("%d acknowledged, %d refused, %d with an unknown outcome",
		len(l.acked), l.refusals.Load(), l.unknowns.Load())
}

// readStored returns the seqs of all messages, and checks that the logs have no gaps and were
// published as they are.
func (l *workload) readStored(url string) map[chat.ID]chat.Seq {
	l.t.Helper()
	second, err := store.Open(context.Background(), store.Options{
		URL: url, Pool: store.Pool{Size: 2, Overflow: -1}, SharedOpen: true,
	})
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = second.Close() }()
	stored := make(map[chat.ID]chat.Seq)
	for _, channel := range l.channels {
		log := logOf(l.t, second, channel)
		for i, e := range log {
			if e.Seq != chat.Seq(i+1) {
				l.t.Fatalf("entry %d of the log has seq %d", i+1, e.Seq)
			}
			if e.Message == nil {
				continue
			}
			if stored[e.Message.ID] != 0 {
				l.t.Errorf("%s is stored twice", e.Message.ID)
			}
			stored[e.Message.ID] = e.Seq
			if id := l.published[position{e.ChannelID, e.Seq}]; id != e.Message.ID {
				l.t.Errorf("seq %d is %s and was published as %s", e.Seq, e.Message.ID, id)
			}
		}
		heads, err := second.Heads(context.Background(), []chat.ID{channel})
		if err != nil || int(heads[channel]) != len(log) {
			l.t.Errorf("the head is %d (%v), want %d", heads[channel], err, len(log))
		}
	}
	return stored
}

func logOf(t *testing.T, s *store.Store, channel chat.ID) (all []chat.Entry) {
	t.Helper()
	for {
		log, err := s.Log(context.Background(), channel, chat.Seq(len(all)), 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(log) == 0 {
			return all
		}
		all = append(all, log...)
	}
}
