package store

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/chowk-chat/chowk/chat"
)

// Commit commits a group of changes: all that it needs to know is read in one go,
// under locks on the channels concerned, the changes are decided upon here in
// their order, and all that they make is written in another go. See
// journal.Store.
func (s *Store) Commit(ctx context.Context, changes []chat.Change) ([]chat.Outcome, error) {
	outcomes, err := s.commit(ctx, changes)
	if err == nil || len(changes) == 1 || definite(err) {
		return outcomes, err
	}
	// Something in the group offends the database. One by one, only the culprit
	// fails.
	outcomes = make([]chat.Outcome, len(changes))
	for i := range changes {
		one, err := s.commit(ctx, changes[i:i+1])
		switch {
		case err == nil:
			outcomes[i] = one[0]
		case definite(err):
			return nil, err
		default:
			outcomes[i].Err = err
		}
	}
	return outcomes, nil
}

// definite says whether the error concerns the database rather than what it was
// asked.
func definite(err error) bool {
	return errors.Is(err, errUnavailable) || errors.Is(err, errOverloaded) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

func (s *Store) commit(ctx context.Context, changes []chat.Change) (outcomes []chat.Outcome, err error) {
	err = s.db.write(ctx, "commit", func(c conn) error {
		g := newGroup(changes)
		if err := g.load(c, s.db.dialect()); err != nil {
			return err
		}
		for i := range changes {
			g.outcomes[i] = g.decide(&changes[i])
		}
		outcomes = g.outcomes
		return g.write(c, s.db.dialect())
	})
	if err != nil {
		return nil, err
	}
	return outcomes, nil
}

// pairKey is a user in a channel.
type pairKey struct {
	channel chat.ID
	user    chat.UserID
}

// group is a group of changes with all that is known of what they concern. Rows
// change here as the changes are decided, and are written at the end.
type group struct {
	changes  []chat.Change
	outcomes []chat.Outcome

	channels  map[chat.ID]*channelRow
	roles     map[pairKey]chat.Role
	owners    map[chat.ID]int64
	users     map[chat.UserID]*chat.User
	messages  map[chat.ID]*messageRow
	done      map[chat.ID]*chat.Event // changes committed before
	reacted   map[reactionKey]bool
	emojis    map[chat.ID]map[string]int64
	directs   map[string]chat.ID
	newEvents []*chat.Event // with the id of the change, to be written to changes
	newIDs    []chat.ID
	writes    []statement
}

type reactionKey struct {
	message chat.ID
	emoji   string
	user    chat.UserID
}

// statement is a write that is rare enough to be one of its own.
type statement struct {
	sql  string
	args []any
}

// channelRow is a channel and what the commit does to it.
type channelRow struct {
	chat.Channel
	isNew   bool
	touched bool
}

// messageRow is a message and what the commit does to it.
type messageRow struct {
	chat.Message
	bodyHash int64
	isNew    bool
	touched  bool
}

func newGroup(changes []chat.Change) *group {
	return &group{
		changes: changes, outcomes: make([]chat.Outcome, len(changes)),
		channels: make(map[chat.ID]*channelRow), roles: make(map[pairKey]chat.Role), owners: make(map[chat.ID]int64),
		users: make(map[chat.UserID]*chat.User), messages: make(map[chat.ID]*messageRow), done: make(map[chat.ID]*chat.Event),
		reacted: make(map[reactionKey]bool), emojis: make(map[chat.ID]map[string]int64), directs: make(map[string]chat.ID),
	}
}

// decide carries one change out in memory, or refuses it.
func (g *group) decide(c *chat.Change) chat.Outcome {
	if err := storable(c); err != nil {
		return chat.Outcome{Err: err}
	}
	if ev := g.done[c.ID]; ev != nil {
		return g.repeated(c, ev)
	}
	if c.Kind == chat.CreateChannel {
		return g.create(c)
	}
	ch := g.channels[c.ChannelID]
	if ch == nil {
		return chat.Outcome{Err: chat.ErrAccessDenied}
	}
	role := g.roles[pairKey{c.ChannelID, c.Actor}]
	if role == chat.Nobody && !joinsPublic(c, ch) {
		return chat.Outcome{Err: chat.ErrAccessDenied}
	}
	if ch.IsArchived && refusedInArchive(c.Kind) {
		return chat.Outcome{Err: chat.Errorf(chat.Conflict, "This channel is archived: it can be read, not written to")}
	}
	switch c.Kind {
	case chat.SendMessage:
		return g.send(c, ch, role)
	case chat.EditMessage, chat.DeleteMessage, chat.AddReaction, chat.RemoveReaction:
		return g.onMessage(c, ch, role)
	case chat.AddMember, chat.RemoveMember, chat.UpdateMember:
		return g.onMember(c, ch, role)
	case chat.UpdateChannel:
		return g.update(c, ch, role)
	}
	return chat.Outcome{Err: chat.Errorf(chat.BadRequest, "An unknown kind of change")}
}

func joinsPublic(c *chat.Change, ch *channelRow) bool {
	return c.Kind == chat.AddMember && c.Subject == c.Actor && c.Role == chat.Plain && c.Allowed.Has(chat.Nobody) &&
		!ch.IsPrivate && ch.ChannelType != chat.Direct
}

func refusedInArchive(k chat.ChangeKind) bool {
	switch k {
	case chat.SendMessage, chat.EditMessage, chat.DeleteMessage, chat.AddReaction, chat.RemoveReaction, chat.AddMember:
		return true
	}
	return false
}

// storable refuses text that one of the databases cannot hold, before the database
// does and takes the group with it.
func storable(c *chat.Change) error {
	texts := []string{c.Content, c.Emoji, string(c.Actor), string(c.Subject)}
	if m := c.Message; m != nil {
		texts = append(texts, m.Content, m.ClientID)
		for _, p := range []*string{m.FileURL, m.FileName, m.FileType} {
			if p != nil {
				texts = append(texts, *p)
			}
		}
	}
	for _, s := range texts {
		if strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s) {
			return chat.Errorf(chat.BadRequest, "The text holds a NUL character or is not valid UTF-8")
		}
	}
	return nil
}

// denied refuses a member whose role does not suffice.
func denied(what string) chat.Outcome { return chat.Outcome{Err: chat.Errorf(chat.Forbidden, what)} }

// event draws the channel's next seq for an entry of its log.
func (g *group) event(c *chat.Change, ch *channelRow, kind chat.EventType) *chat.Event {
	ch.LastSeq++
	ch.touched = true
	ev := &chat.Event{Type: kind, ChannelID: ch.ID, Seq: ch.LastSeq, UserID: c.Actor, At: c.At}
	if kind != chat.EventMessage {
		g.newEvents = append(g.newEvents, ev)
		g.newIDs = append(g.newIDs, c.ID)
		g.done[c.ID] = ev
	}
	return ev
}

// repeated answers a change that was committed before: an attempt whose answer was
// lost.
func (g *group) repeated(c *chat.Change, ev *chat.Event) chat.Outcome {
	out := chat.Outcome{Event: ev, Duplicate: true}
	if ch := g.channels[c.ChannelID]; ch != nil {
		copied := ch.Channel
		out.Channel = &copied
	}
	if m := g.messages[c.MessageID]; m != nil {
		copied := m.Message
		out.Message = &copied
	}
	return out
}
