package store_test

import (
	"path/filepath"
	"testing"

	"github.com/chowk-chat/chowk/internal/store"
	"github.com/chowk-chat/chowk/internal/store/storetest"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

func opener(t *testing.T, url string) func() *store.Store {
	return func() *store.Store {
		t.Helper()
		s, err := store.Open(t.Context(), store.Options{URL: url, Pool: store.Pool{Size: 4, Overflow: 4}, HoldHard: patience})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
}

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) func() *store.Store {
		return opener(t, "sqlite:"+filepath.Join(t.TempDir(), "chowk.db"))
	})
}

func TestPostgres(t *testing.T) {
	if testing.Short() {
		t.Skip("PostgreSQL is left out with -short")
	}
	storetest.Run(t, func(t *testing.T) func() *store.Store { return opener(t, pgtest.Database(t)) })
}

// everyDatabase runs a test on an empty database of each kind.
func everyDatabase(t *testing.T, test func(t *testing.T, url string)) {
	for name, url := range map[string]func(*testing.T) string{
		"SQLite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "chowk.db") },
		"Postgres": func(t *testing.T) string { return pgtest.DatabaseUnlessShort(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, url(t))
		})
	}
}
