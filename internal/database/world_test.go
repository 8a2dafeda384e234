package database_test

import (
	"context"
	"path/filepath"
	"sync"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/database/databasetest"
	"github.com/chowk-chat/chowk/internal/store/migrations"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// world is a database with all that it reports.
type world struct {
	*database.DB
	seen *databasetest.Recorder
	log  *databasetest.Log
}

func open(t *testing.T, o database.Options) *world {
	t.Helper()
	w := &world{seen: databasetest.NewRecorder(), log: &databasetest.Log{}}
	o.Observer, o.Log, o.Schema = w.seen, w.log.Logger(), migrations.Files
	var err error
	if w.DB, err = database.Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return w
}

// findUsers reads the table of users, which tests lock.
func (w *world) findUsers(ctx context.Context, name string) (found []string, err error) {
	err = w.Read(ctx, "find_users", func(c database.Conn) error {
		found = nil
		const sql = "-- name: find_users\nSELECT name FROM users WHERE name LIKE $1 ORDER BY name LIMIT 10"
		return database.Query(c, sql, func(r database.Row) error {
			var name string
			err := r.Scan(&name)
			found = append(found, name)
			return err
		}, name)
	})
	return found, err
}

// readMeta reads another table.
func (w *world) readMeta(ctx context.Context) error {
	return w.Read(ctx, "read_meta", func(c database.Conn) error {
		const sql = "-- name: read_meta\nSELECT value FROM meta"
		return database.Query(c, sql, func(database.Row) error { return nil })
	})
}

// putUser inserts or renames a user.
func (w *world) putUser(ctx context.Context, id, name string) error {
	return w.Write(ctx, "put_user", func(c database.Conn) error {
		return database.Exec(c, `-- name: put_user
			INSERT INTO users (id, name, role, is_admin, is_active, is_verified, password_hash, created_at)
			VALUES ($1, $2, 'student', false, true, false, '', 0) ON CONFLICT (id) DO UPDATE SET name = excluded.name`, id, name)
	})
}

// readers are units of work that wait for the lock on users.
type readers struct {
	group sync.WaitGroup
	mu    sync.Mutex // guards what follows
	errs  []error
}

// start starts n of them, in the background: without a deadline.
func (r *readers) start(w *world, n int) {
	for range n {
		r.group.Go(func() {
			_, err := w.findUsers(context.Background(), "ada")
			r.mu.Lock()
			defer r.mu.Unlock()
			r.errs = append(r.errs, err)
		})
	}
}

func (r *readers) wait() []error {
	r.group.Wait()
	return r.errs
}

func code(err error) chat.Code {
	if err == nil {
		return ""
	}
	return chat.AsError(err).Code
}

// everyDatabase runs a test on an empty database of each kind. With -short it leaves
// out PostgreSQL.
func everyDatabase(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		test(t, "sqlite:"+filepath.Join(t.TempDir(), "chowk.db"))
	})
	t.Run("Postgres", func(t *testing.T) {
		t.Parallel()
		test(t, pgtest.DatabaseUnlessShort(t))
	})
}
