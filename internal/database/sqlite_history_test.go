package database_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/store/migrations"
)

func openFile(ctx context.Context, path string) (*database.DB, error) {
	return database.Open(ctx, database.Options{URL: "sqlite:" + path, Schema: migrations.Files})
}

// write writes a row to a database.
func write(ctx context.Context, db *database.DB, name string) error {
	return db.Write(ctx, "write", func(c database.Conn) error {
		return database.Exec(c, `-- name: write
			INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING`, name, []byte{1})
	})
}

// copyDatabase copies a database as cp does, with its log.
func copyDatabase(t *testing.T, from, to string) {
	t.Helper()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		b, err := os.ReadFile(from + suffix)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			err = os.RemoveAll(to + suffix)
		case err == nil:
			err = os.WriteFile(to+suffix, b, 0o600) // onto the same inode, where there is one
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// replacements are what can happen to a database while no server runs, with a copy from
// before the last writes. same means that its history is still the one clients know.
var replacements = []struct {
	name string
	do   func(t *testing.T, path, copied string)
	same bool
}{
	{"nothing", func(*testing.T, string, string) {}, true},
	{"a copy put back", func(t *testing.T, path, copied string) { copyDatabase(t, copied, path) }, false},
	{"moved away and a copy put there", func(t *testing.T, path, copied string) {
		copyDatabase(t, path, path+".old")
		remove(t, path)
		copyDatabase(t, copied, path)
	}, false},
	{"a copy of the last state", func(t *testing.T, path, _ string) {
		copyDatabase(t, path, path+".old")
		copyDatabase(t, path+".old", path)
	}, true},
	{"the history file is missing", func(t *testing.T, path, _ string) {
		remove(t, path+".history")
	}, false},
	{"the history file is empty", func(t *testing.T, path, _ string) {
		if err := os.WriteFile(path+".history", []byte("nothing\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}, false},
	{"left by a chowk without marks", func(t *testing.T, path, _ string) {
		execute(t, raw(t, path), "DELETE FROM meta WHERE name = 'mark'")
		remove(t, path+".history")
	}, true},
	{"an old copy made by a chowk without marks", func(t *testing.T, path, _ string) {
		execute(t, raw(t, path), "DELETE FROM meta WHERE name = 'mark'")
	}, false},
}

func TestReplacedFileIsAnotherHistory(t *testing.T) {
	for _, c := range replacements {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "chowk.db")
			before := writeAndCopy(t, path)
			c.do(t, path, path+".copy")
			checkEpoch(t, path, before, c.same)
		})
		t.Run(c.name+" after a crash", func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "chowk.db")
			before := writeAndCopy(t, path)
			crashed := filepath.Join(t.TempDir(), "chowk.db")
			crash(t, path, crashed)
			c.do(t, crashed, path+".copy")
			checkEpoch(t, crashed, before, c.same)
		})
	}
}

// writeAndCopy writes to a database, copies it to path.copy, and writes again.
func writeAndCopy(t *testing.T, path string) (epoch string) {
	t.Helper()
	for _, name := range []string{"copied", "last"} {
		db, err := openFile(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if err := write(t.Context(), db, name); err != nil {
			t.Fatal(err)
		}
		if name == "copied" {
			copyDatabase(t, path, path+".copy") // while the server runs
		}
		epoch = db.Epoch()
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return epoch
}

// crash leaves in left what a server leaves that crashes after some seconds of work.
func crash(t *testing.T, path, left string) {
	t.Helper()
	db, err := openFile(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := write(t.Context(), db, "crashed"); err != nil {
		t.Fatal(err)
	}
	if err := db.Mark(t.Context()); err != nil {
		t.Fatal(err)
	}
	copyDatabase(t, path, left)
	copyDatabase(t, path+".history", left+".history")
}

// checkEpoch starts the database three times: the first start may find another history,
// the others must not.
func checkEpoch(t *testing.T, path, before string, same bool) {
	t.Helper()
	var epochs []string
	for range 3 {
		db, err := openFile(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if err := write(t.Context(), db, "after"); err != nil {
			t.Error(err)
		}
		epochs = append(epochs, db.Epoch())
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	if (epochs[0] == before) != same {
		t.Errorf("the epoch was %s and is %s, want the same: %v", before, epochs[0], same)
	}
	if epochs[1] != epochs[0] || epochs[2] != epochs[0] {
		t.Errorf("the epochs of three starts are %v, want one", epochs)
	}
}

// TestServerStartsAndStopsWithoutNewMark: when the disk is full the data can still be
// read. But a database that was replaced must not be served under its old epoch.
func TestServerStartsAndStopsWithoutNewMark(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "chowk.db")
	first, err := openFile(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path+".history.next", 0o700); err != nil { // where the next file would be written
		t.Fatal(err)
	}
	again, err := openFile(t.Context(), path)
	if err != nil {
		t.Fatalf("start without a new mark: %v", err)
	}
	if err := write(t.Context(), again, "a row"); err != nil {
		t.Error(err)
	}
	if again.Epoch() != first.Epoch() {
		t.Errorf("the epoch is %s, want %s", again.Epoch(), first.Epoch())
	}
	if err := again.Close(); err != nil {
		t.Errorf("stop without a new mark: %v", err)
	}
	remove(t, path+".history")
	if replaced, err := openFile(t.Context(), path); err == nil {
		_ = replaced.Close()
		t.Error("a database without its history file is served under its old epoch")
	}
}
