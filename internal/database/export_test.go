package database

import "context"

// Mark does what a server on SQLite does every few seconds.
func (db *DB) Mark(ctx context.Context) error { return db.backend.(*sqliteDB).markWork(ctx) }
