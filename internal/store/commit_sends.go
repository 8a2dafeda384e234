package store

import (
	"slices"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

// sends are the part of a group that is nothing but new messages in channels to
// which the group does nothing else: by far the most of what is committed. The
// database decides upon them itself, so a group of them alone is one round trip.
//
// The statements have no ON CONFLICT: it would leave a hole in the seqs. An id that
// exists fails all, nothing is consumed, and the group is decided in memory,
// which knows how to answer duplicates.
type sends struct {
	group   []state.Change
	index   []int // into group
	allowed chat.Roles
	heads   map[chat.ID]*sendHead // of channels that exist
	memory  *memory
	users   map[chat.UserID]*chat.UserRef
	found   []*chat.UserRef // users that were not remembered
}

// memory is what the store remembers between groups.
type memory struct {
	recent  recentIDs
	authors authors
	senders senders
}

// sendHead is what the statement says of a channel.
type sendHead struct {
	admitted     int64 // messages that may be sent
	seq, ordinal int64 // before the first of them, and then during the count
	// moved is false when the channel's rights changed while the statement waited
	// for its row, so that nothing was stored and it must be decided again.
	moved    bool
	archived bool      // SQLite's own look
	at       chat.Time // of the newest message, SQLite's own count
	refused  []int64   // places in index, from 1
	// rights is the channel's rights_seq; asked says that the members are looked at.
	rights chat.Seq
	asked  bool
}

// splitSends tells new messages from the rest of a group. What belongs to one
// channel stays together, in its order.
func splitSends(group []state.Change, memory *memory) (s *sends, rest []int) {
	s = &sends{group: group, memory: memory}
	var others map[chat.ID]bool
	for i := range group {
		if c := &group[i]; !s.plain(c) {
			if others == nil {
				others = make(map[chat.ID]bool)
			}
			others[c.ChannelID] = true
		}
	}
	s.index = make([]int, 0, len(group))
	for i := range group {
		if others[group[i].ChannelID] {
			rest = append(rest, i)
		} else {
			s.index = append(s.index, i)
		}
	}
	return s, rest
}

// plain says whether a change is a new message like the others: the same roles may
// send it, it answers to no parent, and the databases can hold its text.
func (s *sends) plain(c *state.Change) bool {
	if c.Kind != state.SendMessage || c.Message == nil || c.Allowed.Has(chat.NotMember) || storable(c) != nil {
		return false
	}
	m := c.Message
	if m.ParentMessageID != nil || m.IsEdited || m.IsDeleted || m.ReactionCount != 0 || m.ThreadReplyCount != 0 || m.ThreadLastReplyAt != nil ||
		m.EditedAt != nil || m.DeletedAt != nil {
		return false
	}
	if s.allowed == 0 {
		s.allowed = c.Allowed
	}
	return c.Allowed == s.allowed && c.Allowed != 0
}

// channels lists the channels concerned.
func (s *sends) channels() []chat.ID {
	ids := make([]chat.ID, len(s.index))
	for k, i := range s.index {
		ids[k] = s.group[i].ChannelID
	}
	return ids
}

func (s *sends) findAuthors(c conn) {
	s.users = make(map[chat.UserID]*chat.UserRef, len(s.index))
	for _, i := range s.index {
		s.users[s.group[i].Actor] = nil
	}
	unknown := s.memory.authors.fill(s.users)
	if len(unknown) == 0 {
		return
	}
	c.Queue(`-- name: send_authors
		SELECT id, name, picture FROM users WHERE id = ANY($1)`, []any{unknown}, func(r row) error {
		var u chat.User
		err := r.Scan(&u.ID, &u.Name, &u.Picture)
		s.users[u.ID] = u.Ref(false)
		s.found = append(s.found, s.users[u.ID])
		return err
	})
}

// outcomes tells what became of each, as the statement numbered them, and which
// must be decided again.
func (s *sends) outcomes(into []state.Outcome) (again []int) {
	s.memory.authors.remember(s.found)
	for k, i := range s.index {
		c := &s.group[i]
		head := s.heads[c.ChannelID]
		switch {
		case head == nil:
			into[i].Err = chat.ErrAccessDenied
		case head.admitted > 0 && !head.moved:
			s.memory.senders.forget(c.ChannelID)
			again = append(again, i)
		case slices.Contains(head.refused, int64(k+1)):
			// Whoever may not send now may repeat what he sent when he might: only a look
			// at what is stored tells.
			again = append(again, i)
		default:
			head.seq++
			head.ordinal++
			if head.asked {
				s.memory.senders.learn(c.ChannelID, head.rights, s.allowed, c.Actor)
			}
			into[i] = sent(c, head.seq, head.ordinal, s.users[c.Actor])
		}
	}
	return again
}
