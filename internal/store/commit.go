package store

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/state"
)

// Commit commits a group of changes: all that it needs to know is read in one go,
// under locks on the channels concerned, the changes are decided upon here in
// their order, and all that they make is written in another go. New messages need
// no such look where the database can decide upon them itself. See journal.Store.
func (s *Store) Commit(ctx context.Context, changes []state.Change) ([]state.Outcome, error) {
	outcomes, err := s.commit(ctx, changes)
	if err == nil || len(changes) == 1 || !isStatementError(err) {
		return outcomes, err
	}
	// Something in the group offends the database. Halved again and again, only the
	// culprit fails, at the price of a few commits.
	half := len(changes) / 2
	outcomes = make([]state.Outcome, 0, len(changes))
	for _, part := range [][]state.Change{changes[:half], changes[half:]} {
		some, err := s.Commit(ctx, part)
		if err != nil {
			some = make([]state.Outcome, len(part))
			for i := range some {
				some[i].Err = err
			}
		}
		outcomes = append(outcomes, some...)
	}
	return outcomes, nil
}

// isStatementError says whether the error is about what the database was asked rather than
// about the database.
func isStatementError(err error) bool {
	for _, other := range []error{database.ErrUnavailable, database.ErrOverloaded, chat.ErrOutcomeUnknown, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, other) {
			return false
		}
	}
	return true
}

func (s *Store) commit(ctx context.Context, changes []state.Change) ([]state.Outcome, error) {
	fastPath := s.memory.recent.allNew(changes)
	u, err := s.attempt(ctx, changes, fastPath)
	if fastPath && err != nil && isStatementError(err) {
		u, err = s.attempt(ctx, changes, false) // a duplicate, it may be
	}
	if err != nil {
		return nil, err
	}
	outcomes, again := u.outcomes()
	if len(again) > 0 {
		s.decideAgain(ctx, changes, again, outcomes)
	}
	s.memory.recent.note(changes, outcomes)
	return outcomes, nil
}

// attempt commits the group. What had to be rolled back, or may have been
// committed although the connection broke, is not quick the next time.
func (s *Store) attempt(ctx context.Context, changes []state.Change, fastPath bool) (u *unit, err error) {
	err = s.db.Write(ctx, "commit", func(c conn) error {
		u = s.newUnit(changes, fastPath)
		fastPath = false
		return u.run(c, s.dialect)
	})
	return u, err
}

// decideAgain decides in memory upon what the database could not: the rest of the
// group is committed.
func (s *Store) decideAgain(ctx context.Context, changes []state.Change, index []int, outcomes []state.Outcome) {
	u, err := s.attempt(ctx, pick(changes, index), false)
	for k, i := range index {
		if err != nil {
			outcomes[i] = state.Outcome{Err: err}
		} else {
			outcomes[i] = u.group.outcomes[k]
		}
	}
}

func pick(changes []state.Change, index []int) []state.Change {
	some := make([]state.Change, len(index))
	for k, i := range index {
		some[k] = changes[i]
	}
	return some
}

// unit is one attempt at a group: new messages, upon which the database decides,
// and what is decided upon here.
type unit struct {
	changes []state.Change
	sends   *sends // may be nil
	rest    []int  // into changes; all of them when sends is nil
	group   *group // may be nil
}

func (s *Store) newUnit(changes []state.Change, fastPath bool) *unit {
	u := &unit{changes: changes}
	if fastPath {
		u.sends, u.rest = splitSends(changes, &s.memory)
		if len(u.sends.index) == 0 {
			u.sends = nil
		}
	}
	switch {
	case u.sends == nil:
		u.group = newGroup(changes)
	case len(u.rest) > 0:
		u.group = newGroup(pick(changes, u.rest))
	}
	return u
}

func (u *unit) run(c conn, d *dialect) error {
	if u.group == nil {
		return d.send(u.sends, c)
	}
	if err := u.group.load(c, d, u.sends); err != nil {
		return err
	}
	u.group.decide()
	u.group.write(c, d)
	if u.sends != nil {
		return d.send(u.sends, c)
	}
	return nil
}

// outcomes tells what became of the changes once they are committed, and which
// must be decided again.
func (u *unit) outcomes() (all []state.Outcome, again []int) {
	if u.sends == nil {
		return u.group.outcomes, nil
	}
	all = make([]state.Outcome, len(u.changes))
	again = u.sends.outcomes(all)
	for k, i := range u.rest {
		all[i] = u.group.outcomes[k]
	}
	return all, again
}

// pairKey is a user in a channel.
type pairKey struct {
	channel chat.ID
	user    chat.UserID
}

// group is a group of changes with all that is known of what they concern. Rows
// change here as the changes are decided, and are written at the end.
type group struct {
	changes  []state.Change
	outcomes []state.Outcome

	channels  map[chat.ID]*channelRow
	roles     map[pairKey]chat.Role
	owners    map[chat.ID]int64
	users     map[chat.UserID]*chat.User
	messages  map[chat.ID]*messageRow
	done      map[chat.ID]*chat.Entry // changes committed before
	reacted   map[reactionKey]bool
	emojis    map[chat.ID]map[string]int64
	directs   map[string]chat.ID
	newEvents []*chat.Entry // with the id of the change, to be written to changes
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
	rights  chat.Seq // of the last entry here that changed who may write, 0 for none
}

// messageRow is a message and what the commit does to it.
type messageRow struct {
	chat.Message
	bodyHash int64
	isNew    bool
	touched  bool
}

