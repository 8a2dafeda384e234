package state

import (
	"slices"

	"github.com/chowk-chat/chowk/chat"
)

// Rows are the loaded rows. Decide alters them as it decides one change after the other, so
// each change sees what those before it left.
type Rows struct {
	Channels map[chat.ID]*Channel
	Roles    map[Membership]chat.Role
	Owners   map[chat.ID]int64 // owners of each channel
	Pins     map[chat.ID]int64 // pinned messages of each channel
	Users    map[chat.UserID]*chat.User
	Messages map[chat.ID]*Message
	// Committed are the entries of changes that were committed before, by the change's id.
	Committed map[chat.ID]*chat.Entry
	// Reactions are those of the actors. Emoji counts all reactions to a message.
	Reactions map[Reaction]bool
	Emoji     map[chat.ID]map[string]int64
	Directs   map[string]chat.ID // channels by their direct key
}

// Channel is a channel's row.
type Channel struct {
	chat.Channel
	// RightsSeq is the seq of the last entry of this group that may have changed who may
	// write to the channel, 0 if there is none.
	RightsSeq chat.Seq

	touched bool // listed in Effects.Heads
}

// Message is a message's row.
type Message struct {
	chat.Message
	BodyHash int64 // of what its author sent: see [BodyHash]

	touched bool // listed in Effects.NewMessages or Effects.Messages
}

// Membership names a user in a channel.
type Membership struct {
	ChannelID chat.ID
	UserID    chat.UserID
}

// Reaction names one user's emoji on a message.
type Reaction struct {
	MessageID chat.ID
	Emoji     string
	UserID    chat.UserID
}

func newRows() Rows {
	return Rows{
		Channels: make(map[chat.ID]*Channel), Roles: make(map[Membership]chat.Role), Owners: make(map[chat.ID]int64),
		Pins:  make(map[chat.ID]int64),
		Users: make(map[chat.UserID]*chat.User), Messages: make(map[chat.ID]*Message),
		Committed: make(map[chat.ID]*chat.Entry), Reactions: make(map[Reaction]bool),
		Emoji: make(map[chat.ID]map[string]int64), Directs: make(map[string]chat.ID),
	}
}

// Needs lists the rows that must be loaded before a group can be decided. A row that does not
// exist is left out of Rows.
type Needs struct {
	Channels    []chat.ID // in ascending order, without duplicates, as they must be locked
	Memberships []Membership
	Users       []chat.UserID // in ascending order, without duplicates
	Messages    []chat.ID     // with their authors, their parents and their body hashes
	Changes     []chat.ID     // ids of changes that may have been committed before
	Reactions   []chat.ID     // messages: the reactions of Users, and a count of each emoji
	Owners      []chat.ID     // channels in which owners must be counted
	Pins        []chat.ID     // channels in which pinned messages must be counted
	Directs     []string      // direct keys
}

// Needs returns the rows that the group needs.
func (g *Group) Needs() Needs {
	var n Needs
	for i := range g.changes {
		c := &g.changes[i]
		if g.outcomes[i].Err == nil {
			n.Users = append(n.Users, c.Actor.User)
			kinds[c.Kind].load(&n, c)
		}
	}
	slices.SortFunc(n.Channels, chat.ID.Compare)
	n.Channels = slices.Compact(n.Channels)
	slices.Sort(n.Users)
	n.Users = slices.Compact(n.Users)
	return n
}

func loadNewChannel(n *Needs, c *Change) {
	n.Changes = append(n.Changes, c.ID)
	if c.DirectKey != "" {
		n.Directs = append(n.Directs, c.DirectKey)
	}
	for _, m := range c.Members {
		n.Users = append(n.Users, m.UserID)
	}
}

func (n *Needs) channel(c *Change) {
	n.Channels = append(n.Channels, c.ChannelID)
	n.Memberships = append(n.Memberships, Membership{c.ChannelID, c.Actor.User})
}

func loadChannel(n *Needs, c *Change) {
	n.channel(c)
	n.Changes = append(n.Changes, c.ID)
}

// loadNewMessage does not load a change: the id of a send is its message's.
func loadNewMessage(n *Needs, c *Change) {
	n.channel(c)
	n.Messages = append(n.Messages, c.ID)
	if c.Message.ParentMessageID != nil {
		n.Messages = append(n.Messages, *c.Message.ParentMessageID)
	}
}

func loadMessage(n *Needs, c *Change) {
	loadChannel(n, c)
	n.Messages = append(n.Messages, c.MessageID)
}

func loadReactions(n *Needs, c *Change) {
	loadMessage(n, c)
	n.Reactions = append(n.Reactions, c.MessageID)
}

func loadPins(n *Needs, c *Change) {
	loadMessage(n, c)
	n.Pins = append(n.Pins, c.ChannelID)
}

func loadMember(n *Needs, c *Change) {
	loadChannel(n, c)
	n.Memberships = append(n.Memberships, Membership{c.ChannelID, c.Subject})
	n.Users = append(n.Users, c.Subject)
	n.Owners = append(n.Owners, c.ChannelID)
}
