package database_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
)

// raw opens the file next to the database, as another program would.
func raw(t *testing.T, path string) *sqlite.Conn {
	t.Helper()
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func execute(t *testing.T, c *sqlite.Conn, sql string) {
	t.Helper()
	if err := sqlitex.ExecuteTransient(c, sql, nil); err != nil {
		t.Fatal(err)
	}
}

func TestSQLiteReadersNeverWaitForTheWriter(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "chowk.db")
	w := open(t, database.Options{
		URL: "sqlite:" + path, HoldSoft: 300 * time.Millisecond, HoldHard: time.Second,
	})
	wantNames := func(when string, want ...string) {
		t.Helper()
		got, err := w.findUsers(t.Context(), "%")
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v, names (-want +got):\n%s", when, err, diff)
		}
	}
	if err := w.putUser(t.Context(), "ada", "Ada"); err != nil {
		t.Fatal(err)
	}
	other := raw(t, path)
	execute(t, other, "BEGIN IMMEDIATE")
	execute(t, other, "UPDATE users SET name = 'Countess'")
	wantNames("while another program writes", "Ada")
	if err := w.Ping(t.Context()); err != nil {
		t.Errorf("ping while another program writes: %v", err)
	}

	// A writer waits up to the hard limit.
	if err := w.putUser(t.Context(), "bob", "Bob"); code(err) != chat.Overloaded {
		t.Errorf("a second writer: got %v, want overloaded", err)
	}
	counts, once := w.seen.Counts(), map[string]int{"put_user": 1}
	if diff := cmp.Diff([]map[string]int{once, once}, []map[string]int{counts.HeldLong, counts.Cancelled}); diff != "" {
		t.Errorf("held long and cancelled (-want +got):\n%s", diff)
	}
	execute(t, other, "COMMIT")
	wantNames("afterwards", "Countess")
	if err := w.putUser(t.Context(), "bob", "Bob"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestSQLiteRefusesToStartWithoutDurability(t *testing.T) {
	t.Chdir(t.TempDir())
	db, err := database.Open(t.Context(), database.Options{URL: "sqlite::memory:"})
	if err == nil {
		_ = db.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "journal_mode=memory and synchronous=2") {
		t.Errorf("got %v, want it to name the settings", err)
	}
}
