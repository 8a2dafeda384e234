package relay

import "github.com/chowk-chat/chowk/chat"

// The following methods are hub.Relay.

// Typing sends the nodes with listeners of the channel that a user types or has stopped.
func (n *Node) Typing(channel chat.ID, user chat.UserID, isTyping bool, at chat.Time) {
	note := typingNote{channel, user, isTyping, at}
	n.outbox.putOptional(outgoing{kind: kindTyping, subject: toChannel + channel.String(), body: note})
}

// PublishReadReceipt sends the nodes with listeners of the channel a receipt.
func (n *Node) PublishReadReceipt(r chat.ReadReceiptFrame) {
	n.outbox.putOptional(outgoing{kind: kindRead, subject: toChannel + r.ChannelID.String(), body: r})
}

// Presence sends the nodes on which the user is watched that they came online or went
// offline.
func (n *Node) Presence(user chat.UserID, online bool) {
	n.outbox.putOptional(outgoing{kind: kindPresence, subject: toUser + userToken(user), body: presenceNote{user, online}})
}

// Listen subscribes to a channel, soon.
func (n *Node) Listen(channel chat.ID) { n.want(toChannel+channel.String(), true) }

// Unlisten unsubscribes from a channel, soon.
func (n *Node) Unlisten(channel chat.ID) { n.want(toChannel+channel.String(), false) }

// Watch subscribes to the presence of a user, soon.
func (n *Node) Watch(user chat.UserID) { n.want(toUser+userToken(user), true) }

// Unwatch unsubscribes from the presence of a user, soon.
func (n *Node) Unwatch(user chat.UserID) { n.want(toUser+userToken(user), false) }

func (n *Node) want(subject string, wanted bool) {
	if !n.unlinked {
		n.subscriptions.want(subject, wanted)
	}
}

// Online returns those of the users who are online on other nodes; for nil, all users who
// are. It waits for the other nodes, a fifth of a second at most.
func (n *Node) Online(users []chat.UserID) []chat.UserID {
	if n.unlinked {
		return nil
	}
	return n.presence.online(users)
}

// The following methods process messages of other nodes.

func (n *Node) handleEntries(h header, entries []chat.Entry) bool {
	if !acceptable(entries) {
		return false
	}
	if lag, known := n.peers.lag(h.node, h.at); known {
		n.config.Metrics.Lag.Observe(lag.Seconds())
	}
	n.hub.ApplyRemote(entries)
	return true
}

func (n *Node) handleHead(_ header, note headNote) bool {
	n.hub.MarkUncertain([]chat.ID{note.Channel})
	return true
}

func (n *Node) handleTyping(_ header, note typingNote) bool {
	if note.User.Valid() {
		n.hub.RemoteTyping(note.Channel, note.User, note.Types, note.At)
	}
	return true
}

func (n *Node) handleRead(_ header, r chat.ReadReceiptFrame) bool {
	if r.UserID.Valid() {
		r.Type = chat.EventReadReceipt
		n.config.Database.ForgetReads(r.ChannelID)
		n.hub.RemoteReadReceipt(r)
	}
	return true
}

func (n *Node) handleUser(_ header, note userNote) bool {
	n.config.Database.ForgetUser(note.User)
	return true
}
