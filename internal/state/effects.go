package state

import "github.com/chowk-chat/chowk/chat"

// Effects are what must be stored for a group of changes, together or not at all.
type Effects struct {
	// Writes are in the order in which they must be carried out.
	Writes []Write
	// NewMessages and Messages are inserted and updated as the group left them.
	NewMessages []*Message
	Messages    []*Message
	// Heads are channels to update after Writes: the seq, the counters, the time of the last
	// message, and RightsSeq.
	Heads []*Channel
	// Entries are new entries of the log that are not messages.
	Entries []NewEntry
}

// NewEntry is an entry with the id of the change that became it.
type NewEntry struct {
	ChangeID chat.ID
	Entry    *chat.Entry
}

// Write is a change to one row that is rare enough for a statement of its own. The types
// below are all there are.
type Write interface{ isWrite() }

// The writes.
type (
	// ChannelCreated inserts a channel without members and messages.
	ChannelCreated struct {
		Channel   chat.Channel
		DirectKey string // "" except for a direct channel
	}
	// ChannelUpdated stores a channel's name, description, topic, archival and UpdatedAt.
	ChannelUpdated struct{ Channel chat.Channel }
	// MemberAdded inserts a member who has read everything before JoinedSeq.
	MemberAdded struct {
		Membership
		Role        chat.Role
		At          chat.Time
		JoinedSeq   chat.Seq // of the entry by which they became a member, 0 for an initial member
		ReadOrdinal int64    // of the newest message at or before JoinedSeq
	}
	// RoleChanged stores a member's role.
	RoleChanged struct {
		Membership
		Role chat.Role
	}
	// MemberRemoved deletes a member.
	MemberRemoved struct{ Membership }
	// ReactionAdded inserts a reaction.
	ReactionAdded struct {
		Reaction
		At chat.Time
	}
	// ReactionRemoved deletes a reaction.
	ReactionRemoved struct{ Reaction }
	// ReactionsCleared deletes all reactions to a message.
	ReactionsCleared struct{ MessageID chat.ID }
)

func (ChannelCreated) isWrite()   {}
func (ChannelUpdated) isWrite()   {}
func (MemberAdded) isWrite()      {}
func (RoleChanged) isWrite()      {}
func (MemberRemoved) isWrite()    {}
func (ReactionAdded) isWrite()    {}
func (ReactionRemoved) isWrite()  {}
func (ReactionsCleared) isWrite() {}

func (g *Group) write(w Write) { g.effects.Writes = append(g.effects.Writes, w) }

// touch has the channel's head stored.
func (g *Group) touch(ch *Channel) {
	if !ch.touched {
		ch.touched = true
		g.effects.Heads = append(g.effects.Heads, ch)
	}
}

// touchMessage has the message stored.
func (g *Group) touchMessage(m *Message) {
	if !m.touched {
		m.touched = true
		g.effects.Messages = append(g.effects.Messages, m)
	}
}

// entry assigns the channel's next seq to an entry that is not a message.
func (g *Group) entry(c *Change, ch *Channel, kind chat.EventType) *chat.Entry {
	ch.LastSeq++
	g.touch(ch)
	e := &chat.Entry{Type: kind, ChannelID: ch.ID, Seq: ch.LastSeq, UserID: c.Actor.User, At: c.At}
	g.effects.Entries = append(g.effects.Entries, NewEntry{c.ID, e})
	g.Committed[c.ID] = e
	return e
}
