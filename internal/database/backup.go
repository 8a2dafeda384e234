package database

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// ErrNotEmbedded says that the database is backed up with tools of its own.
var ErrNotEmbedded = errors.New("PostgreSQL has its own tools for backups")

func embedded(url string) (path string, err error) {
	path, ok := strings.CutPrefix(url, "sqlite:")
	if !ok {
		return "", ErrNotEmbedded
	}
	return strings.TrimPrefix(path, "//"), nil
}

// Backup writes the embedded database, as it is at one moment, to a new file, while
// a server may go on writing to it. The file appears when it is whole and on disk.
func Backup(ctx context.Context, schema fs.FS, url, file string) error {
	path, err := embedded(url)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s: %w", path, ErrNoDatabase)
	}
	if _, err := os.Lstat(file); err == nil {
		return fmt.Errorf("%s exists: a backup replaces nothing", file)
	}
	partial := file + ".partial"
	if err := os.Remove(partial); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	// Made before SQLite fills it, so that nobody else can read what everybody wrote.
	empty, err := os.OpenFile(partial, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := empty.Close(); err != nil {
		return err
	}
	err = onFile(ctx, path, func(c *sqlite.Conn) error {
		return sqlitex.ExecuteTransient(c, "VACUUM INTO ?", &sqlitex.ExecOptions{Args: []any{partial}})
	})
	if err == nil {
		err = checkFile(ctx, schema, partial)
	}
	if err == nil {
		err = settle(partial, file)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("back up: %w", err), os.Remove(partial))
	}
	return nil
}

// Restore puts a backup in the place of the embedded database, which no server may
// have open, and gives it a new epoch, so that clients are told to load everything
// again. What was there before is kept; before names it, "" when there was nothing.
func Restore(ctx context.Context, schema fs.FS, url, file string) (before string, err error) {
	path, err := embedded(url)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := checkFile(ctx, schema, file); err != nil {
		return "", fmt.Errorf("look at the backup: %w", err)
	}
	next := path + ".restoring"
	defer func() { _ = os.Remove(next) }() // moved away when all went well
	if err := copyFile(file, next); err != nil {
		return "", fmt.Errorf("copy the backup: %w", err)
	}
	err = onFile(ctx, next, func(c *sqlite.Conn) error {
		// In one file, whatever the mode it was written in.
		if err := sqlitex.ExecuteTransient(c, "PRAGMA journal_mode=DELETE", nil); err != nil {
			return err
		}
		// Nor has it been left here by a server.
		if err := sqlitex.ExecuteTransient(c, "DELETE FROM meta WHERE name = 'mark'", nil); err != nil {
			return err
		}
		return sqlitex.ExecuteTransient(c, strings.ReplaceAll(setMeta, "$", "?"), &sqlitex.ExecOptions{Args: []any{"epoch", newEpoch()}})
	})
	if err != nil {
		return "", fmt.Errorf("begin a new epoch: %w", err)
	}
	if before, err = setAside(path); err != nil {
		return before, fmt.Errorf("set the old database aside: %w", err)
	}
	return before, settle(next, path)
}

// checkFile looks whether a file is a whole database of chowk's that this binary
// understands.
func checkFile(ctx context.Context, schema fs.FS, path string) error {
	if info, err := os.Stat(path); err != nil {
		return err
	} else if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no file", path)
	}
	return onFile(ctx, path, func(c *sqlite.Conn) error {
		damage := ""
		note := func(s *sqlite.Stmt) error { damage = s.ColumnText(0); return nil }
		if err := sqlitex.ExecuteTransient(c, "PRAGMA quick_check(1)", &sqlitex.ExecOptions{ResultFunc: note}); err != nil {
			return fmt.Errorf("%s is no whole database: %w", path, err)
		}
		if damage != "ok" {
			return fmt.Errorf("%s is damaged: %s", path, damage)
		}
		var version int64
		err := sqlitex.ExecuteTransient(c, "SELECT max(version_id) FROM goose_db_version WHERE is_applied", &sqlitex.ExecOptions{
			ResultFunc: func(s *sqlite.Stmt) error { version = s.ColumnInt64(0); return nil },
		})
		if err != nil || version == 0 {
			return fmt.Errorf("%s is no database of chowk's", path)
		}
		if newest := newestMigration(schema, "sqlite"); version > newest {
			return fmt.Errorf("%s has version %d of the schema, and this chowk knows up to %d", path, version, newest)
		}
		return nil
	})
}

func onFile(ctx context.Context, path string, f func(*sqlite.Conn) error) (err error) {
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	c.SetBusyTimeout(5 * time.Second)
	c.SetInterrupt(ctx.Done())
	return f(c)
}

// settle puts a whole file on disk under its name.
func settle(from, to string) error {
	f, err := os.OpenFile(from, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	if dir, err := os.Open(filepath.Dir(to)); err == nil {
		_ = dir.Sync() // not every system can
		return dir.Close()
	}
	return nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// setAside renames the database, and the log that belongs to it.
func setAside(path string) (before string, err error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	before = path + ".before-" + time.Now().UTC().Format("20060102T150405.000000")
	for _, suffix := range []string{"-wal", "-shm", historySuffix, ""} {
		if err := os.Rename(path+suffix, before+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return before, err
		}
	}
	return before, nil
}
