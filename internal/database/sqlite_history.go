package database

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/chowk-chat/chowk/internal/async"
)

// A SQLite file can be replaced by a copy with nothing but cp, and the epoch comes back
// with it. So while a server works it changes a mark every few seconds, both in the
// database and in a small file next to it. When the file does not name the database's
// mark, the database was replaced by a copy or came without the file. Its history is
// then not the one that clients know, and it gets a new epoch. If that was a mistake,
// clients have loaded their channels once for nothing.

const (
	// historySuffix names the file next to the database.
	historySuffix = ".history"
	// markInterval is how often the mark changes while there is work. A copy that was
	// made after the last mark before a crash, and is put back after it, goes unnoticed.
	markInterval  = 10 * time.Second
	historyHeader = "# With this file chowk detects that the database next to it was replaced by a copy. " +
		"Keep them together.\n"
)

// marker changes the mark.
type marker struct {
	stop context.CancelFunc // nil for a command that runs next to a server
	done chan struct{}
	mark string       // in the database
	seen int64        // units of work when it was stored there
	work atomic.Int64 // units of work that write
}

// checkHistory checks whether the database is the one that a server left here, and
// begins a new epoch when it is not.
func (db *sqliteDB) checkHistory(ctx context.Context) error {
	file := db.path + historySuffix
	known, err := readMarks(file)
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	err = db.read(ctx, "mark", func(c Conn) error {
		return Query(c, "-- name: mark\nSELECT value FROM meta WHERE name = 'mark'", func(r Row) error {
			var b []byte
			err := r.Scan(&b)
			db.marker.mark = hex.EncodeToString(b)
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("read the database's mark: %w", err)
	}
	// Neither has a mark when the database is new, or was left by a chowk without marks.
	same := db.marker.mark == "" && known == nil || slices.Contains(known, db.marker.mark)
	if !same {
		db.log.Warn("this database was replaced by a copy, or came without its "+historySuffix+" file: "+
			"clients load their channels again", "file", db.path)
	}
	err = db.newMark(ctx, same)
	if err != nil && same {
		// The disk may be full. The old mark is still good, and all can be read.
		db.warnMark(err)
		return nil
	}
	return err
}

func (db *sqliteDB) warnMark(err error) {
	db.log.Warn("could not change the database's mark: a copy that is put back may go unnoticed", "error", err)
}

// newMark stores a new mark in the database and in the file. When the history is not
// the same it stores a new epoch as well.
func (db *sqliteDB) newMark(ctx context.Context, same bool) error {
	m, file := &db.marker, db.path+historySuffix
	seen := m.work.Load() + 1 // with the unit below; what others write meanwhile is not seen
	next := newEpoch()
	text := hex.EncodeToString(next)
	either := []string{text}
	if same {
		either = append(either, m.mark)
	}
	// The file names both marks before the database has the new one, whatever happens
	// in between, and only the new one once the database has it.
	if err := writeMarks(file, either); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	err := db.write(ctx, "set_mark", func(c Conn) error {
		if !same {
			if err := Exec(c, "-- name: set_epoch\n"+setMeta, "epoch", newEpoch()); err != nil {
				return err
			}
		}
		return Exec(c, "-- name: set_mark\n"+setMeta, "mark", next)
	})
	if err != nil {
		return fmt.Errorf("mark the database: %w", err)
	}
	m.mark, m.seen = text, seen
	if err := writeMarks(file, []string{text}); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}

// startMarking changes the mark while there is work, until stopMarking.
func (db *sqliteDB) startMarking() {
	ctx, stop := context.WithCancel(context.Background())
	db.marker.stop, db.marker.done = stop, make(chan struct{})
	go func() { // ends when stopMarking cancels
		defer close(db.marker.done)
		async.Every(ctx, markInterval, func() {
			if err := db.markWork(ctx); err != nil && ctx.Err() == nil {
				db.warnMark(err)
			}
		})
	}()
}

// markWork changes the mark when anything was written since it was stored.
func (db *sqliteDB) markWork(ctx context.Context) error {
	if db.marker.work.Load() == db.marker.seen {
		return nil
	}
	return db.newMark(ctx, true)
}

// stopMarking stores the last mark, after which every earlier copy is recognised.
func (db *sqliteDB) stopMarking() {
	if db.marker.stop == nil {
		return
	}
	db.marker.stop()
	<-db.marker.done
	ctx, cancel := context.WithTimeout(context.Background(), db.timeouts.BackgroundTimeout)
	defer cancel()
	if err := db.markWork(ctx); err != nil {
		db.warnMark(err)
	}
}

// readMarks returns the marks that a file names: nil when there is no file, and an
// empty slice when it contains none.
func readMarks(file string) ([]string, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	marks := []string{}
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); len(line) == 2*len(newEpoch()) {
			marks = append(marks, line)
		}
	}
	return marks, nil
}

// writeMarks replaces the file, durably and as a whole.
func writeMarks(file string, marks []string) error {
	next := file + ".next"
	if err := os.WriteFile(next, []byte(historyHeader+strings.Join(marks, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	return renameDurably(next, file)
}
