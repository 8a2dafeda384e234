package store

import (
	"slices"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

// sends are the plain new messages of a group (see state.Change.IsPlainSend) in channels to
// which the group does nothing else: by far most of what is committed. The database decides
// them itself, so a group of nothing else is one round trip.
//
// The statements have no ON CONFLICT: it would leave a gap in the seqs. An id that exists
// makes all of them fail, nothing is stored, and package state decides the group, because it
// can answer duplicates.
type sends struct {
	group  []state.Change
	index  []int // into group
	rules  *state.Rules
	heads  map[chat.ID]*sendHead // of channels that exist
	memory *memory
	users  map[chat.UserID]*chat.UserRef
	found  []*chat.UserRef // users that were not cached
}

// memory is what the store remembers between groups.
type memory struct {
	recent  recentIDs
	authors authors
	senders senders
}

// sendHead is what the statement returns of a channel.
type sendHead struct {
	admitted     int64 // messages that are stored
	seq, ordinal int64 // before the first of them, and then those of the last one counted
	// moved is false if the channel's rights changed while the statement waited for its row:
	// nothing was stored, and its messages must be decided again.
	moved    bool
	archived bool      // only for SQLite
	at       chat.Time // of the newest message
	refused  []int64   // places in index, from 1
	// rights is the channel's rights_seq. With asked, its members are read.
	rights chat.Seq
	asked  bool
}

// splitSends separates plain new messages from the rest of a group. What belongs to one
// channel stays together, in its order.
func splitSends(group []state.Change, rules *state.Rules, memory *memory) (s *sends, rest []int) {
	s = &sends{group: group, rules: rules, memory: memory}
	var others map[chat.ID]bool
	for i := range group {
		if c := &group[i]; !c.IsPlainSend() {
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

// channels returns the channels of the messages.
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
		s.users[s.group[i].Actor.User] = nil
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

// outcomes sets the outcome of each message, as the statement numbered them, and returns the
// indexes of those that must be decided again.
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
			// A user who may no longer send may still repeat what they sent while they could:
			// only what is stored shows that.
			again = append(again, i)
		default:
			head.seq++
			head.ordinal++
			if head.asked {
				s.memory.senders.learn(c.ChannelID, head.rights, c.Actor.User)
			}
			into[i] = state.Sent(c, head.seq, head.ordinal, s.users[c.Actor.User])
		}
	}
	return again
}
