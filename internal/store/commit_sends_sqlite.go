package store

import (
	"errors"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

// repeat carries a statement out n times, prepared once. Values are bound as they
// are: boxed in a slice of any they would cost as much again as the insert.
func (c *sqliteConn) repeat(sql string, n int, bind func(s *sqlite.Stmt, i int), each func(s *sqlite.Stmt, i int) error) {
	if c.failed != nil || n == 0 {
		return
	}
	start := time.Now()
	var rows int64
	stmt, err := c.raw.Prepare(sql)
	for i := 0; i < n && err == nil; i++ {
		bind(stmt, i)
		var more bool
		if more, err = stmt.Step(); err == nil && more {
			rows++
			err = each(stmt, i)
		}
		err = errors.Join(err, stmt.Reset())
	}
	e := newExecution(c.unit, []string{statementName(sql)}, sql)
	e.begun, e.took, e.rows, e.err = start, time.Since(start), rows, err
	c.done = append(c.done, e)
	c.failed = err
}

// each decides upon the messages one by one, since there is no round trip to save,
// and nobody else writes meanwhile.
func (s *sends) each(c conn) error {
	db, ok := c.(*sqliteConn)
	if !ok {
		return errors.New("not SQLite's connection")
	}
	s.heads = make(map[chat.ID]*sendHead, len(s.index))
	roles := s.readRoles(db)
	if err := db.flush(); err != nil {
		return err
	}
	admitted := s.admit(roles)
	s.insertEach(db, admitted)
	s.moveHeads(db)
	s.findAuthors(db)
	return db.flush()
}

func (s *sends) readRoles(db *sqliteConn) map[pairKey]chat.Role {
	roles := make(map[pairKey]chat.Role, len(s.index))
	pairs := make([]pairKey, 0, len(s.index))
	for _, i := range s.index {
		p := pairKey{s.group[i].ChannelID, s.group[i].Actor}
		if _, known := roles[p]; !known {
			roles[p] = chat.NotMember
			pairs = append(pairs, p)
		}
	}
	db.repeat(`-- name: send_role
		SELECT c.last_seq, c.message_count, c.is_archived, COALESCE(m.role, '') FROM channels c
		LEFT JOIN members m ON m.channel_id = c.id AND m.user_id = ?2 WHERE c.id = ?1`, len(pairs),
		func(q *sqlite.Stmt, i int) {
			q.BindBytes(1, pairs[i].channel[:])
			q.BindText(2, string(pairs[i].user))
		}, func(q *sqlite.Stmt, i int) error {
			if s.heads[pairs[i].channel] == nil {
				s.heads[pairs[i].channel] = &sendHead{seq: q.ColumnInt64(0), ordinal: q.ColumnInt64(1), archived: q.ColumnInt64(2) != 0, moved: true}
			}
			roles[pairs[i]] = chat.Role(q.ColumnText(3))
			return nil
		})
	return roles
}

// admit says which of the messages may be sent, by their places in index.
func (s *sends) admit(roles map[pairKey]chat.Role) (admitted []int) {
	admitted = make([]int, 0, len(s.index))
	for k, i := range s.index {
		c := &s.group[i]
		head := s.heads[c.ChannelID]
		if head == nil {
			continue
		}
		role := roles[pairKey{c.ChannelID, c.Actor}]
		if checkAllowed(c, head.archived, role, false) != nil {
			head.refused = append(head.refused, int64(k+1))
			continue
		}
		head.admitted++
		head.at = max(head.at, c.At)
		admitted = append(admitted, k)
	}
	return admitted
}

func (s *sends) insertEach(db *sqliteConn, admitted []int) {
	places := make(map[*sendHead]int64, len(s.heads))
	db.repeat(`-- name: send
		INSERT INTO messages (channel_id, seq, id, ordinal, user_id, content, message_type, mentions, client_id, body_hash,
			file_url, file_name, file_type, file_size, created_at, updated_at)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?15)`, len(admitted),
		func(q *sqlite.Stmt, i int) {
			c := &s.group[s.index[admitted[i]]]
			m, head := c.Message, s.heads[c.ChannelID]
			places[head]++
			q.BindBytes(1, c.ChannelID[:])
			q.BindInt64(2, head.seq+places[head])
			q.BindBytes(3, c.ID[:])
			q.BindInt64(4, head.ordinal+places[head])
			q.BindText(5, string(c.Actor))
			q.BindText(6, m.Content)
			q.BindText(7, string(m.MessageType))
			q.BindText(8, mentionsText(m))
			q.BindText(9, m.ClientID)
			q.BindInt64(10, state.BodyHash(m))
			for k, p := range [...]*string{m.FileURL, m.FileName, m.FileType} {
				if p == nil {
					q.BindNull(11 + k)
				} else {
					q.BindText(11+k, *p)
				}
			}
			if m.FileSize == nil {
				q.BindNull(14)
			} else {
				q.BindInt64(14, *m.FileSize)
			}
			q.BindInt64(15, int64(c.At))
		}, nil)
}

func (s *sends) moveHeads(db *sqliteConn) {
	moved := make([]chat.ID, 0, len(s.heads))
	for id, head := range s.heads {
		if head.admitted > 0 {
			moved = append(moved, id)
		}
	}
	db.repeat(`-- name: send_heads
		UPDATE channels SET last_seq = last_seq + ?2, message_count = message_count + ?2, last_message_at = max(last_message_at, ?3) WHERE id = ?1`, len(moved),
		func(q *sqlite.Stmt, i int) {
			q.BindBytes(1, moved[i][:])
			q.BindInt64(2, s.heads[moved[i]].admitted)
			q.BindInt64(3, int64(s.heads[moved[i]].at))
		}, nil)
}

// moveOwnReads moves the cursors of those who have just sent what they read.
func (c *sqliteConn) moveOwnReads(reads []state.Read, index []int) {
	c.repeat(`-- name: read_own
		UPDATE members SET last_read_seq = ?3, read_ordinal = ?4, last_read_at = ?5 WHERE channel_id = ?1 AND user_id = ?2 AND last_read_seq < ?3`, len(index),
		func(q *sqlite.Stmt, i int) {
			r := &reads[index[i]]
			q.BindBytes(1, r.ChannelID[:])
			q.BindText(2, string(r.UserID))
			q.BindInt64(3, r.Seq)
			q.BindInt64(4, r.Ordinal)
			q.BindInt64(5, int64(r.At))
		}, nil)
}
