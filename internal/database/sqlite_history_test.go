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

func openFile(t *testing.T, path string) (*database.DB, error) {
	t.Helper()
	return database.Open(t.Context(), database.Options{URL: "sqlite:" + path, Schema: migrations.Files})
}

// addMeta writes a row.
func addMeta(ctx context.Context, db *database.DB, name string) error {
	return db.Write(ctx, "add_meta", func(c database.Conn) error {
		return database.Exec(c, "-- name: add_meta\nINSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING", name, []byte{1})
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

// TestAFileThatIsPutBackIsAnotherHistory, and one that is not is the same.
func TestAFileThatIsPutBackIsAnotherHistory(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(t *testing.T, path, spare string)
		same bool
	}{
		{"started again", func(*testing.T, string, string) {}, true},
		{"a copy put back", func(t *testing.T, path, spare string) { copyDatabase(t, spare, path) }, false},
		{"moved away and a copy put there", func(t *testing.T, path, spare string) {
			copyDatabase(t, path, path+".old")
			_ = os.Remove(path)
			copyDatabase(t, spare, path)
		}, false},
		{"a copy of what was left", func(t *testing.T, path, _ string) {
			copyDatabase(t, path, path+".old")
			copyDatabase(t, path+".old", path)
		}, true},
		{"without its file", func(t *testing.T, path, _ string) {
			if err := os.Remove(path + ".history"); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"with a file that says nothing", func(t *testing.T, path, _ string) {
			if err := os.WriteFile(path+".history", []byte("nothing\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"of a chowk that made no marks", func(t *testing.T, path, _ string) {
			script(t, raw(t, path), "DELETE FROM meta WHERE name = 'mark'")
			if err := os.Remove(path + ".history"); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"an old copy, of a chowk that made no marks", func(t *testing.T, path, _ string) {
			script(t, raw(t, path), "DELETE FROM meta WHERE name = 'mark'")
		}, false},
	} {
		for _, crashed := range []bool{false, true} {
			name := c.name
			if crashed {
				name += " after a crash"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				path := filepath.Join(t.TempDir(), "chowk.db")
				spare := path + ".spare"
				write := func(name string) (epoch string) {
					s, err := openFile(t, path)
					if err != nil {
						t.Fatal(err)
					}
					defer s.Close()
					if err := addMeta(context.Background(), s, name); err != nil {
						t.Fatal(err)
					}
					if name == "copied" {
						copyDatabase(t, path, spare) // while the server is on
					}
					if crashed && name == "last" {
						if err := s.Mark(t.Context()); err != nil { // ten seconds of work
							t.Fatal(err)
						}
						left := path + ".left"
						copyDatabase(t, path, left)
						copyDatabase(t, path+".history", left+".history")
						path = left
						return s.Epoch()
					}
					return s.Epoch()
				}
				write("copied")
				before := write("last")
				c.do(t, path, spare)
				if after := write("after"); (after == before) != c.same {
					t.Errorf("the epoch was %s and is %s", before, after)
				}
				if first, second := write("again"), write("again"); first != second {
					t.Error("the epoch changes at each start")
				}
			})
		}
	}
}

// TestAServerStartsAndStopsWithoutAnotherMark: on a full disk it can at least be read.
// A database that was put back must not be served as if nothing had happened.
func TestAServerStartsAndStopsWithoutAnotherMark(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "chowk.db")
	start := func() (*database.DB, error) { return openFile(t, path) }
	first, err := start()
	if err != nil {
		t.Fatal(err)
	}
	copyDatabase(t, path, path+".spare")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path+".history.next", 0o700); err != nil { // where the next file would be written
		t.Fatal(err)
	}
	again, err := start()
	if err != nil {
		t.Fatalf("it does not start: %v", err)
	}
	if err := addMeta(t.Context(), again, "a name"); err != nil {
		t.Error(err)
	}
	if again.Epoch() != first.Epoch() {
		t.Error("the epoch is another")
	}
	if err := again.Close(); err != nil {
		t.Errorf("it does not stop well: %v", err)
	}
	if err := os.Remove(path + ".history"); err != nil {
		t.Fatal(err)
	}
	if put, err := start(); err == nil {
		_ = put.Close()
		t.Error("a database that was put back is served under its old epoch")
	}
}
