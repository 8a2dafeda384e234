package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/journal"
	"github.com/chowk-chat/chowk/internal/relay"
)

// buildRelay makes what is between this node and others, nil when there can be no
// others. It is there without relay settings as well: nobody shall miss anything
// because a second server was started on the database.
func (s *server) buildRelay(ctx context.Context) (*relay.Node, error) {
	if s.db.Kind() == "sqlite" {
		return nil, nil //nolint:nilnil // none is no error
	}
	// Nodes of one database have the same; those of another do not hear them.
	id := chat.NewID()
	space, err := s.db.Secret(ctx, "relay_space", id[:])
	if err != nil {
		return nil, fmt.Errorf("read the name of the nodes' space: %w", err)
	}
	version, _ := buildVersion()
	return relay.New(relay.Config{
		ClusterID: hex.EncodeToString(space), Version: version, Link: s.cfg.relayLink(), Metrics: s.metrics.Relay, Log: s.log, Now: s.now,
		Database: s.db, Access: s.auth,
	}), nil
}

func (c *Config) relayLink() relay.Link {
	r := &c.Relay
	return relay.Link{
		Listen: r.Listen, Routes: r.Routes, URL: strings.Join(r.URL, ","), Secret: r.Secret, CredentialsFile: r.CredentialsFile,
		CertFile: r.TLSCertFile, KeyFile: r.TLSKeyFile, CAFile: r.TLSCAFile,
	}
}

// publisher is who is told of what was committed.
func (s *server) publisher() journal.Publisher {
	if s.relay == nil {
		return s.hub
	}
	return s.relay
}

// userChanged is told by the store of what this node changed.
func (s *server) userChanged(id chat.UserID) {
	if r := s.relay; r != nil {
		r.UserChanged(id)
	}
}
