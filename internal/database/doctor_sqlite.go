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
)

// maxCheckedBytes is the size up to which a file is read completely to find damage.
const maxCheckedBytes = 1 << 30

func examineSQLite(
	ctx context.Context, schema fs.FS, path string, read func(Conn, int64) error,
) (x Examination, err error) {
	x = Examination{
		Kind: "sqlite", Version: sqlite.Version, Durability: "disk",
		SchemaNewest: newestVersion(schema, "sqlite"), Settings: map[string]string{},
	}
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return x, ErrNoDatabase
	} else if err != nil {
		return x, err
	}
	x.Bytes = info.Size()
	err = onFile(ctx, path, func(c *sqlite.Conn) error {
		if err := x.readFile(c); err != nil || x.Damage != "" {
			return err
		}
		return read(&sqliteConn{unit: "examine", raw: c}, x.SchemaVersion)
	})
	if err != nil || x.Damage != "" {
		return x, err
	}
	x.Flush, err = timeFileFlush(filepath.Dir(path))
	return x, err
}

// readFile reads settings, damage and the schema's version.
func (x *Examination) readFile(c *sqlite.Conn) (err error) {
	if x.Settings["journal_mode"], err = queryText(c, "PRAGMA journal_mode"); err != nil {
		return err
	}
	if x.Bytes <= maxCheckedBytes {
		found, err := queryText(c, "PRAGMA quick_check(1)")
		if err != nil {
			found = err.Error()
		}
		if found != "ok" {
			x.Damage = found
			return nil
		}
	}
	x.SchemaVersion, err = sqliteVersion(c)
	return err
}

// timeFileFlush times small flushed writes to a file in the database's directory.
func timeFileFlush(dir string) (took []time.Duration, err error) {
	f, err := os.CreateTemp(dir, ".chowk-doctor-")
	if err != nil {
		return nil, fmt.Errorf("write to the database's directory: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	page := make([]byte, 4096)
	return timeFlushes(func() error {
		if _, err := f.Write(page); err != nil {
			return err
		}
		return f.Sync()
	})
}
