package store_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database/databasetest"
	"github.com/chowk-chat/chowk/internal/store"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// long selects the long form of tests that break the database.
var long = os.Getenv("CHOWK_TEST_LONG") != ""

// world is a store with all that it reports.
type world struct {
	*store.Store
	seen *databasetest.Recorder
	log  *databasetest.Log
}

func open(t *testing.T, o store.Options) *world {
	t.Helper()
	w := &world{seen: databasetest.NewRecorder(), log: &databasetest.Log{}}
	o.Observer, o.Log = w.seen, w.log.Logger()
	var err error
	if w.Store, err = store.Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return w
}

// rename creates a user, or changes their name.
func (w *world) rename(t *testing.T, id chat.UserID, name string) {
	t.Helper()
	if _, err := w.EnsureUser(t.Context(), chat.User{ID: id, Name: name, IsActive: true}); err != nil {
		t.Fatal(err)
	}
}

// everyDatabase runs a test on an empty database of each kind. With -short it leaves out
// PostgreSQL.
func everyDatabase(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		test(t, sqliteURL(t))
	})
	t.Run("Postgres", func(t *testing.T) {
		t.Parallel()
		test(t, pgtest.DatabaseUnlessShort(t))
	})
}

func sqliteURL(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "chowk.db") }

func code(err error) chat.Code {
	if err == nil {
		return ""
	}
	return chat.AsError(err).Code
}

// patiently returns a context that ends when a test has waited for too long.
func patiently(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), databasetest.Patience)
	t.Cleanup(cancel)
	return ctx
}
