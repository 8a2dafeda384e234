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
	"github.com/chowk-chat/chowk/internal/journal"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/state"
	"github.com/chowk-chat/chowk/internal/store"
)

// fleet is senders that go on whatever becomes of the database, and all that they
// and the listeners were told.
type fleet struct {
	t        *testing.T
	world    *world
	journal  *journal.Journal
	channels []chat.ID
	stop     context.CancelFunc
	senders  sync.WaitGroup
	acks     atomic.Int64
	refusals atomic.Int64
	unknowns atomic.Int64 // answers that left open what had become of a change

	mu        sync.Mutex // guards what follows
	acked     map[chat.ID]chat.Seq
	refused   map[chat.ID]bool // given up on when nothing had been stored
	published map[place]chat.ID
	broken    []string
}

type place struct {
	channel chat.ID
	seq     chat.Seq
}

const (
	fleetChannels = 8
	fleetSenders  = 24
)

// Publish is the journal's.
func (f *fleet) Publish(events []chat.Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, ev := range events {
		if ev.Message == nil {
			continue
		}
		at := place{ev.ChannelID, ev.Seq}
		if before, told := f.published[at]; told && before != ev.Message.ID {
			f.broken = append(f.broken, fmt.Sprintf("seq %d of %s was told as %s and as %s", ev.Seq, ev.ChannelID, before, ev.Message.ID))
		}
		f.published[at] = ev.Message.ID
	}
}

// MarkUncertain is the journal's: the log is read in the end.
func (*fleet) MarkUncertain([]chat.ID) {}

// launch makes channels and begins to send.
func launch(t *testing.T, w *world) *fleet {
	t.Helper()
	f := &fleet{t: t, world: w, acked: map[chat.ID]chat.Seq{}, refused: map[chat.ID]bool{}, published: map[place]chat.ID{}}
	f.found()
	f.journal = journal.Start(journal.Config{Store: w, Publisher: f})
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	for i := range fleetSenders {
		f.senders.Go(func() { f.sender(ctx, i) })
	}
	t.Cleanup(func() { f.land() })
	return f
}

// found makes a user and channels.
func (f *fleet) found() {
	f.t.Helper()
	ctx := f.t.Context()
	if _, err := f.world.EnsureUser(ctx, chat.User{ID: "ada", Name: "Ada", IsActive: true}); err != nil {
		f.t.Fatal(err)
	}
	for range fleetChannels {
		id := chat.NewID()
		out, err := f.world.Commit(ctx, []state.Change{{
			Kind: state.CreateChannel, ID: id, ChannelID: id, Actor: model.UserActor("ada"), At: chat.TimeOf(time.Now()),
			Channel: &chat.Channel{ID: id, Name: "c", ChannelType: chat.Group, CreatedBy: "ada"}, Members: []state.InitialMember{{UserID: "ada", Role: chat.RoleOwner}},
		}})
		if err != nil || out[0].Err != nil {
			f.t.Fatal(err, out)
		}
		f.channels = append(f.channels, id)
	}
}

// message is one to the n-th channel.
func (f *fleet) message(n int) state.Change {
	c := state.Change{
		Kind: state.SendMessage, ID: chat.NewID(), ChannelID: f.channels[n%len(f.channels)], Actor: model.UserActor("ada"), At: chat.TimeOf(time.Now()),
	}
	c.Message = &chat.Message{ID: c.ID, ChannelID: c.ChannelID, UserID: "ada", Content: "hello", MessageType: chat.Text}
	return c
}

// sender sends one message after the other. Every fourth it does not send again
// when it was refused; all others it sends until they are acknowledged, also when
// the fleet has been told to stop.
func (f *fleet) sender(ctx context.Context, number int) {
	deadline := time.Now().Add(10 * patience)
	for i := 0; ctx.Err() == nil; i++ {
		c := f.message(number + i)
		for attempt := 0; ; attempt++ {
			one, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			out, err := f.journal.Commit(one, c)
			cancel()
			if err == nil {
				err = out.Err
			}
			if f.settled(&c, out, err, attempt, i%4 == 3) {
				break
			}
			if time.Now().After(deadline) {
				f.t.Errorf("a message was not acknowledged: %v", err)
				return
			}
			time.Sleep(min(chat.AsError(err).RetryAfter, 20*time.Millisecond))
		}
		time.Sleep(4 * time.Millisecond)
	}
}

// settled notes what was answered; true when there is nothing more to try.
func (f *fleet) settled(c *state.Change, out state.Outcome, err error, attempt int, once bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err == nil:
		if out.Message == nil || out.Message.ID != c.ID || out.Message.Seq == 0 {
			f.broken = append(f.broken, fmt.Sprintf("%s was answered with %+v", c.ID, out.Message))
			return true
		}
		f.acks.Add(1)
		f.acked[c.ID] = out.Message.Seq
		return true
	case errors.Is(err, chat.ErrOutcomeUnknown):
		f.unknowns.Add(1)
	case code(err) == chat.Overloaded, code(err) == chat.Unavailable:
		f.refusals.Add(1)
		if once && attempt == 0 {
			f.refused[c.ID] = true
			return true
		}
	default:
		f.broken = append(f.broken, fmt.Sprintf("%s: %v", c.ID, err))
		return true
	}
	return false
}

// land stops the senders and waits until every message has met its end.
func (f *fleet) land() {
	f.stop()
	f.senders.Wait()
	if err := f.journal.Close(context.Background()); err != nil {
		f.t.Errorf("close the journal: %v", err)
	}
}

// check compares what was told with what another connection finds stored.
func (f *fleet) check(url string) {
	f.t.Helper()
	stored := make(map[chat.ID]chat.Seq)
	second, err := store.Open(context.Background(), store.Options{URL: url, Pool: store.Pool{Size: 2, Overflow: -1}, SharedOpen: true})
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = second.Close() }()
	for _, channel := range f.channels {
		log := logOf(f.t, second, channel)
		for i, ev := range log {
			if ev.Seq != chat.Seq(i+1) {
				f.t.Fatalf("seq %d is in place %d", ev.Seq, i+1)
			}
			f.stored(stored, ev)
		}
		heads, err := second.Heads(context.Background(), []chat.ID{channel})
		if err != nil || int(heads[channel]) != len(log) {
			f.t.Errorf("the head is %v of %d (%v)", heads[channel], len(log), err)
		}
	}
	for id, seq := range f.acked {
		if stored[id] != seq {
			f.t.Errorf("%s was acknowledged as %d and is stored as %d", id, seq, stored[id])
		}
	}
	for id := range f.refused {
		if stored[id] != 0 {
			f.t.Errorf("%s was refused and is stored as %d", id, stored[id])
		}
	}
	for _, b := range f.broken {
		f.t.Error(b)
	}
	if len(f.acked)+len(f.refused) == 0 || len(stored) != len(f.acked) {
		f.t.Errorf("%d are stored, %d were acknowledged", len(stored), len(f.acked))
	}
	f.t.Logf("%d acknowledged, %d refused, %d answers in doubt", len(f.acked), f.refusals.Load(), f.unknowns.Load())
}

func (f *fleet) stored(stored map[chat.ID]chat.Seq, ev chat.Entry) {
	if ev.Message == nil {
		return
	}
	if first := stored[ev.Message.ID]; first != 0 {
		f.t.Errorf("%s is stored twice", ev.Message.ID)
	}
	stored[ev.Message.ID] = ev.Seq
	if told := f.published[place{ev.ChannelID, ev.Seq}]; told != ev.Message.ID {
		f.t.Errorf("seq %d is %s and was published as %s", ev.Seq, ev.Message.ID, told)
	}
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
