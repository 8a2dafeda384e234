//go:build !windows

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/chowk-chat/chowk/chat"
)

type postgres struct{ address string }

func (p postgres) url() string { return p.address }

func (p postgres) do(ctx context.Context, f func(*pgx.Conn) error) error {
	c, err := pgx.Connect(ctx, p.address)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(ctx) }()
	return f(c)
}

func (p postgres) fill(ctx context.Context, w *world) error {
	channels := make([][16]byte, len(w.channels))
	for i, c := range w.channels {
		channels[i] = c
	}
	var memberChannels [][16]byte
	var members []string
	w.members(func(c chat.ID, u chat.UserID) {
		memberChannels, members = append(memberChannels, c), append(members, string(u))
	})
	users := make([]string, len(w.users))
	for i, u := range w.users {
		users[i] = string(u)
	}
	return p.do(ctx, func(c *pgx.Conn) error {
		var batch pgx.Batch
		batch.Queue(`INSERT INTO users (id, name, role,
			is_admin, is_active, is_verified, password_hash, created_at)
			SELECT u, 'Name of ' || u, 'student', false, true, true, '', 0 FROM unnest($1::text[]) u`, users)
		batch.Queue(`INSERT INTO channels (id, name, channel_type, is_private, is_archived, created_by,
			member_count, message_count, last_seq, last_message_at, created_at, updated_at)
			SELECT c, 'bench', 'group', true, false, 'user-000000', 0, 0, 0, 0, 0, 0 FROM unnest($1::uuid[]) c`, channels)
		batch.Queue(`INSERT INTO members (channel_id, user_id, role, joined_at, joined_seq,
			last_read_at, last_read_seq, read_ordinal)
			SELECT c, u, 'member', 0, 0, 0, 0, 0 FROM unnest($1::uuid[], $2::text[]) AS m(c, u)`, memberChannels, members)
		if err := c.SendBatch(ctx, &batch).Close(); err != nil {
			return fmt.Errorf("fill: %w", err)
		}
		_, err := c.Exec(ctx, "ANALYZE")
		return err
	})
}

// perEvent is the old system after its repair: each event acquires a connection from a
// pool of 10 + 20 for one transaction with five statements.
func (p postgres) perEvent(ctx context.Context) (sendFunc, func(), error) {
	c, err := pgxpool.ParseConfig(p.address)
	if err != nil {
		return nil, nil, err
	}
	c.MinConns, c.MaxConns = 10, 30
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context, channel chat.ID, user chat.UserID) error {
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			var role string
			if err := tx.QueryRow(ctx, "SELECT role FROM members WHERE channel_id = $1 AND user_id = $2", [16]byte(channel),
				string(user)).Scan(&role); err != nil {
				return fmt.Errorf("check membership: %w", err)
			}
			at := time.Now().UnixMicro()
			var seq, ordinal int64
			if err := tx.QueryRow(ctx, `UPDATE channels
				SET last_seq = last_seq + 1, message_count = message_count + 1, last_message_at = $2 WHERE id = $1
				RETURNING last_seq, message_count`, [16]byte(channel), at).Scan(&seq, &ordinal); err != nil {
				return fmt.Errorf("update the channel: %w", err)
			}
			id := chat.NewID()
			_, err := tx.Exec(ctx, `INSERT INTO messages (channel_id, seq, id, ordinal, user_id, content,
				message_type, mentions, client_id, body_hash, created_at, updated_at)
				VALUES ($1, $2, $3, $4, $5, $6, 'text', '', $7, 0, $8, $8)`,
				[16]byte(channel), seq, [16]byte(id), ordinal, string(user), content, id.String(), at)
			return err
		})
	}, pool.Close, nil
}

func (p postgres) verify(ctx context.Context, acks int) error {
	return p.do(ctx, func(c *pgx.Conn) error {
		var bad, rows int
		if err := c.QueryRow(ctx, `SELECT count(*) FILTER (WHERE c.last_seq <> n OR c.message_count <> n
				OR most <> n OR d <> n OR ordinals <> n), COALESCE(sum(n), 0)
			FROM channels c JOIN (SELECT channel_id, count(*) AS n, max(seq) AS most, count(DISTINCT seq) AS d,
				max(ordinal) AS ordinals FROM messages GROUP BY channel_id) m ON m.channel_id = c.id`,
		).Scan(&bad, &rows); err != nil {
			return err
		}
		return verdict(bad, rows, acks)
	})
}

func verdict(bad, rows, acks int) error {
	if bad > 0 {
		return fmt.Errorf("%d channels have gaps in their seqs or ordinals, or a last_seq that is not their last", bad)
	}
	if rows != acks {
		return fmt.Errorf("%d messages are stored, but %d were acknowledged", rows, acks)
	}
	return nil
}

// ceiling copies the same rows into a table with the same indexes, in large batches:
// without seqs, checks, or senders that wait.
func (p postgres) ceiling(ctx context.Context, b *bench, w *world, connections int) (measurement, error) {
	if err := p.do(ctx, func(c *pgx.Conn) error {
		_, err := c.Exec(ctx, "CREATE TABLE raw (LIKE messages INCLUDING ALL)")
		return err
	}); err != nil {
		return measurement{}, err
	}
	r := &rawCopy{url: p.address, world: w}
	run := time.Duration(b.seconds * float64(time.Second))
	l := load{world: w, senders: connections, postmaster: b.pg.Pid(), warm: run / 4, run: run, send: r.batch}
	out := l.do(ctx)
	r.close(ctx)
	if out.err != nil {
		return measurement{}, out.err
	}
	if err := p.do(ctx, func(c *pgx.Conn) error {
		var rows int
		err := c.QueryRow(ctx, "SELECT count(*) FROM raw").Scan(&rows)
		if err == nil {
			err = verdict(0, rows, out.acks*rawBatch)
		}
		return err
	}); err != nil {
		return measurement{}, fmt.Errorf("COPY: verify: %w", err)
	}
	m := take("", "COPY, batches of 10,000", out.counted*rawBatch, out.waits, out.before, out.after)
	m.Senders, m.Channels, m.Stored = connections, len(w.channels), int64(out.acks*rawBatch)
	m.Note = "no seqs, no checks"
	return m, nil
}
