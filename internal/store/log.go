package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
)

// changeColumns are the columns that make up an entry. The payload holds the fields
// that have no column of their own.
const changeColumns = "channel_id, seq, type, user_id, at, payload"

// payloadOf returns the JSON of an entry without the fields that are columns.
func payloadOf(e *chat.Entry) string {
	rest := *e
	rest.Type, rest.ChannelID, rest.Seq, rest.UserID, rest.At = "", chat.ID{}, 0, "", 0
	b, err := json.Marshal(&rest, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		panic("store: encode an entry: " + err.Error()) // one of our own types
	}
	return string(b)
}

// scanChange reads changeColumns, after the columns in before.
func scanChange(r row, before ...any) (*chat.Entry, error) {
	e := new(chat.Entry)
	var payload string
	columns := append(before, &e.ChannelID, &e.Seq, (*string)(&e.Type), &e.UserID, &e.At, &payload)
	if err := r.Scan(columns...); err != nil {
		return e, err
	}
	if err := json.Unmarshal([]byte(payload), e); err != nil {
		return e, fmt.Errorf("decode change %d of channel %s: %w", e.Seq, e.ChannelID, err)
	}
	return e, nil
}

// Log is LogTo for somebody who does not know how far the log goes.
func (s *Store) Log(ctx context.Context, channel chat.ID, after chat.Seq, limit int) ([]chat.Entry, error) {
	return s.LogTo(ctx, channel, after, limit, 0)
}

// LogTo gives a channel's entries after a seq. See hub.Store. A replica that has
// come to head knows of every edit and deletion up to there as well.
func (s *Store) LogTo(ctx context.Context, channel chat.ID, after chat.Seq, limit int, head chat.Seq) (log []chat.Entry, err error) {
	err = s.readAt(ctx, "log", channel, head, func(c conn) error {
		log = nil
		c.Queue("-- name: log_floor\nSELECT log_floor FROM channels WHERE id = $1 AND log_floor > $2", []any{channel, after}, func(row) error {
			return errForgotten
		})
		c.Queue("-- name: log_messages\nSELECT "+authored+"WHERE m.channel_id = $1 AND m.seq > $2 AND m.seq <= $3 ORDER BY m.seq", []any{channel, after, after + int64(limit)}, func(r row) error {
			m := new(chat.Message)
			err := scanAuthored(r, m)
			log = append(log, chat.Entry{
				Type: chat.EventMessage, ChannelID: m.ChannelID, Seq: m.Seq, UserID: m.UserID, At: m.CreatedAt, Message: m.Data(),
			})
			return err
		})
		c.Queue("-- name: log_changes\nSELECT "+changeColumns+" FROM changes WHERE channel_id = $1 AND seq > $2 AND seq <= $3 ORDER BY seq", []any{channel, after, after + int64(limit)}, func(r row) error {
			ev, err := scanChange(r)
			log = append(log, *ev)
			return err
		})
		return c.Flush()
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(log, func(a, b chat.Entry) int { return cmp.Compare(a.Seq, b.Seq) })
	// The two statements may have seen different moments: what is beyond a hole is
	// for the next call.
	for i := range log {
		if log[i].Seq != after+1+int64(i) {
			return log[:i], nil
		}
	}
	return log, nil
}

// Heads gives the last seq of each channel that exists. See hub.Store.
func (s *Store) Heads(ctx context.Context, channels []chat.ID) (map[chat.ID]chat.Seq, error) {
	heads := make(map[chat.ID]chat.Seq, len(channels))
	// Joined with what others ask for at this moment, all at once.
	type answer struct {
		id   chat.ID
		wait func(context.Context) (chat.Seq, bool, error)
	}
	var answers []answer
	for _, id := range channels {
		answers = append(answers, answer{id, s.heads.ask(id)})
	}
	for _, a := range answers {
		seq, found, err := a.wait(ctx)
		if err != nil {
			return nil, err
		}
		if found {
			heads[a.id] = seq
		}
	}
	return heads, nil
}

func (s *Store) loadHeads(ctx context.Context, ids []chat.ID) (heads map[chat.ID]chat.Seq, err error) {
	err = s.db.Read(ctx, "heads", func(c conn) error {
		heads = make(map[chat.ID]chat.Seq, len(ids))
		return database.Query(c, "-- name: heads\nSELECT id, last_seq FROM channels WHERE id = ANY($1)", func(r row) error {
			var id chat.ID
			var seq chat.Seq
			err := r.Scan(&id, &seq)
			heads[id] = seq
			return err
		}, ids)
	})
	return heads, err
}
