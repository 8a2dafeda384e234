package store

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
	"github.com/chowk-chat/chowk/internal/state"
)

// TestBothWaysOfCommittingDoTheSame commits the same random groups to four
// databases: where new messages are decided upon by the database, and where
// everything is decided upon in memory, on PostgreSQL and on SQLite. Outcomes and
// rows must be the same.
func TestBothWaysOfCommittingDoTheSame(t *testing.T) {
	var all strings.Builder
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			stores := []*Store{}
			urls := []string{"sqlite:" + filepath.Join(t.TempDir(), "a.db"), "sqlite:" + filepath.Join(t.TempDir(), "b.db")}
			if !testing.Short() {
				urls = append(urls, pgtest.Database(t), pgtest.Database(t))
			}
			for _, url := range urls {
				s, err := Open(t.Context(), Options{URL: url, Pool: Pool{Size: 2, Overflow: 1}})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = s.Close() })
				stores = append(stores, s)
			}
			w := newRandomWorld(seed)
			for _, s := range stores {
				for _, id := range w.users[:5] { // ghost has no row
					if _, err := s.EnsureUser(t.Context(), chat.User{ID: id, Name: "Name of " + string(id), IsActive: true}); err != nil {
						t.Fatal(err)
					}
				}
			}
			for i, groups := range append([][]state.Change{w.founding()}, w.groups(60)...) {
				var first string
				for k, s := range stores {
					got := w.commit(t, s, groups, k%2 == 0)
					if k == 0 {
						first = got
					} else if got != first {
						t.Fatalf("group %d: %s (quick %v) answers\n%s\nand the first database\n%s", i, s.Kind(), k%2 == 0, got, first)
					}
				}
			}
			first := w.rows(t, stores[0])
			all.WriteString(first)
			for k, s := range stores[1:] {
				if got := w.rows(t, s); got != first {
					t.Errorf("database %d (%s) holds\n%s\nand the first\n%s", k+1, s.Kind(), got, first)
				}
			}
		})
	}
	for _, sign := range []string{`"is_deleted":true`, `"is_edited":true`, `"parent_message_id":"`, `"message_type":"file"`, `"Type":"member_left"`, `"is_archived":true`} {
		if !strings.Contains(all.String(), sign) {
			t.Errorf("no group led to %s: they prove too little", sign)
		}
	}
}

// randomWorld makes changes, the same for a seed but for their ids.
type randomWorld struct {
	*rand.Rand
	at       chat.Time
	users    []chat.UserID
	channels []chat.ID
	sent     []state.Change // some of what was sent
}

func newRandomWorld(seed uint64) *randomWorld {
	return &randomWorld{Rand: rand.New(rand.NewPCG(seed, 1)), at: 1_700_000_000_000_000, users: []chat.UserID{"ada", "bob", "cyd", "dan", "eve", "ghost"}}
}

func (w *randomWorld) change(kind state.ChangeKind, channel chat.ID, by chat.UserID) state.Change {
	w.at += chat.Time(w.IntN(2000) - 500) // clocks differ
	return state.Change{Kind: kind, ID: chat.NewID(), ChannelID: channel, Actor: by, At: w.at, Allowed: chat.Members, AllowAuthor: true}
}

// founding makes five channels, the last of which is not made.
func (w *randomWorld) founding() (group []state.Change) {
	for range 5 {
		id := chat.NewID()
		w.channels = append(w.channels, id)
		c := w.change(state.CreateChannel, id, "ada")
		c.ID, c.Allowed = id, chat.Anyone
		c.Channel = &chat.Channel{ID: id, Name: "c", ChannelType: chat.Group, CreatedBy: "ada", CreatedAt: c.At, UpdatedAt: c.At}
		for i, role := range []chat.Role{chat.RoleOwner, chat.RoleAdmin, chat.RoleMember, chat.RoleGuest} {
			c.Members = append(c.Members, state.InitialMember{UserID: w.users[i], Role: role})
		}
		group = append(group, c)
	}
	return group[:4]
}

func (w *randomWorld) groups(n int) (all [][]state.Change) {
	for range n {
		var group []state.Change
		onlySends := w.IntN(3) > 0
		for range 1 + w.IntN(12) {
			c := w.send()
			if !onlySends && w.IntN(2) == 0 {
				c = w.other()
			}
			group = append(group, c)
		}
		all = append(all, group)
	}
	return all
}

