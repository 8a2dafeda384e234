package store

import (
	"context"

	"github.com/chowk-chat/chowk/internal/metric"
)

// Holding says whether the calling goroutine holds a connection.
func Holding() bool { return metric.HoldsConnection() }

// InUnit runs f while it holds a connection, which nothing that is exported does.
func (s *Store) InUnit(ctx context.Context, f func()) error {
	return s.db.Read(ctx, "test", func(conn) error {
		f()
		return nil
	})
}
