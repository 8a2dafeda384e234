package store

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/database/table"
	"github.com/chowk-chat/chowk/internal/state"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// types are the types of columns by their names.
type types map[string]string

func describe[T any](into types, columns table.Columns[T]) {
	for _, c := range columns {
		into[c.Name] = c.Type
	}
}

// described returns the columns of all tables that the code describes.
func described() map[string]types {
	all := map[string]types{
		"users": {}, "sessions": {}, "tickets": {}, "revocations": {}, "channels": {}, "members": {}, "messages": {},
		"reactions": {}, "changes": {},
	}
	describe(all["users"], accountColumns)
	describe(all["sessions"], loginColumns)
	describe(all["tickets"], ticketColumns)
	describe(all["revocations"], revocationColumns)
	describe(all["revocations"], newRevocationColumns)
	describe(all["channels"], createdColumns)
	describe(all["channels"], headColumns)
	describe(all["members"], membershipColumns)
	describe(all["members"], memberColumns)
	describe(all["members"], addedColumns)
	describe(all["messages"], sentColumns)
	describe(all["messages"], storedColumns)
	describe(all["reactions"], reactionKey)
	describe(all["reactions"], reactionColumns)
	describe(all["changes"], changeColumns)
	return all
}

// TestColumnsAreThoseOfTheSchema: every column of these tables is described, with its type,
// except for one that only statements written by hand use.
func TestColumnsAreThoseOfTheSchema(t *testing.T) {
	t.Parallel()
	all := described()
	all["channels"]["log_floor"] = "bigint"
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		s := openWith(t, "sqlite:"+t.TempDir()+"/chowk.db", state.DefaultRules())
		got := schemaOf(t, s, all, "SELECT name, lower(type) FROM pragma_table_info($1)")
		if diff := cmp.Diff(all, got, cmp.Comparer(sameInSQLite)); diff != "" {
			t.Errorf("columns (-described +schema):\n%s", diff)
		}
	})
	t.Run("Postgres", func(t *testing.T) {
		t.Parallel()
		s := openWith(t, pgtest.DatabaseUnlessShort(t), state.DefaultRules())
		got := schemaOf(t, s, all, `SELECT column_name::text, data_type::text
			FROM information_schema.columns WHERE table_name = $1`)
		if diff := cmp.Diff(all, got); diff != "" {
			t.Errorf("columns (-described +schema):\n%s", diff)
		}
	})
}

// sameInSQLite compares types. SQLite has fewer of them.
func sameInSQLite(a, b types) bool {
	sqlite := strings.NewReplacer("bigint", "integer", "boolean", "integer", "uuid", "blob", "bytea", "blob")
	return maps.EqualFunc(a, b, func(a, b string) bool { return sqlite.Replace(a) == sqlite.Replace(b) })
}

func schemaOf(t *testing.T, s *Store, tables map[string]types, sql string) map[string]types {
	t.Helper()
	all := make(map[string]types)
	for _, name := range slices.Collect(maps.Keys(tables)) {
		all[name] = types{}
		err := s.db.Read(t.Context(), "schema", func(c conn) error {
			return database.Query(c, "-- name: schema\n"+sql, func(r row) error {
				var column, typ string
				err := r.Scan(&column, &typ)
				all[name][column] = typ
				return err
			}, name)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}