func (w *randomWorld) send() state.Change {
	if w.IntN(40) == 0 && len(w.sent) > 0 { // a duplicate, or another message under its id
		c := w.sent[w.IntN(len(w.sent))]
		if w.IntN(2) == 0 {
			m := *c.Message
			m.Content, c.Message = "forged", &m
		}
		return c
	}
	c := w.change(state.SendMessage, w.channels[w.IntN(len(w.channels))], w.users[w.IntN(len(w.users))])
	c.AllowAuthor = false
	switch w.IntN(12) {
	case 0:
		c.Allowed = chat.Managers
	case 1:
		c.Allowed = chat.Members &^ chat.GuestOnly
	}
	m := &chat.Message{ID: c.ID, ChannelID: c.ChannelID, UserID: c.Actor, Content: fmt.Sprint("text ", w.IntN(1000)), MessageType: chat.Text, ClientID: c.ID.String()}
	c.Message = m
	switch w.IntN(10) {
	case 0:
		m.MentionedUserIDs = []chat.UserID{"bob", "cyd"}
	case 1:
		url, size := "https://example.org/x", int64(7)
		m.FileURL, m.FileSize, m.MessageType = &url, &size, chat.File
	case 2:
		m.Content = "a\x00b"
	case 3:
		if len(w.sent) > 0 {
			parent := w.sent[w.IntN(len(w.sent))]
			m.ParentMessageID, c.ChannelID = &parent.ID, parent.ChannelID
		}
	}
	if w.IntN(3) == 0 {
		w.sent = append(w.sent, c)
	}
	return c
}

func (w *randomWorld) other() state.Change {
	c := w.change(state.EditMessage, w.channels[w.IntN(len(w.channels))], w.users[w.IntN(len(w.users))])
	if len(w.sent) > 0 {
		on := w.sent[w.IntN(len(w.sent))]
		c.MessageID, c.ChannelID = on.ID, on.ChannelID
	}
	c.Subject, c.Role, c.Emoji, c.Content = w.users[w.IntN(len(w.users))], chat.RoleMember, fmt.Sprint("e", w.IntN(3)), fmt.Sprint("edit ", w.IntN(1000))
	switch kinds := []state.ChangeKind{state.EditMessage, state.DeleteMessage, state.AddReaction, state.RemoveReaction, state.AddMember, state.RemoveMember, state.UpdateMember, state.UpdateChannel}; kinds[w.IntN(len(kinds))] {
	case state.UpdateChannel:
		c.Kind = state.UpdateChannel
		archived := w.IntN(8) == 0
		c.Patch.IsArchived = &archived
	case state.RemoveMember:
		c.Kind = state.RemoveMember
	case state.UpdateMember:
		c.Kind, c.Role = state.UpdateMember, chat.RoleNames[1+w.IntN(3)]
	case state.AddMember:
		c.Kind, c.Allowed = state.AddMember, chat.Anyone
	case state.DeleteMessage:
		c.Kind, c.Allowed = state.DeleteMessage, chat.Managers
	case state.AddReaction:
		c.Kind = state.AddReaction
	case state.RemoveReaction:
		c.Kind = state.RemoveReaction
	}
	return c
}

// commit commits a group quickly or not, and shows what became of it.
func (w *randomWorld) commit(t *testing.T, s *Store, group []state.Change, fastPath bool) string {
	t.Helper()
	u, err := s.attempt(t.Context(), group, fastPath)
	if err != nil && fastPath {
		u, err = s.attempt(t.Context(), group, false)
	}
	if err != nil {
		t.Fatal(err)
	}
	outcomes, again := u.outcomes()
	if len(again) > 0 {
		s.decideAgain(t.Context(), group, again, outcomes)
	}
	var b strings.Builder
	for i, o := range outcomes {
		if e := chat.AsError(o.Err); o.Err != nil {
			fmt.Fprintf(&b, "%d: %s %s\n", group[i].Kind, e.Code, e.Message)
			continue
		}
		text, err := json.Marshal([]any{o.Entry, o.Duplicate, o.Message, o.Channel})
		if err != nil {
			t.Fatal(err)
		}
		ordinal := int64(0)
		if o.Message != nil {
			ordinal = o.Message.Ordinal
		}
		fmt.Fprintf(&b, "%d: %s %d\n", group[i].Kind, text, ordinal)
	}
	return b.String()
}

// rows shows what is stored, by what is read.
func (w *randomWorld) rows(t *testing.T, s *Store) string {
	t.Helper()
	var b strings.Builder
	show := func(v any, err error) {
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(text)
		b.WriteByte('\n')
	}
	for _, id := range w.channels {
		log, err := s.Log(context.Background(), id, 0, 10_000)
		show(log, err)
		for i := range log {
			if log[i].Seq != int64(i+1) {
				t.Errorf("%s: entry %d has seq %d", s.Kind(), i+1, log[i].Seq)
			}
		}
	}
	for _, u := range w.users {
		channels, err := s.Channels(context.Background(), u, true)
		show(channels, err)
	}
	return b.String()
}
