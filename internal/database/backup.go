package database

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// ErrNotEmbedded means that the database has its own tools for backups.
var ErrNotEmbedded = errors.New("PostgreSQL has its own tools for backups")

// embeddedPath returns the path of an embedded database.
func embeddedPath(url string) (path string, err error) {
	path, ok := strings.CutPrefix(url, "sqlite:")
	if !ok {
		return "", ErrNotEmbedded
	}
	return strings.TrimPrefix(path, "//"), nil
}

// Backup writes the embedded database, as it is at one moment, to a new file. A server
// may go on writing to it. The file appears when it is complete and on disk.
func Backup(ctx context.Context, schema fs.FS, url, file string) error {
	path, err := embeddedPath(url)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s: %w", path, ErrNoDatabase)
	}
	if _, err := os.Lstat(file); err == nil {
		return fmt.Errorf("%s already exists: a backup never overwrites a file", file)
	}
	partial := file + ".partial"
	if err := createPrivate(partial); err != nil {
		return err
	}
	err = onFile(ctx, path, func(c *sqlite.Conn) error {
		return sqlitex.ExecuteTransient(c, "VACUUM INTO ?", &sqlitex.ExecOptions{Args: []any{partial}})
	})
	if err == nil {
		err = checkFile(ctx, schema, partial)
	}
	if err == nil {
		err = renameDurably(partial, file)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("back up: %w", err), os.Remove(partial))
	}
	return nil
}

// createPrivate creates an empty file that only its owner can read, before SQLite fills
// it with the messages of all.
func createPrivate(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// Restore replaces the embedded database, which no server may have open, with a backup
// and begins a new epoch, so that clients load everything again. It keeps what was
// there, under the name before, which is empty when there was nothing.
func Restore(ctx context.Context, schema fs.FS, url, file string) (before string, err error) {
	path, err := embeddedPath(url)
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
		return "", fmt.Errorf("check the backup: %w", err)
	}
	next := path + ".restoring"
	defer func() { _ = os.Remove(next) }() // it was renamed when all went well
	if err := copyFile(file, next); err != nil {
		return "", fmt.Errorf("copy the backup: %w", err)
	}
	if err := onFile(ctx, next, beginHistory); err != nil {
		return "", fmt.Errorf("begin a new epoch: %w", err)
	}
	if before, err = setAside(path); err != nil {
		return before, fmt.Errorf("rename the old database: %w", err)
	}
	return before, renameDurably(next, path)
}

// beginHistory stores a new epoch in a file and removes the mark, because no server left
// the file there. The journal mode puts all into one file, whatever it was before.
func beginHistory(c *sqlite.Conn) error {
	for _, sql := range []string{"PRAGMA journal_mode=DELETE", "DELETE FROM meta WHERE name = 'mark'"} {
		if err := sqlitex.ExecuteTransient(c, sql, nil); err != nil {
			return err
		}
	}
	return sqlitex.ExecuteTransient(c, sqliteText(setMeta, nil), &sqlitex.ExecOptions{Args: []any{"epoch", newEpoch()}})
}

// checkFile checks that a file is a complete chowk database that this binary
// understands.
func checkFile(ctx context.Context, schema fs.FS, path string) error {
	if info, err := os.Stat(path); err != nil {
		return err
	} else if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", path)
	}
	return onFile(ctx, path, func(c *sqlite.Conn) error {
		damage, err := queryText(c, "PRAGMA quick_check(1)")
		if err != nil {
			return fmt.Errorf("%s is not a complete chowk database: %w", path, err)
		}
		if damage != "ok" {
			return fmt.Errorf("%s is damaged: %s", path, damage)
		}
		version, err := sqliteVersion(c)
		if err != nil || version == 0 {
			return fmt.Errorf("%s is not a chowk database", path)
		}
		if newest := newestVersion(schema, "sqlite"); version > newest {
			return fmt.Errorf("%s has version %d of the schema, and this chowk supports up to %d", path, version, newest)
		}
		return nil
	})
}

// queryText returns the first column of the last row, as text.
func queryText(c *sqlite.Conn, sql string) (text string, err error) {
	err = sqlitex.ExecuteTransient(c, sql, &sqlitex.ExecOptions{ResultFunc: func(r *sqlite.Stmt) error {
		text = r.ColumnText(0)
		return nil
	}})
	return text, err
}

// sqliteVersion returns the version of a file's schema, 0 when it has none.
func sqliteVersion(c *sqlite.Conn) (version int64, err error) {
	exists, err := queryText(c, "SELECT count(*) FROM sqlite_master WHERE name = 'goose_db_version'")
	if err != nil || exists == "0" {
		return 0, err
	}
	text, err := queryText(c, "SELECT COALESCE(max(version_id), 0) FROM goose_db_version WHERE is_applied")
	if err != nil {
		return 0, err
	}
	_, err = fmt.Sscan(text, &version)
	return version, err
}

func onFile(ctx context.Context, path string, f func(*sqlite.Conn) error) (err error) {
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	c.SetBusyTimeout(busyTimeout)
	c.SetInterrupt(ctx.Done())
	return f(c)
}

// setAside renames the database and the files that belong to it.
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
