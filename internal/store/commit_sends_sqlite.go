package store

import (
	"errors"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/state"
)

// each decides the messages one by one: there is no round trip to save, and nothing else
// writes meanwhile.
func (s *sends) each(c conn) error {
	db, ok := c.(database.Repeater)
	if !ok {
		return errors.New("the connection cannot repeat a statement")
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

func (s *sends) insertEach(db database.Repeater, admitted []int) {
	places := make(map[*sendHead]int64, len(s.heads))
	db.Repeat(`-- name: send
		INSERT INTO messages (channel_id, seq, id, ordinal, user_id, content, message_type, mentions, client_id,
			body_hash, file_url, file_name, file_type, file_size, created_at, updated_at)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?15)`, len(admitted),
		func(q database.Binder, i int) {
			c := &s.group[s.index[admitted[i]]]
			m, head := c.Message, s.heads[c.ChannelID]
			places[head]++
			q.Bytes(1, c.ChannelID[:])
			q.Int64(2, head.seq+places[head])
			q.Bytes(3, c.ID[:])
			q.Int64(4, head.ordinal+places[head])
			q.Text(5, string(c.Actor.User))
			q.Text(6, m.Content)
			q.Text(7, string(m.MessageType))
			q.Text(8, mentionsText(m))
			q.Text(9, m.ClientID)
			q.Int64(10, state.BodyHash(m))
			q.NullableText(11, m.FileURL)
			q.NullableText(12, m.FileName)
			q.NullableText(13, m.FileType)
			q.NullableInt64(14, m.FileSize)
			q.Int64(15, int64(c.At))
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

// moveOwnReads moves the read cursors of users to the messages that they have just sent.
func moveOwnReads(c database.Repeater, reads []state.Read, index []int) {
	c.Repeat(`-- name: read_own
		UPDATE members SET last_read_seq = ?3, read_ordinal = ?4, last_read_at = ?5
		WHERE channel_id = ?1 AND user_id = ?2 AND last_read_seq < ?3`, len(index),
		func(q database.Binder, i int) {
			r := &reads[index[i]]
			q.Bytes(1, r.ChannelID[:])
			q.Text(2, string(r.UserID))
			q.Int64(3, r.Seq)
			q.Int64(4, r.Ordinal)
			q.Int64(5, int64(r.At))
		}, nil)
}
