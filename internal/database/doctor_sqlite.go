package database

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// checkedBytes is up to which size a file is read as a whole to find damage.
const checkedBytes = 1 << 30

func examineSQLite(ctx context.Context, schema fs.FS, path string) (x Examination, err error) {
	x = Examination{Kind: "sqlite", Version: sqlite.Version, Durability: "disk", SchemaNewest: newestMigration(schema, "sqlite"), Settings: map[string]string{}}
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return x, ErrNoDatabase
	} else if err != nil {
		return x, err
	}
	x.Bytes = info.Size()
	db, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		return x, fmt.Errorf("open %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetInterrupt(ctx.Done())
	db.SetBusyTimeout(5 * time.Second)
	text := func(sql string) (s string, err error) {
		err = sqlitex.ExecuteTransient(db, sql, &sqlitex.ExecOptions{ResultFunc: func(r *sqlite.Stmt) error { s = r.ColumnText(0); return nil }})
		return s, err
	}
	if x.Settings["journal_mode"], err = text("PRAGMA journal_mode"); err != nil {
		return x, err
	}
	if x.Bytes <= checkedBytes {
		found, err := text("PRAGMA quick_check(1)")
		if err != nil {
			found = err.Error()
		}
		if found != "ok" {
			x.Damage = found
			return x, nil
		}
	}
	there, err := text("SELECT count(*) FROM sqlite_master WHERE name = 'goose_db_version'")
	if err == nil && there == "1" {
		var version string
		version, err = text("SELECT COALESCE(max(version_id), 0) FROM goose_db_version WHERE is_applied")
		if err == nil {
			_, err = fmt.Sscan(version, &x.SchemaVersion)
		}
	}
	if err != nil {
		return x, err
	}
	x.Flush, err = timeFlush(filepath.Dir(path))
	return x, err
}

// timeFlush times small writes that are flushed, in a file beside the database's.
func timeFlush(dir string) (took []time.Duration, err error) {
	f, err := os.CreateTemp(dir, ".chowk-doctor-")
	if err != nil {
		return nil, fmt.Errorf("write beside the database: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	page := make([]byte, 4096)
	return timed(flushes, func() error {
		if _, err := f.Write(page); err != nil {
			return err
		}
		return f.Sync()
	})
}
