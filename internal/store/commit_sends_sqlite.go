package store

import (
	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/state"
)

// each decides the messages one by one: there is no round trip to save, and nothing else
// writes meanwhile.
func (s *sends) each(c conn) error {
	db, ok := c.(database.Repeater)
	if !ok {
		return errNoRepeater
	}
	s.heads = make(map[chat.ID]*sendHead, len(s.index))
	roles := s.readRoles(db)
	if err := db.Flush(); err != nil {
		return err
	}
	admitted := s.admit(roles)
	s.insertEach(db, admitted)
	s.moveHeads(db)
	s.findAuthors(db)
	return db.Flush()
}

func (s *sends) readRoles(db database.Repeater) map[state.Membership]chat.Role {
	roles := make(map[state.Membership]chat.Role, len(s.index))
	pairs := make([]state.Membership, 0, len(s.index))
	for _, i := range s.index {
		p := state.Membership{ChannelID: s.group[i].ChannelID, UserID: s.group[i].Actor.User}
		if _, known := roles[p]; !known {
			roles[p] = chat.NotMember
			pairs = append(pairs, p)
		}
	}
	db.Repeat(`-- name: send_role
		SELECT c.last_seq, c.message_count, c.is_archived, COALESCE(m.role, '') FROM channels c
		LEFT JOIN members m ON m.channel_id = c.id AND m.user_id = ?2 WHERE c.id = ?1`, len(pairs),
		func(q database.Binder, i int) {
			q.Bytes(1, pairs[i].ChannelID[:])
			q.Text(2, string(pairs[i].UserID))
		}, func(q database.Columns, i int) error {
			if id := pairs[i].ChannelID; s.heads[id] == nil {
				s.heads[id] = &sendHead{seq: q.Int64(0), ordinal: q.Int64(1), archived: q.Bool(2), moved: true}
			}
			roles[pairs[i]] = chat.Role(q.Text(3))
			return nil
		})
	return roles
}

// admit returns the messages that may be sent, by their places in index.
func (s *sends) admit(roles map[state.Membership]chat.Role) (admitted []int) {
	admitted = make([]int, 0, len(s.index))
	for k, i := range s.index {
		c := &s.group[i]
		head := s.heads[c.ChannelID]
		if head == nil {
			continue
		}
		role := roles[state.Membership{ChannelID: c.ChannelID, UserID: c.Actor.User}]
		if s.rules.CheckSend(role, head.archived) != nil {
			head.refused = append(head.refused, int64(k+1))
			continue
		}
		head.admitted++
		head.at = max(head.at, c.At)
		admitted = append(admitted, k)
	}
	return admitted
}

// sendEachSQL has the columns that a message gets here, and then those that its change
// contains.
var sendEachSQL = database.RepeatText(`-- name: send
	INSERT INTO messages (seq, ordinal, updated_at, ` + sentColumns.List("") + `)
	VALUES ($1, $2, $3, ` + sentColumns.Parameters(4) + `)`)

func (s *sends) insertEach(db database.Repeater, admitted []int) {
	places := make(map[*sendHead]int64, len(s.heads))
	db.Repeat(sendEachSQL, len(admitted), func(q database.Binder, i int) {
		c := &s.group[s.index[admitted[i]]]
		head := s.heads[c.ChannelID]
		places[head]++
		q.Int64(1, head.seq+places[head])
		q.Int64(2, head.ordinal+places[head])
		q.Int64(3, int64(c.At))
		sentColumns.Bind(q, 4, c)
	}, nil)
}

func (s *sends) moveHeads(db database.Repeater) {
	moved := make([]chat.ID, 0, len(s.heads))
	for id, head := range s.heads {
		if head.admitted > 0 {
			moved = append(moved, id)
		}
	}
	db.Repeat(`-- name: send_heads
		UPDATE channels SET last_seq = last_seq + ?2, message_count = message_count + ?2,
			last_message_at = max(last_message_at, ?3)
		WHERE id = ?1`, len(moved),
		func(q database.Binder, i int) {
			q.Bytes(1, moved[i][:])
			q.Int64(2, s.heads[moved[i]].admitted)
			q.Int64(3, int64(s.heads[moved[i]].at))
		}, nil)
}
