package store

import (
	"context"
	"maps"
	"slices"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
)

const selectHeads = "SELECT id, last_seq FROM channels WHERE id = ANY($1)"

// Heads returns the last seq of each channel that exists. Calls made at the same time
// share a statement. See hub.Store.
func (s *Store) Heads(ctx context.Context, channels []chat.ID) (map[chat.ID]chat.Seq, error) {
	type answer struct {
		id   chat.ID
		wait func(context.Context) (chat.Seq, bool, error)
	}
	answers := make([]answer, len(channels)) // requested together, before any is waited for
	for i, id := range channels {
		answers[i] = answer{id, s.heads.request(id)}
	}
	heads := make(map[chat.ID]chat.Seq, len(channels))
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
		return database.Query(c, "-- name: heads\n"+selectHeads, scanHead(func(id chat.ID, seq chat.Seq) {
			heads[id] = seq
		}), ids)
	})
	return heads, err
}

func scanHead(each func(id chat.ID, seq chat.Seq)) func(row) error {
	return func(r row) error {
		var id chat.ID
		var seq chat.Seq
		err := r.Scan(&id, &seq)
		each(id, seq)
		return err
	}
}

// maxHeads is how many channels one statement of HeadsBeyond reads.
const maxHeads = 20_000

// HeadsBeyond returns the heads of the channels that are further than known. There may be
// many: each 20,000 cost a statement.
func (s *Store) HeadsBeyond(ctx context.Context, known map[chat.ID]chat.Seq) (map[chat.ID]chat.Seq, error) {
	beyond := make(map[chat.ID]chat.Seq)
	for ids := range slices.Chunk(slices.Collect(maps.Keys(known)), maxHeads) {
		err := s.db.Read(ctx, "heads_beyond", func(c conn) error {
			return database.Query(c, "-- name: heads_beyond\n"+selectHeads, scanHead(func(id chat.ID, seq chat.Seq) {
				if seq > known[id] {
					beyond[id] = seq
				}
			}), ids)
		})
		if err != nil {
			return nil, err
		}
	}
	return beyond, nil
}
