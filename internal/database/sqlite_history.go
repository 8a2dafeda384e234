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

// A SQLite file can be put back from a copy with nothing but cp, and the epoch comes
// back with it. So while a server works it changes a mark every few seconds, in the
// database and in a small file beside it. A database with a mark that this file does
// not name has been put back, or came without the file: its history is another one
// than clients know, and it gets another epoch. When that was not so, clients have
// loaded their channels once in vain.

const (
	// historySuffix names the file beside the database.
	historySuffix = ".history"
	// markEvery is how often the mark changes while there is work. A copy that was
	// made after the last mark before a crash, and is put back after it, is not found
	// out.
	markEvery  = 10 * time.Second
	historyTop = "# This tells chowk whether the database beside it was put back from a copy. Keep them together.\n"
)

// marker changes the mark.
type marker struct {
	stop context.CancelFunc // nil when there is none: for commands that run beside a server
	done chan struct{}
	mark string       // in the database
	seen int64        // units of work when it was put there
	work atomic.Int64 // units of work that write
}

// recognize looks whether the database is the one that a server left here, and gives
// it another epoch when it is not.
func (db *sqliteDB) recognize(ctx context.Context) error {
	known, err := readMarks(db.path + historySuffix)
	if err != nil {
		return fmt.Errorf("read %s: %w", db.path+historySuffix, err)
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
	// Neither has a mark: it is new, or was left by a chowk that made none.
	same := db.marker.mark == "" && known == nil || slices.Contains(known, db.marker.mark)
	if !same {
		db.watch.log.Warn("this database is not the one that was left here: it was put back from a copy, or came without its "+historySuffix+
			" file. Clients are told to load their channels again", "file", db.path)
	}
	err = db.newMark(ctx, same)
	if err != nil && same {
		// A full disk, it may be. The old mark is still good, and all can be read.
		db.warnMark(err)
		return nil
	}
	return err
}

func (db *sqliteDB) warnMark(err error) {
	db.watch.log.Warn("the database keeps its mark for a while: a copy that is put back may not be found out", "err", err)
}

// newMark puts another mark into the database and the file; when the history is not
// the same, another epoch as well.
func (db *sqliteDB) newMark(ctx context.Context, same bool) error {
	m := &db.marker
	seen := m.work.Load() + 1 // with the mark's own; what comes between is work not seen
	next := newEpoch()
	text := hex.EncodeToString(next)
	either := []string{text}
	if same {
		either = append(either, m.mark)
	}
	// The file knows both before the database has the new one, whatever happens
	// meanwhile, and only the new one as soon as it has.
	if err := writeMarks(db.path+historySuffix, either); err != nil {
		return fmt.Errorf("write %s: %w", db.path+historySuffix, err)
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
	if err := writeMarks(db.path+historySuffix, []string{text}); err != nil {
		return fmt.Errorf("write %s: %w", db.path+historySuffix, err)
	}
	return nil
}

// startMarking changes the mark while there is work, until stopMarking.
func (db *sqliteDB) startMarking() {
	ctx, stop := context.WithCancel(context.Background())
	db.marker.stop, db.marker.done = stop, make(chan struct{})
	go func() { // ends when stopMarking cancels
		defer close(db.marker.done)
		async.Every(ctx, markEvery, func() {
			if err := db.markWork(ctx); err != nil && ctx.Err() == nil {
				db.warnMark(err)
			}
		})
	}()
}

// markWork changes the mark when anything was written since it was set.
func (db *sqliteDB) markWork(ctx context.Context) error {
	if db.marker.work.Load() == db.marker.seen {
		return nil
	}
	return db.newMark(ctx, true)
}

// stopMarking sets the last mark: every copy that was made before is an old one.
func (db *sqliteDB) stopMarking() {
	if db.marker.stop == nil {
		return
	}
	db.marker.stop()
	<-db.marker.done
	ctx, cancel := context.WithTimeout(context.Background(), db.waits.Timeout)
	defer cancel()
	if err := db.markWork(ctx); err != nil {
		db.warnMark(err)
	}
}

// readMarks gives the marks that a file names; nil when there is no file, and none
// when it is not understood.
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

// writeMarks puts the file on disk, whole.
func writeMarks(file string, marks []string) error {
	next := file + ".next"
	if err := os.WriteFile(next, []byte(historyTop+strings.Join(marks, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	return settle(next, file)
}
