//go:build !windows

package main

import (
	"context"
	"errors"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/chowk-chat/chowk/chat"
)

type sqliteFile struct{ path string }

func (f sqliteFile) url() string { return "sqlite:" + f.path }

func (f sqliteFile) open() (*sqlite.Conn, error) {
	c, err := sqlite.OpenConn(f.path, sqlite.OpenReadWrite)
	if err != nil {
		return nil, err
	}
	for _, pragma := range []string{
		"PRAGMA synchronous=FULL", "PRAGMA wal_autocheckpoint=4000",
		"PRAGMA cache_size=-16384",
	} {
		err = errors.Join(err, sqlitex.ExecuteTransient(c, pragma, nil))
	}
	return c, err
}

func args(a ...any) *sqlitex.ExecOptions { return &sqlitex.ExecOptions{Args: a} }

func (f sqliteFile) fill(_ context.Context, w *world) (err error) {
	c, err := f.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	defer sqlitex.Transaction(c)(&err)
	for _, u := range w.users {
		if err := sqlitex.Execute(c, `INSERT INTO users (id, name, role,
			is_admin, is_active, is_verified, password_hash, created_at)
			VALUES (?, 'Name of ' || ?1, 'student', 0, 1, 1, '', 0)`, args(string(u))); err != nil {
			return err
		}
	}
	for _, id := range w.channels {
		if err := sqlitex.Execute(c, `INSERT INTO channels (id, name, channel_type, is_private, is_archived, created_by,
			member_count, message_count, last_seq, last_message_at, created_at, updated_at)
			VALUES (?, 'bench', 'group', 1, 0, 'user-000000', 0, 0, 0, 0, 0, 0)`, args(id[:])); err != nil {
			return err
		}
	}
	w.members(func(id chat.ID, u chat.UserID) {
		err = errors.Join(err, sqlitex.Execute(c, `INSERT INTO members (channel_id, user_id, role, joined_at, joined_seq,
			last_read_at, last_read_seq, read_ordinal)
			VALUES (?, ?, 'member', 0, 0, 0, 0, 0)`, args(id[:], string(u))))
	})
	return err
}

// perEvent is a transaction per event on the only connection that may write.
func (f sqliteFile) perEvent(context.Context) (sendFunc, func(), error) {
	c, err := f.open()
	if err != nil {
		return nil, nil, err
	}
	writer := make(chan *sqlite.Conn, 1)
	writer <- c
	return func(_ context.Context, channel chat.ID, user chat.UserID) error {
		c := <-writer
		defer func() { writer <- c }()
		return f.event(c, channel, user)
	}, func() { _ = (<-writer).Close() }, nil
}

func (sqliteFile) event(c *sqlite.Conn, channel chat.ID, user chat.UserID) (err error) {
	end, err := sqlitex.ImmediateTransaction(c)
	if err != nil {
		return err
	}
	defer end(&err)
	member := false
	check := args(channel[:], string(user))
	check.ResultFunc = func(*sqlite.Stmt) error { member = true; return nil }
	if err := sqlitex.Execute(c, "SELECT role FROM members WHERE channel_id = ? AND user_id = ?", check); err != nil ||
		!member {
		return errors.Join(err, errors.New("check membership"))
	}
	at := time.Now().UnixMicro()
	var seq, ordinal int64
	head := args(channel[:], at)
	head.ResultFunc = func(s *sqlite.Stmt) error { seq, ordinal = s.ColumnInt64(0), s.ColumnInt64(1); return nil }
	if err := sqlitex.Execute(c, `UPDATE channels
				SET last_seq = last_seq + 1, message_count = message_count + 1, last_message_at = ?2 WHERE id = ?1
		RETURNING last_seq, message_count`, head); err != nil {
		return err
	}
	id := chat.NewID()
	return sqlitex.Execute(c, `INSERT INTO messages (channel_id, seq, id, ordinal, user_id, content,
				message_type, mentions, client_id, body_hash, created_at, updated_at)
		VALUES (?, ?, ?, ?, ?, ?, 'text', '', ?, 0, ?, ?)`,
		args(channel[:], seq, id[:], ordinal, string(user), content, id.String(), at, at))
}

func (f sqliteFile) verify(_ context.Context, acks int) (err error) {
	c, err := f.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	var bad, rows int
	read := args()
	read.ResultFunc = func(s *sqlite.Stmt) error { bad, rows = s.ColumnInt(0), s.ColumnInt(1); return nil }
	if err := sqlitex.Execute(c, `SELECT COALESCE(sum(c.last_seq <> n OR c.message_count <> n OR most <> n OR d <> n
			OR ordinals <> n), 0), COALESCE(sum(n), 0)
		FROM channels c JOIN (SELECT channel_id, count(*) AS n, max(seq) AS most, count(DISTINCT seq) AS d,
				max(ordinal) AS ordinals FROM messages GROUP BY channel_id) m ON m.channel_id = c.id`, read); err != nil {
		return err
	}
	return verdict(bad, rows, acks)
}
