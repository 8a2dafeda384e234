package store_test

import (
	"testing"

	"github.com/chowk-chat/chowk/internal/database/databasetest"
	"github.com/chowk-chat/chowk/internal/store"
	"github.com/chowk-chat/chowk/internal/store/storetest"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// opener returns a function that opens a database. A unit of work may take long there: the
// suite is about results.
func opener(t *testing.T, url string) func() *store.Store {
	return func() *store.Store {
		t.Helper()
		s, err := store.Open(t.Context(), store.Options{
			URL: url, Pool: store.Pool{Size: 4, Overflow: 4}, HoldHard: databasetest.Patience,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
}

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) func() *store.Store { return opener(t, sqliteURL(t)) })
}

func TestPostgres(t *testing.T) {
	if testing.Short() {
		t.Skip("PostgreSQL is left out with -short")
	}
	storetest.Run(t, func(t *testing.T) func() *store.Store { return opener(t, pgtest.Database(t)) })
}
