package oldways

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// session is a connection and its current transaction, as in the old server's library:
// a transaction begins with the first statement, and again with the first one after a
// commit.
type session struct {
	conn *pgxpool.Conn
	tx   pgx.Tx
}

// session waits for a connection up to the pool's timeout.
func (s *Server) session(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	conn, err := s.pool.Acquire(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("QueuePool limit of size %d overflow %d reached, connection timed out, timeout %.2f",
			s.options.Size, s.options.Overflow, s.options.Timeout.Seconds())
	} else if err != nil {
		return nil, fmt.Errorf("acquire a connection: %w", err)
	}
	return &session{conn: conn}, nil
}

func (s *session) begin(ctx context.Context) (err error) {
	if s.tx == nil {
		s.tx, err = s.conn.Begin(ctx)
	}
	return err
}

func (s *session) commit(ctx context.Context) error {
	tx := s.tx
	s.tx = nil
	return tx.Commit(ctx)
}

// close returns the connection to the pool.
func (s *session) close(ctx context.Context) {
	if s.tx != nil {
		_ = s.tx.Rollback(ctx) // the pool checks what is returned
	}
	s.conn.Release()
}

// channels returns the user's channels.
func (s *session) channels(ctx context.Context, user string) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	rows, err := s.tx.Query(ctx, `SELECT channel_id FROM channel_members WHERE user_id = $1`, user)
	if err != nil {
		return err
	}
	rows.Close()
	return rows.Err()
}

func (s *session) member(ctx context.Context, channel, user string) (ok bool, err error) {
	if err := s.begin(ctx); err != nil {
		return false, err
	}
	err = s.tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM channel_members WHERE channel_id = $1 AND user_id = $2)`, channel,
		user).Scan(&ok)
	return ok, err
}

// insert stores a message, commits, and reads it back, which begins another
// transaction.
func (s *session) insert(ctx context.Context, id, channel, user, content string) (created time.Time, err error) {
	_, err = s.tx.Exec(ctx, `INSERT INTO channel_messages (id, channel_id, user_id, content, created_at)
		VALUES ($1, $2, $3, $4, now())`, id, channel, user, content)
	if err == nil {
		err = s.commit(ctx)
	}
	if err == nil {
		err = s.begin(ctx)
	}
	if err == nil {
		err = s.tx.QueryRow(ctx, `SELECT created_at FROM channel_messages WHERE id = $1`, id).Scan(&created)
	}
	return created, err
}
