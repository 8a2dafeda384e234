package database

import (
	"context"

	"github.com/chowk-chat/chowk/internal/metric"
)

// Holding reports whether the calling goroutine holds a connection.
func Holding() bool { return metric.HoldsConnection() }

// Mark does what a server on SQLite does every few seconds.
func (db *DB) Mark(ctx context.Context) error { return db.backend.(*sqliteDB).markWork(ctx) }
