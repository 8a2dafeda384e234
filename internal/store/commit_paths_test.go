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
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/state"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// TestTheFastPathDecidesAsPackageStateDoes commits the same random groups to four databases:
// with and without the fast path, on PostgreSQL and on SQLite. Outcomes and rows must be the
// same. The groups contain every kind of change, so a new kind takes part without a line here.
func TestTheFastPathDecidesAsPackageStateDoes(t *testing.T) {
	seen := newCoverage()
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newRandomWorld(seed)
			stores := w.open(t)
			for i := range 12 * len(state.Kinds()) {
				group := w.group(i)
				first := commitBy(t, stores[0], group, true)
				seen.add(group, first)
				want := show(t, group, first)
				for k, s := range stores[1:] {
					fastPath := k%2 == 1
					if got := show(t, group, commitBy(t, s, group, fastPath)); got != want {
						t.Fatalf("group %d: %s (fast path: %v) answers\n%s\nand the first database\n%s",
							i, s.Kind(), fastPath, got, want)
					}
				}
				w.remember(group, first)
			}
			first := w.rows(t, stores[0])
			seen.rows.WriteString(first)
			for k, s := range stores[1:] {
				if got := w.rows(t, s); got != first {
					t.Errorf("database %d (%s) stores\n%s\nand the first\n%s", k+1, s.Kind(), got, first)
				}
			}
		})
	}
	seen.check(t)
}

// coverage is what the random groups came to. Groups in which nothing happens prove nothing.
type coverage struct {
	applied, refused map[state.ChangeKind]int
	rows             strings.Builder
}

func newCoverage() *coverage {
	return &coverage{applied: map[state.ChangeKind]int{}, refused: map[state.ChangeKind]int{}}
}

func (c *coverage) add(group []state.Change, outcomes []state.Outcome) {
	for i, o := range outcomes {
		switch k := group[i].Kind; {
		case o.Err != nil:
			c.refused[k]++
		case o.Entry != nil && !o.Duplicate:
			c.applied[k]++
		}
	}
}

func (c *coverage) check(t *testing.T) {
	t.Helper()
	for _, k := range state.Kinds() {
		if c.applied[k] == 0 || c.refused[k] == 0 {
			t.Errorf("%s took effect %d times and was refused %d times, want both", k, c.applied[k], c.refused[k])
		}
	}
	for _, sign := range []string{
		`"is_deleted":true`, `"is_edited":true`, `"parent_message_id":"`, `"message_type":"file"`,
		`"type":"member_left"`, `"is_archived":true`,
	} {
		if !strings.Contains(c.rows.String(), sign) {
			t.Errorf("no group led to %s", sign)
		}
	}
}

// randomWorld creates changes, the same for a seed except for their ids.
type randomWorld struct {
	*rand.Rand
	at       chat.Time
	rules    *state.Rules
	users    []chat.UserID
	channels []chat.ID
	sent     []state.Change // messages that are stored
	last     state.Change   // the last one of other
}

func newRandomWorld(seed uint64) *randomWorld {
	w := &randomWorld{
		Rand: rand.New(rand.NewPCG(seed, 1)), at: 1_700_000_000_000_000, rules: state.DefaultRules(),
		users: []chat.UserID{"ada", "bob", "cyd", "dan", "eve", "ghost"},
	}
	switch seed % 3 {
	case 1:
		w.rules[state.SendMessage] = chat.Members &^ chat.Guests
	case 2:
		w.rules[state.SendMessage] = chat.Managers
	}
	return w
}

// open opens the databases. Every second one does not take the fast path.
func (w *randomWorld) open(t *testing.T) (stores []*Store) {
	t.Helper()
	urls := []string{"sqlite:" + filepath.Join(t.TempDir(), "a.db"), "sqlite:" + filepath.Join(t.TempDir(), "b.db")}
	if !testing.Short() {
		urls = append(urls, pgtest.Database(t), pgtest.Database(t))
	}
	for _, url := range urls {
		s := openWith(t, url, w.rules)
		for _, id := range w.users[:5] { // ghost has no row
			u := chat.User{ID: id, Name: "Name of " + string(id), IsActive: true}
			if _, err := s.EnsureUser(t.Context(), u); err != nil {
				t.Fatal(err)
			}
		}
		stores = append(stores, s)
	}
	return stores
}

