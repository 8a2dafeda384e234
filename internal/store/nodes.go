package store

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
)

// What nodes that share a database read from it about each other. Whatever carries entries
// between them may lose some, so the database has the last word.

// Nodes are the nodes that share a database.
type Nodes struct {
	// Versions are the nodes' versions, by id. A node that was killed remains for a while.
	Versions map[string]string
	// ClusterID separates the nodes from those of other databases. It is nil until a node
	// has started with a relay.
	ClusterID []byte
}

// nodesVersion is the version of the schema that added the table.
const nodesVersion = 3

func (n *Nodes) read(c conn, schemaVersion int64) error {
	if schemaVersion < nodesVersion {
		return nil
	}
	n.Versions = make(map[string]string)
	c.Queue("-- name: cluster_id\nSELECT value FROM meta WHERE name = 'relay_space'", nil,
		func(r row) error { return r.Scan(&n.ClusterID) })
	c.Queue("-- name: node_versions\nSELECT id, version FROM nodes", nil, func(r row) error {
		var id, version string
		err := r.Scan(&id, &version)
		n.Versions[id] = version
		return err
	})
	return c.Flush()
}

// Heartbeat records that a node is alive. It returns how many heartbeats each node has
// recorded, by id, without those that were forgotten.
func (s *Store) Heartbeat(ctx context.Context, id, version string) (beats map[string]int64, err error) {
	err = s.db.Write(ctx, "heartbeat", func(c conn) error {
		beats = make(map[string]int64)
		c.Queue(`-- name: heartbeat
			INSERT INTO nodes (id, beats, version) VALUES ($1, 1, $2)
			ON CONFLICT (id) DO UPDATE SET beats = nodes.beats + 1, version = excluded.version`,
			[]any{id, version}, nil)
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

// ForgetNode deletes a node that has recorded no heartbeat since it had so many.
func (s *Store) ForgetNode(ctx context.Context, id string, beats int64) error {
	return s.db.Write(ctx, "forget_node", func(c conn) error {
		return database.Exec(c, "-- name: forget_node\nDELETE FROM nodes WHERE id = $1 AND beats = $2", id, beats)
	})
}

// Deregister deletes a node that stops.
func (s *Store) Deregister(ctx context.Context, id string) error {
	return s.db.Write(ctx, "deregister", func(c conn) error {
		return database.Exec(c, "-- name: deregister\nDELETE FROM nodes WHERE id = $1", id)
	})
}

// maxJoins bounds what RecentJoins returns.
const maxJoins = 10_000

var selectJoins = "-- name: recent_joins\nSELECT " + entryColumns.List("") + ` FROM changes
	WHERE at > $1 AND type IN ('member_joined', 'channel_joined') ORDER BY at DESC LIMIT $2`

// RecentJoins returns the newest entries after a time by which memberships began, at most
// 10,000, in no particular order. The time of an entry is that of the node that created
// it, a moment before it was committed.
func (s *Store) RecentJoins(ctx context.Context, after chat.Time) (joins []chat.Entry, err error) {
	err = s.db.Read(ctx, "recent_joins", func(c conn) error {
		joins = nil
		add := entryColumns.All(func(e *chat.Entry) { joins = append(joins, *e) })
		return database.Query(c, selectJoins, add, after, maxJoins)
	})
	return joins, err
}

// JoinSeqs returns the seqs of the entries by which those of the users who are members of
// a channel joined it (0 for initial members), and the channel's head.
func (s *Store) JoinSeqs(
	ctx context.Context, channel chat.ID, users []chat.UserID,
) (joined map[chat.UserID]chat.Seq, head chat.Seq, err error) {
	err = s.db.Read(ctx, "join_seqs", func(c conn) error {
		joined, head = make(map[chat.UserID]chat.Seq), 0
		return database.Query(c, `-- name: join_seqs
			SELECT m.user_id, m.joined_seq, c.last_seq FROM members m JOIN channels c ON c.id = m.channel_id
			WHERE m.channel_id = $1 AND m.user_id = ANY($2)`,
			func(r row) error {
				var user chat.UserID
				var seq chat.Seq
				err := r.Scan(&user, &seq, &head)
				joined[user] = seq
				return err
			}, channel, users)
	})
	return joined, head, err
}
