package chowk

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/buildinfo"
	"github.com/chowk-chat/chowk/internal/relay"
)

// newRelay returns the link to other nodes, nil where there can be none. It exists
// without relay settings as well: no client may miss anything because a second
// server was started on the database.
func (s *Server) newRelay(ctx context.Context) (*relay.Node, error) {
	if s.cfg.embedded() {
		return nil, nil //nolint:nilnil // none is not an error
	}
	// The nodes of a database share this id; the nodes of another one do not hear them.
	id := chat.NewID()
	cluster, err := s.db.Secret(ctx, "relay_space", id[:])
	if err != nil {
		return nil, fmt.Errorf("read the cluster's id: %w", err)
	}
	version, _ := buildinfo.Version(s.cfg.Version)
	return relay.New(relay.Config{
		ClusterID: hex.EncodeToString(cluster), Version: version, Link: relay.Link(s.cfg.Relay), Metrics: s.metrics.Relay,
		Log: s.log, Now: s.now, Database: s.db, Access: s.auth,
	}), nil
}

// userChanged tells the other nodes that this node has changed a user.
func (s *Server) userChanged(id chat.UserID) {
	if s.relay != nil {
		s.relay.UserChanged(id)
	}
}