func newGroup(changes []state.Change) *group {
	return &group{
		changes: changes, outcomes: make([]state.Outcome, len(changes)),
		channels: make(map[chat.ID]*channelRow), roles: make(map[pairKey]chat.Role), owners: make(map[chat.ID]int64),
		users: make(map[chat.UserID]*chat.User), messages: make(map[chat.ID]*messageRow), done: make(map[chat.ID]*chat.Entry),
		reacted: make(map[reactionKey]bool), emojis: make(map[chat.ID]map[string]int64), directs: make(map[string]chat.ID),
	}
}

func (g *group) decide() {
	for i := range g.changes {
		g.outcomes[i] = g.decideOn(&g.changes[i])
	}
}

// decideOn carries one change out in memory, or refuses it.
func (g *group) decideOn(c *state.Change) state.Outcome {
	if err := storable(c); err != nil {
		return state.Outcome{Err: err}
	}
	if ev := g.done[c.ID]; ev != nil {
		return g.duplicateChange(c, ev)
	}
	if c.Kind == state.CreateChannel {
		return g.create(c)
	}
	// A message that its author sends again was stored, whatever he may do here now:
	// to refuse it would tell him that it was not.
	if m := g.messages[c.ID]; c.Kind == state.SendMessage && m != nil && m.UserID == c.Actor && m.ChannelID == c.ChannelID {
		return g.duplicateSend(c, m)
	}
	ch := g.channels[c.ChannelID]
	if ch == nil {
		return state.Outcome{Err: chat.ErrAccessDenied}
	}
	role := g.roles[pairKey{c.ChannelID, c.Actor}]
	if err := checkAllowed(c, ch.IsArchived, role, joinsPublic(c, ch)); err != nil {
		return state.Outcome{Err: err}
	}
	switch c.Kind {
	case state.SendMessage:
		return g.send(c, ch)
	case state.EditMessage, state.DeleteMessage, state.AddReaction, state.RemoveReaction:
		return g.onMessage(c, ch, role)
	case state.AddMember, state.RemoveMember, state.UpdateMember:
		return g.onMember(c, ch, role)
	case state.UpdateChannel:
		return g.update(c, ch, role)
	}
	return state.Outcome{Err: chat.Errorf(chat.BadRequest, "An unknown kind of change")}
}

// checkAllowed is why the actor may not do this, whatever it is done to; nil when he
// may.
func checkAllowed(c *state.Change, archived bool, role chat.Role, joins bool) error {
	switch {
	case role == chat.NotMember && !joins:
		return chat.ErrAccessDenied
	case archived && refusedInArchive(c.Kind):
		return chat.Errorf(chat.Conflict, "This channel is archived: it can be read, not written to")
	case c.Kind == state.SendMessage && !c.Allowed.Has(role):
		return chat.Errorf(chat.Forbidden, "Your role in this channel does not let you send messages")
	}
	return nil
}

func joinsPublic(c *state.Change, ch *channelRow) bool {
	return c.Kind == state.AddMember && c.Subject == c.Actor && c.Role == chat.RoleMember && c.Allowed.Has(chat.NotMember) &&
		!ch.IsPrivate && ch.ChannelType != chat.Direct
}

func refusedInArchive(k state.ChangeKind) bool {
	switch k {
	case state.SendMessage, state.EditMessage, state.DeleteMessage, state.AddReaction, state.RemoveReaction, state.AddMember:
		return true
	}
	return false
}

// storable refuses text that one of the databases cannot hold, before the database
// does and takes the group with it.
func storable(c *state.Change) error {
	ok := storableText(c.Content) && storableText(c.Emoji) && storableText(string(c.Actor)) && storableText(string(c.Subject))
	if m := c.Message; m != nil {
		ok = ok && storableText(m.Content) && storableText(m.ClientID) && storableText(string(m.MessageType))
		for _, p := range [...]*string{m.FileURL, m.FileName, m.FileType} {
			ok = ok && (p == nil || storableText(*p))
		}
		for _, u := range m.MentionedUserIDs {
			ok = ok && storableText(string(u))
		}
	}
	if !ok {
		return chat.Errorf(chat.BadRequest, "The text holds a NUL character or is not valid UTF-8")
	}
	return nil
}

func storableText(s string) bool { return strings.IndexByte(s, 0) < 0 && utf8.ValidString(s) }

// denied refuses a member whose role does not suffice.
func denied(what string) state.Outcome { return state.Outcome{Err: chat.Errorf(chat.Forbidden, what)} }

// event draws the channel's next seq for an entry of its log that is no message.
func (g *group) event(c *state.Change, ch *channelRow, kind chat.EventType) *chat.Entry {
	ch.LastSeq++
	ch.touched = true
	ev := &chat.Entry{Type: kind, ChannelID: ch.ID, Seq: ch.LastSeq, UserID: c.Actor, At: c.At}
	switch kind {
	case chat.EventMemberJoined, chat.EventMemberLeft, chat.EventMemberUpdated, chat.EventChannelUpdated:
		ch.rights = ev.Seq
	}
	g.newEvents = append(g.newEvents, ev)
	g.newIDs = append(g.newIDs, c.ID)
	g.done[c.ID] = ev
	return ev
}

// duplicateChange answers a change that was committed before: an attempt whose answer was
// lost.
func (g *group) duplicateChange(c *state.Change, ev *chat.Entry) state.Outcome {
	out := state.Outcome{Entry: ev, Duplicate: true}
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
