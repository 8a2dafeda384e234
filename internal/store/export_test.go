package store

import (
	"context"
	"runtime"
	"strings"
)

// Holding says whether the calling goroutine holds a connection.
func Holding() bool {
	var pcs [64]uintptr
	n := runtime.Callers(1, pcs[:])
	for frames, more := runtime.CallersFrames(pcs[:n]), n > 0; more; {
		var f runtime.Frame
		if f, more = frames.Next(); strings.Contains(f.Function, "internal/store.work[") {
			return true
		}
	}
	return false
}

// InUnit runs f while it holds a connection, which nothing that is exported does.
func (s *Store) InUnit(ctx context.Context, f func()) error {
	return s.db.read(ctx, "test", func(conn) error {
		f()
		return nil
	})
}

// Mark does what a server on SQLite does every few seconds.
func (s *Store) Mark(ctx context.Context) error { return s.db.(*sqliteDB).markWork(ctx) }
