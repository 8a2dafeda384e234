package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/journal"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/state"
	"github.com/chowk-chat/chowk/internal/store"
	"github.com/chowk-chat/chowk/internal/testkit"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// cutter is a proxy in front of PostgreSQL that lets a COMMIT through and cuts the
// connection instead of answering it, when cut says so.
type cutter struct {
	*testkit.Proxy
	commits, cuts atomic.Int64
}

// commitReply is a CommandComplete with the tag COMMIT.
var commitReply = append([]byte{'C', 0, 0, 0, 11}, "COMMIT\x00"...)

func newCutter(t *testing.T, address string, cut func(commits int64) bool) (c *cutter, through string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	c = &cutter{}
	c.Proxy, err = testkit.NewInspectingProxy(func(reply []byte) (pass bool) {
		if !bytes.Contains(reply, commitReply) || !cut(c.commits.Add(1)) {
			return true
		}
		c.cuts.Add(1)
		return false
	}, u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	u.Host = c.Address()
	return c, u.String()
}

func through(t *testing.T, address string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{URL: address, Pool: store.Pool{Size: 3, Overflow: 1}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// newChannel creates a channel that belongs to ada.
func newChannel(t *testing.T, s *store.Store) chat.ID {
	t.Helper()
	if _, err := s.EnsureUser(t.Context(), chat.User{ID: "ada", Name: "Ada", IsActive: true}); err != nil {
		t.Fatal(err)
	}
	c := state.Change{
		Kind: state.CreateChannel, ID: chat.NewID(), Actor: model.UserActor("ada"),
		Members: []state.InitialMember{{UserID: "ada", Role: chat.RoleOwner}},
	}
	c.ChannelID, c.Channel = c.ID, &chat.Channel{ID: c.ID, Name: "c", ChannelType: chat.Group, CreatedBy: "ada"}
	if out, err := s.Commit(t.Context(), []state.Change{c}); err != nil || out[0].Err != nil {
		t.Fatal(err, out)
	}
	return c.ID
}

func sending(channel chat.ID, text string) state.Change {
	c := state.Change{Kind: state.SendMessage, ID: chat.NewID(), ChannelID: channel, Actor: model.UserActor("ada"), At: 1}
	c.Message = &chat.Message{ID: c.ID, Content: text, MessageType: chat.Text}
	return c
}

// TestALostAnswerAppliesNothingTwice loses the answer to every third COMMIT. Every sender is
// acknowledged with what was stored.
func TestALostAnswerAppliesNothingTwice(t *testing.T) {
	var begun atomic.Bool
	cut := func(n int64) bool { return begun.Load() && n%3 == 0 }
	proxy, address := newCutter(t, pgtest.DatabaseUnlessShort(t), cut)
	s := through(t, address)
	channel := newChannel(t, s)
	begun.Store(true)
	j := journal.Start(journal.Config{
		Store: s, Publisher: noPublisher{}, CommitTimeout: time.Minute, QueueTimeout: time.Minute,
	})
	var senders sync.WaitGroup
	var acked sync.Map
	for w := range 20 {
		senders.Go(func() { // ends when all are acknowledged
			for i := range 15 {
				c := sending(channel, fmt.Sprint(w, " ", i))
				out, err := j.Commit(t.Context(), c)
				if err != nil || out.Err != nil {
					t.Errorf("refused: %v %v", err, out.Err)
					return
				}
				if old, twice := acked.LoadOrStore(out.Entry.Seq, c.ID); twice {
					t.Errorf("seq %d was acknowledged for %v and %v", out.Entry.Seq, old, c.ID)
				}
			}
		})
	}
	senders.Wait()
	if err := j.Close(t.Context()); err != nil {
		t.Error(err)
	}
	log, err := s.Log(t.Context(), channel, 1, 1000)
	if err != nil || len(log) != 300 {
		t.Fatalf("%d messages are stored, want 300; error %v", len(log), err)
	}
	for _, e := range log {
		if id, ok := acked.Load(e.Seq); !ok || id != e.Message.ID {
			t.Errorf("seq %d is message %v and was acknowledged for %v", e.Seq, e.Message.ID, id)
		}
	}
	if proxy.cuts.Load() < 3 {
		t.Errorf("only %d answers were lost, want at least 3", proxy.cuts.Load())
	}
}

// TestAnUnknownOutcomeIsReportedAndARefusalIsFinal loses every answer to a COMMIT for longer than
// the journal tries. Then the database cannot be reached at all.
func TestAnUnknownOutcomeIsReportedAndARefusalIsFinal(t *testing.T) {
	var all atomic.Bool
	proxy, address := newCutter(t, pgtest.DatabaseUnlessShort(t), func(int64) bool { return all.Load() })
	s := through(t, address)
	channel := newChannel(t, s)
	j := journal.Start(journal.Config{Store: s, Publisher: noPublisher{}, CommitTimeout: 500 * time.Millisecond})
	defer func() { _ = j.Close(context.Background()) }()
	all.Store(true)
	_, err := j.Commit(t.Context(), sending(channel, "perhaps"))
	if !errors.Is(err, chat.ErrOutcomeUnknown) || chat.AsError(err).Message != chat.ErrOutcomeUnknown.Message {
		t.Errorf("got error %v, want an unknown outcome", err)
	}
	proxy.Refuse(true) // from now on no attempt begins
	for range 3 {      // this breaks the connections that are open
		_, _ = j.Commit(t.Context(), sending(channel, "perhaps"))
	}
	_, err = j.Commit(t.Context(), sending(channel, "refused"))
	if err == nil || errors.Is(err, chat.ErrOutcomeUnknown) {
		t.Errorf("got error %v, want a refusal", err)
	}
	all.Store(false)
	proxy.Refuse(false)
	other := through(t, address)
	log, err := other.Log(t.Context(), channel, 1, 100)
	if err != nil || len(log) == 0 {
		t.Errorf("no message with an unknown outcome is stored; error %v", err)
	}
	for _, e := range log {
		if e.Message.Content == "refused" {
			t.Error("the refused message is stored")
		}
	}
}

// TestAChangeThatTheDatabaseRejectsFailsAlone after few attempts.
func TestAChangeThatTheDatabaseRejectsFailsAlone(t *testing.T) {
	for _, kind := range []string{"postgres", "sqlite"} {
		t.Run(kind, func(t *testing.T) {
			var count units
			address := "sqlite:" + t.TempDir() + "/chowk.db"
			if kind == "postgres" {
				address = pgtest.DatabaseUnlessShort(t)
			}
			s, err := store.Open(t.Context(), store.Options{URL: address, Observer: &count})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			channel := newChannel(t, s)
			var group []state.Change
			for i := range 512 {
				group = append(group, sending(channel, fmt.Sprint(i)))
			}
			// A second channel under the first one's id, by another change: package state does
			// not look for that.
			group[300] = state.Change{
				Kind: state.CreateChannel, ID: chat.NewID(), ChannelID: channel, Actor: model.UserActor("ada"),
				Channel: &chat.Channel{Name: "again", ChannelType: chat.Group},
			}
			count.commits.Store(0)
			outs, err := s.Commit(t.Context(), group)
			if err != nil {
				t.Fatal(err)
			}
			for i, out := range outs {
				if (out.Err != nil) != (i == 300) {
					t.Errorf("change %d: %v", i, out.Err)
				}
			}
			log, err := s.Log(t.Context(), channel, 1, 1000)
			if err != nil || len(log) != 511 {
				t.Errorf("%d messages are stored, want 511; error %v", len(log), err)
			}
			if n := count.commits.Load(); n > 250 {
				t.Errorf("it took %d attempts, want at most 250", n)
			}
		})
	}
}

// units counts units of work that are commits.
type units struct{ commits atomic.Int64 }

func (u *units) Acquired(unit string, _, _ time.Duration) {
	if strings.HasPrefix(unit, "commit") {
		u.commits.Add(1)
	}
}
func (*units) Executed(string, []string, time.Duration, error) {}
func (*units) Refused(string, string)                          {}
func (*units) HeldLong(string)                                 {}
func (*units) Cancelled(string)                                {}
