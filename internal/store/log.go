package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database/table"
	"github.com/chowk-chat/chowk/internal/state"
)

// entryColumns are those of an entry that is not a message, in the table changes. The
// payload contains the fields that have no column of their own.
var entryColumns = table.Columns[chat.Entry]{
	table.ID("channel_id", func(e *chat.Entry) *chat.ID { return &e.ChannelID }),
	table.Int64("seq", func(e *chat.Entry) *chat.Seq { return &e.Seq }),
	table.Text("type", func(e *chat.Entry) *string { return (*string)(&e.Type) }),
	table.User("user_id", func(e *chat.Entry) *chat.UserID { return &e.UserID }),
	table.Time("at", func(e *chat.Entry) *chat.Time { return &e.At }),
	table.EncodedText("payload", encodePayload, decodePayload),
}

// encodePayload returns the JSON of an entry without the fields that are columns.
func encodePayload(e *chat.Entry) string {
	rest := *e
	rest.Type, rest.ChannelID, rest.Seq, rest.UserID, rest.At = "", chat.ID{}, 0, "", 0
	b, err := json.Marshal(&rest, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		panic("store: encode an entry: " + err.Error()) // one of our own types
	}
	return string(b)
}

// decodePayload adds the payload to an entry after its columns were scanned.
func decodePayload(e *chat.Entry, payload string) error {
	if err := json.Unmarshal([]byte(payload), e); err != nil {
		return fmt.Errorf("decode change %d of channel %s: %w", e.Seq, e.ChannelID, err)
	}
	return nil
}

// changeColumns add the id of the change that became the entry.
var changeColumns = table.Within(entryColumns, func(n *state.NewEntry) *chat.Entry { return n.Entry }).And(
	table.ID("id", func(n *state.NewEntry) *chat.ID { return &n.ChangeID }))

var (
	insertChange = table.Insert("insert_change", "changes", changeColumns, "")

	logFloor    = "-- name: log_floor\nSELECT log_floor FROM channels WHERE id = $1 AND log_floor > $2"
	logMessages = "-- name: log_messages\n" + authoredMessages + `
		WHERE m.channel_id = $1 AND m.seq > $2 AND m.seq <= $3 ORDER BY m.seq`
	logChanges = "-- name: log_changes\nSELECT " + entryColumns.List("") + `
		FROM changes WHERE channel_id = $1 AND seq > $2 AND seq <= $3 ORDER BY seq`
)

// Log is LogTo for a caller who does not know how far the log goes.
func (s *Store) Log(ctx context.Context, channel chat.ID, after chat.Seq, limit int) ([]chat.Entry, error) {
	return s.LogTo(ctx, channel, after, limit, 0)
}

// LogTo returns a channel's entries after a seq. See hub.Store. A replica that has come to
// head also has every edit and deletion up to there.
func (s *Store) LogTo(
	ctx context.Context, channel chat.ID, after chat.Seq, limit int, head chat.Seq,
) (log []chat.Entry, err error) {
	err = s.readAt(ctx, "log", channel, head, func(c conn) error {
		log = nil
		c.Queue(logFloor, []any{channel, after}, func(row) error { return errForgotten })
		upTo := after + int64(limit)
		c.Queue(logMessages, []any{channel, after, upTo}, func(r row) error {
			m := new(chat.Message)
			err := scanAuthored(r, m)
			log = append(log, chat.Entry{
				Type: chat.EventMessage, ChannelID: m.ChannelID, Seq: m.Seq, UserID: m.UserID, At: m.CreatedAt,
				Message: m.Data(),
			})
			return err
		})
		c.Queue(logChanges, []any{channel, after, upTo}, entryColumns.All(func(e *chat.Entry) { log = append(log, *e) }))
		return c.Flush()
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(log, func(a, b chat.Entry) int { return cmp.Compare(a.Seq, b.Seq) })
	return contiguous(log, after), nil
}

// contiguous returns the entries up to the first gap. The statements may have seen
// different moments, so what follows a gap is left for the next call.
func contiguous(log []chat.Entry, after chat.Seq) []chat.Entry {
	for i := range log {
		if log[i].Seq != after+1+int64(i) {
			return log[:i]
		}
	}
	return log
}