func openWith(t *testing.T, url string, rules *state.Rules) *Store {
	t.Helper()
	s, err := Open(t.Context(), Options{URL: url, Pool: Pool{Size: 2, Overflow: 1}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	s.rules = rules
	return s
}

func (w *randomWorld) user() chat.UserID { return w.users[w.IntN(len(w.users))] }

// channel is mostly one of the first, which have most members.
func (w *randomWorld) channel() chat.ID {
	if w.IntN(4) > 0 {
		return w.channels[w.IntN(4)]
	}
	return w.channels[w.IntN(len(w.channels))]
}

// actor is mostly a person.
func (w *randomWorld) actor() model.Actor {
	a := model.UserActor(w.user())
	if w.IntN(6) == 0 {
		a.Kind = model.ActorKind(w.IntN(int(model.ActorSystem) + 1)) // 0 is none
	}
	return a
}

func (w *randomWorld) change(kind state.ChangeKind, channel chat.ID, by model.Actor) state.Change {
	w.at += chat.Time(w.IntN(2000) - 500) // clocks differ
	return state.Change{Kind: kind, ID: chat.NewID(), ChannelID: channel, Actor: by, At: w.at}
}

// founding creates four channels. There is a fifth id, without a channel.
func (w *randomWorld) founding() (group []state.Change) {
	for range 4 {
		group = append(group, w.creation())
		group[len(group)-1].Members = []state.InitialMember{
			{UserID: "ada", Role: chat.RoleOwner},
			{UserID: "bob", Role: chat.RoleAdmin},
			{UserID: "cyd", Role: chat.RoleMember},
			{UserID: "dan", Role: chat.RoleGuest},
		}
	}
	w.channels = append(w.channels, chat.NewID())
	return group
}

func (w *randomWorld) creation() state.Change {
	c := w.change(state.CreateChannel, chat.ID{}, model.UserActor(w.user()))
	c.ChannelID = c.ID
	w.channels = append(w.channels, c.ID)
	c.Channel = &chat.Channel{
		ID: c.ID, Name: "c", ChannelType: chat.Group, CreatedBy: c.Actor.User, CreatedAt: c.At, UpdatedAt: c.At,
	}
	c.Members = []state.InitialMember{
		{UserID: c.Actor.User, Role: chat.RoleOwner}, {UserID: w.user(), Role: chat.RoleMember},
	}
	if w.IntN(3) == 0 {
		c.DirectKey = state.DirectKey(c.Actor.User, w.user())
		c.Channel.ChannelType = chat.Direct
	}
	return c
}

func (w *randomWorld) group(i int) (group []state.Change) {
	if i == 0 {
		return w.founding()
	}
	onlySends := w.IntN(3) == 0
	for range 1 + w.IntN(12) {
		c := w.send()
		if !onlySends && w.IntN(2) == 0 {
			c = w.other()
		}
		group = append(group, c)
	}
	return group
}

// remember keeps some of what is stored, for changes to it.
func (w *randomWorld) remember(group []state.Change, outcomes []state.Outcome) {
	for i, o := range outcomes {
		if o.Err == nil && group[i].Kind == state.SendMessage && w.IntN(8) == 0 {
			w.sent = append(w.sent, group[i])
		}
	}
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
	c := w.change(state.SendMessage, w.channel(), w.actor())
	m := &chat.Message{
		ID: c.ID, ChannelID: c.ChannelID, UserID: c.Actor.User, Content: fmt.Sprint("text ", w.IntN(1000)),
		MessageType: chat.Text, ClientID: c.ID.String(),
	}
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
	return c
}

// other returns a change of any kind except SendMessage. It sets the fields of every kind.
func (w *randomWorld) other() state.Change {
	kinds := state.Kinds()
	kind := kinds[w.IntN(len(kinds))]
	if kind == state.CreateChannel {
		return w.creation()
	}
	if kind == state.SendMessage {
		return w.send()
	}
	if w.last.Kind != 0 && w.IntN(3) == 0 { // undo it, perhaps
		w.last.Kind, w.last.ID = kind, chat.NewID()
		return w.last
	}
	c := w.change(kind, w.channel(), w.actor())
	if len(w.sent) > 0 && w.IntN(8) > 0 {
		recent := w.sent[max(0, len(w.sent)-3):] // so that changes meet what others did
		on := recent[w.IntN(len(recent))]
		c.MessageID, c.ChannelID = on.ID, on.ChannelID
		switch w.IntN(3) {
		case 0:
			c.Actor = on.Actor
		case 1:
			c.Actor = model.UserActor("ada") // owns most channels
		}
	}
	c.Subject, c.Role = w.user(), chat.RoleNames[w.IntN(len(chat.RoleNames))]
	c.Emoji, c.Content = []string{"e", "e", "f"}[w.IntN(3)], fmt.Sprint("edit ", w.IntN(1000))
	name, archived := fmt.Sprint("name ", w.IntN(3)), w.IntN(16) == 0
	c.Patch = chat.ChannelPatch{Name: &name, IsArchived: &archived}
	w.last = c
	return c
}

// commitBy commits a group with or without the fast path.
func commitBy(t *testing.T, s *Store, group []state.Change, fastPath bool) []state.Outcome {
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
	return outcomes
}

// show returns outcomes as text.
func show(t *testing.T, group []state.Change, outcomes []state.Outcome) string {
	t.Helper()
	var b strings.Builder
	for i, o := range outcomes {
		if e := chat.AsError(o.Err); o.Err != nil {
			fmt.Fprintf(&b, "%s: %s %s\n", group[i].Kind, e.Code, e.Message)
			continue
		}
		if group[i].Kind == state.CreateChannel && o.Duplicate && o.Entry == nil {
			// With the fast path it does not see messages of this group to the existing channel.
			o.Channel = &chat.Channel{ID: o.Channel.ID}
		}
		text, err := json.Marshal([]any{o.Entry, o.Duplicate, o.Message, o.Channel})
		if err != nil {
			t.Fatal(err)
		}
		ordinal := int64(0)
		if o.Message != nil {
			ordinal = o.Message.Ordinal
		}
		fmt.Fprintf(&b, "%s: %s %d\n", group[i].Kind, text, ordinal)
	}
	return b.String()
}

// rows returns what is stored as text, by what is read.
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
