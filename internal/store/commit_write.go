package store

import (
	"fmt"

	"github.com/chowk-chat/chowk/internal/state"
)

// storeEffects queues everything that a group stores: one round trip together with the COMMIT.
func storeEffects(c conn, e *state.Effects) {
	for _, w := range e.Writes {
		queueWrite(c, w)
	}
	insertMessages.QueueAll(c, e.NewMessages)
	moveHeads.QueueAll(c, e.Heads)
	updateMessage.QueueAll(c, e.Messages)
	entries := make([]*state.NewEntry, len(e.Entries))
	for i := range e.Entries {
		entries[i] = &e.Entries[i]
	}
	insertChange.QueueAll(c, entries)
}

// queueWrite queues a write that is rare enough for a statement of its own.
func queueWrite(c conn, write state.Write) {
	switch w := write.(type) {
	case state.ChannelCreated:
		w.Channel.MemberCount, w.Channel.MessageCount, w.Channel.LastSeq, w.Channel.LastMessageAt = 0, 0, 0, nil
		insertChannel.Queue(c, &w)
	case state.ChannelUpdated:
		updateChannel.Queue(c, &w.Channel)
	case state.MemberAdded:
		insertMember.Queue(c, &w)
	case state.RoleChanged:
		updateRole.Queue(c, &w)
	case state.MemberRemoved:
		deleteMember.Queue(c, &w.Membership)
	case state.ReactionAdded:
		insertReaction.Queue(c, &w)
	case state.ReactionRemoved:
		deleteReaction.Queue(c, &w.Reaction)
	case state.ReactionsCleared:
		deleteReactions.Queue(c, &state.Reaction{MessageID: w.MessageID})
	default:
		panic(fmt.Sprintf("store: %T has no statement", write))
	}
}
