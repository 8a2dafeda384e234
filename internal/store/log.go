package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
)

// payload is what the changes table keeps of an entry beside its columns.
type payload struct {
	MessageID     *chat.ID      `json:"message_id,omitempty"`
	Content       string        `json:"content,omitempty"`
	Emoji         string        `json:"emoji,omitempty"`
	ReactionCount int64         `json:"reaction_count,omitempty"`
	Subject       chat.UserID   `json:"subject,omitempty"`
	Role          chat.Role     `json:"role,omitempty"`
	Channel       *chat.Channel `json:"channel,omitempty"`
	Founders      []chat.UserID `json:"founders,omitempty"`
}

func payloadOf(ev *chat.Entry) string {
	p := payload{
		Content: ev.Content, Emoji: ev.Emoji, ReactionCount: ev.ReactionCount, Subject: ev.Subject, Role: ev.Role,
		Channel: ev.Channel, Founders: ev.InitialMembers,
	}
	if !ev.MessageID.IsZero() {
		p.MessageID = &ev.MessageID
	}
	b, err := json.Marshal(p)
	if err != nil {
		panic("store: encode a change: " + err.Error()) // our own struct
	}
	return string(b)
}

const changeColumns = "channel_id, seq, type, user_id, at, payload"

func scanChange(r row, before ...any) (*chat.Entry, error) {
	ev := new(chat.Entry)
	var text string
	if err := r.Scan(append(before, &ev.ChannelID, &ev.Seq, (*string)(&ev.Type), &ev.UserID, &ev.At, &text)...); err != nil {
		return ev, err
	}
	var p payload
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return ev, fmt.Errorf("decode change %d of channel %s: %w", ev.Seq, ev.ChannelID, err)
	}
	ev.Content, ev.Emoji, ev.ReactionCount, ev.Subject, ev.Role, ev.Channel, ev.InitialMembers = p.Content, p.Emoji, p.ReactionCount, p.Subject, p.Role, p.Channel, p.Founders
	if p.MessageID != nil {
		ev.MessageID = *p.MessageID
	}
	return ev, nil
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
			log = append(log, chat.Entry{Type: chat.EventMessage, ChannelID: m.ChannelID, Seq: m.Seq, UserID: m.UserID, At: m.CreatedAt, Message: m})
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
