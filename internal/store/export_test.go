package store

import "context"

// InUnit runs f while it holds a connection, as no exported method does.
func (s *Store) InUnit(ctx context.Context, f func()) error {
	return s.db.Read(ctx, "test", func(conn) error {
		f()
		return nil
	})
}
