//go:build !windows

package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/chowk-chat/chowk/chat"
)

const rawBatch = 10_000 // rows of one COPY

// rawCopy copies batches of rows, each over a connection of its own.
type rawCopy struct {
	url   string
	world *world

	mu   sync.Mutex // guards what follows
	idle []*pgx.Conn
	seqs map[chat.ID]int64
}

func (r *rawCopy) take(ctx context.Context) (*pgx.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.idle); n > 0 {
		c := r.idle[n-1]
		r.idle = r.idle[:n-1]
		return c, nil
	}
	return pgx.Connect(ctx, r.url)
}

func (r *rawCopy) batch(ctx context.Context, _ chat.ID, _ chat.UserID) error {
	c, err := r.take(ctx)
	if err != nil {
		return err
	}
	at := time.Now().UnixMicro()
	rows := r.rows()
	i := 0
	_, err = c.CopyFrom(ctx, pgx.Identifier{"raw"},
		[]string{
			"channel_id", "seq", "id", "ordinal", "user_id", "content", "message_type", "mentions", "client_id",
			"body_hash", "created_at", "updated_at",
		},
		pgx.CopyFromFunc(func() ([]any, error) {
			if i == len(rows) {
				return nil, nil
			}
			row := rows[i]
			i++
			id := chat.NewID()
			return []any{
				[16]byte(row.channel), row.seq, [16]byte(id), row.seq, row.user, content, "text", "", id.String(),
				int64(0), at, at,
			}, nil
		}))
	r.mu.Lock()
	r.idle = append(r.idle, c)
	r.mu.Unlock()
	return err
}

type rawRow struct {
	channel chat.ID
	user    string
	seq     int64
}

// rows returns the next rows, spread over the channels.
func (r *rawCopy) rows() []rawRow {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seqs == nil {
		r.seqs = make(map[chat.ID]int64)
	}
	rows := make([]rawRow, rawBatch)
	for i := range rows {
		// As they arrive from senders: in no order.
		c := r.world.channels[rand.IntN(len(r.world.channels))]
		r.seqs[c]++
		rows[i] = rawRow{c, string(r.world.users[i%len(r.world.users)]), r.seqs[c]}
	}
	return rows
}

func (r *rawCopy) close(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var err error
	for _, c := range r.idle {
		err = errors.Join(err, c.Close(ctx))
	}
	_ = err // the server is about to be removed
}
