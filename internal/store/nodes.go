package store

import (
	"context"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/model"
)

// What several nodes that share a database ask it about each other, because nothing
// that carries news between them is trusted.

// Heartbeat notes that a node lives, and gives how often each did so that was not
// forgotten, by id.
func (s *Store) Heartbeat(ctx context.Context, id, version string) (beats map[string]int64, err error) {
	err = s.db.Write(ctx, "beat", func(c conn) error {
		beats = make(map[string]int64)
		c.Queue(`-- name: beat
			INSERT INTO nodes (id, beats, version) VALUES ($1, 1, $2) ON CONFLICT (id) DO UPDATE SET beats = nodes.beats + 1, version = excluded.version`, []any{id, version}, nil)
		c.Queue("-- name: nodes\nSELECT id, beats FROM nodes", nil, func(r row) error {
			var node string
			var n int64
			err := r.Scan(&node, &n)
			beats[node] = n
			return err
		})
		return c.Flush()
	})
	return beats, err
}

// ForgetNode drops a node that has not lived since it had as many beats.
func (s *Store) ForgetNode(ctx context.Context, id string, beats int64) error {
	return s.db.Write(ctx, "forget_node", func(c conn) error {
		return database.Exec(c, "-- name: forget_node\nDELETE FROM nodes WHERE id = $1 AND beats = $2", id, beats)
	})
}

// Deregister drops a node that ends.
func (s *Store) Deregister(ctx context.Context, id string) error {
	return s.db.Write(ctx, "leave_nodes", func(c conn) error {
		return database.Exec(c, "-- name: leave_nodes\nDELETE FROM nodes WHERE id = $1", id)
	})
}

// aheadMost is how many channels one statement asks for.
const aheadMost = 20_000

// HeadsBeyond gives the heads of the channels that are further than known says. There may
// be many: it asks in one statement for each 20,000.
func (s *Store) HeadsBeyond(ctx context.Context, known map[chat.ID]chat.Seq) (map[chat.ID]chat.Seq, error) {
	ahead := make(map[chat.ID]chat.Seq)
	ids := make([]chat.ID, 0, min(len(known), aheadMost))
	ask := func() error {
		err := s.db.Read(ctx, "ahead", func(c conn) error {
			return database.Query(c, "-- name: ahead\nSELECT id, last_seq FROM channels WHERE id = ANY($1)", func(r row) error {
				var id chat.ID
				var seq chat.Seq
				err := r.Scan(&id, &seq)
				if seq > known[id] {
					ahead[id] = seq
				}
				return err
			}, ids)
		})
		ids = ids[:0]
		return err
	}
	for id := range known {
		if ids = append(ids, id); len(ids) == aheadMost {
			if err := ask(); err != nil {
				return nil, err
			}
		}
	}
	if len(ids) == 0 {
		return ahead, nil
	}
	return ahead, ask()
}

// joinsMost bounds an answer of RecentJoins.
const joinsMost = 10_000

// RecentJoins gives the newest entries after a time by which memberships began, at most
// 10,000, in no order. The time of an entry is that of the node that made it, a
// moment before it was committed.
func (s *Store) RecentJoins(ctx context.Context, after chat.Time) (joins []chat.Entry, err error) {
	err = s.db.Read(ctx, "joins", func(c conn) error {
		joins = nil
		return database.Query(c, "-- name: joins\nSELECT "+changeColumns+" FROM changes WHERE at > $1 AND type IN ('member_joined', 'channel_joined') ORDER BY at DESC LIMIT $2", func(r row) error {
			ev, err := scanChange(r)
			joins = append(joins, *ev)
			return err
		}, after, joinsMost)
	})
	return joins, err
}

// JoinSeqs tells since which seq those of the users who are members of a channel are
// (0 for founders), and the channel's head.
func (s *Store) JoinSeqs(ctx context.Context, channel chat.ID, users []chat.UserID) (joined map[chat.UserID]chat.Seq, head chat.Seq, err error) {
	err = s.db.Read(ctx, "joined", func(c conn) error {
		joined, head = make(map[chat.UserID]chat.Seq), 0
		return database.Query(c, `-- name: joined
			SELECT m.user_id, m.joined_seq, c.last_seq FROM members m JOIN channels c ON c.id = m.channel_id WHERE m.channel_id = $1 AND m.user_id = ANY($2)`, func(r row) error {
			var user chat.UserID
			var seq chat.Seq
			err := r.Scan(&user, &seq, &head)
			joined[user] = seq
			return err
		}, channel, users)
	})
	return joined, head, err
}

// revocationsKept is for how long they are: no node is without the database for
// that long and still has sockets.
const revocationsKept = 24 * time.Hour

// Revocations gives those after an id, at most limit, in the order of their ids.
// What another transaction is about to commit may yet come before the last.
func (s *Store) Revocations(ctx context.Context, after int64, limit int) (all []model.Revocation, err error) {
	err = s.db.Read(ctx, "revocations", func(c conn) error {
		all = nil
		return database.Query(c, "-- name: revocations\nSELECT id, user_id, hash, enabled FROM revocations WHERE id > $1 ORDER BY id LIMIT $2", func(r row) error {
			var v model.Revocation
			err := r.Scan(&v.ID, &v.UserID, &v.Hash, &v.Enabled)
			all = append(all, v)
			return err
		}, after, limit)
	})
	return all, err
}

// LastRevocation gives the id of the newest, 0 when there is none.
func (s *Store) LastRevocation(ctx context.Context) (id int64, err error) {
	err = s.db.Read(ctx, "last_revocation", func(c conn) error {
		return database.Query(c, "-- name: last_revocation\nSELECT COALESCE(max(id), 0) FROM revocations", func(r row) error { return r.Scan(&id) })
	})
	return id, err
}

// revoke queues the note that access ended, or came back.
func revoke(c conn, user chat.UserID, hash model.TokenHash, enabled bool) {
	c.Queue("-- name: add_revocation\nINSERT INTO revocations (user_id, hash, enabled, at) VALUES ($1, $2, $3, $4)", []any{user, hash, enabled, chat.TimeOf(time.Now())}, nil)
}
