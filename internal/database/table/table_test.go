package table_test

import (
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/database/table"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// thing has a field of every type.
type thing struct {
	ID       chat.ID
	Parent   *chat.ID
	Hash     model.TokenHash
	User     chat.UserID
	Other    *chat.UserID
	Kind     string
	Note     *string
	Count    int64
	Size     *int64
	Done     bool
	At       chat.Time
	EditedAt *chat.Time
	Tags     []string
	Highest  int64
	Uses     int
}

var things = table.Columns[thing]{
	table.ID("id", func(t *thing) *chat.ID { return &t.ID }),
	table.NullableID("parent", func(t *thing) **chat.ID { return &t.Parent }),
	table.Hash("hash", func(t *thing) *model.TokenHash { return &t.Hash }),
	table.User("user_id", func(t *thing) *chat.UserID { return &t.User }),
	table.NullableUser("other", func(t *thing) **chat.UserID { return &t.Other }),
	table.Text("kind", func(t *thing) *string { return &t.Kind }).
		Rare(func(t *thing) bool { return t.Kind == "usual" }, "'usual'"),
	table.NullableText("note", func(t *thing) **string { return &t.Note }).
		Rare(func(t *thing) bool { return t.Note == nil }, ""),
	table.Int64("count", func(t *thing) *int64 { return &t.Count }),
	table.NullableInt64("size", func(t *thing) **int64 { return &t.Size }),
	table.Bool("done", func(t *thing) *bool { return &t.Done }),
	table.Time("at", func(t *thing) *chat.Time { return &t.At }),
	table.OptionalTime("edited_at", func(t *thing) **chat.Time { return &t.EditedAt }),
	table.EncodedText("tags",
		func(t *thing) string { return strings.Join(t.Tags, ",") },
		func(t *thing, stored string) error {
			t.Tags = strings.FieldsFunc(stored, func(r rune) bool { return r == ',' })
			return nil
		}),
	table.Int("uses", func(t *thing) *int { return &t.Uses }),
	table.Int64("highest", func(t *thing) *int64 { return &t.Highest }).KeepLarger(),
}

// box holds a thing, as an account holds a user.
type box struct {
	thing  thing
	secret string
}

var boxes = table.Within(things, func(b *box) *thing { return &b.thing }).And(
	table.OptionalText("secret", func(b *box) *string { return &b.secret }),
	table.ComputedInt64("computed", func(b *box) int64 { return 2 * b.thing.Count }),
)

var (
	insert = table.Insert("insert", "things", boxes, "")
	update = table.Update("update", "things", boxes.Pick("id"), boxes.Pick("count", "highest", "tags", "kind", "note"))
	remove = table.Delete("remove", "things", things.Pick("id", "user_id"))
)

const schema = `-- +goose Up
	CREATE TABLE meta (name TEXT PRIMARY KEY, value BYTEA NOT NULL);
	CREATE TABLE things (id UUID PRIMARY KEY, parent UUID, hash BYTEA NOT NULL, user_id TEXT NOT NULL, other TEXT,
		kind TEXT NOT NULL, note TEXT, count BIGINT NOT NULL, size BIGINT, done BOOLEAN NOT NULL, at BIGINT NOT NULL,
		edited_at BIGINT NOT NULL, tags TEXT NOT NULL, uses BIGINT NOT NULL,
		highest BIGINT NOT NULL, secret TEXT, computed BIGINT NOT NULL);
`

// ptr returns a pointer to a copy of v.
func ptr[V any](v V) *V { return &v }

func usual(n byte) box {
	return box{thing: thing{ID: chat.ID{15: n}, User: "ada", Kind: "usual", Count: int64(n), At: 7, Tags: []string{}}}
}

func unusual(n byte) box {
	return box{secret: "s", thing: thing{
		ID: chat.ID{15: n}, Parent: &chat.ID{1}, Hash: model.TokenHash{2}, User: "bob", Other: ptr(chat.UserID("cyd")),
		Kind: "other", Note: ptr("a note"), Count: int64(n), Size: ptr(int64(9)), Done: true, At: 7,
		EditedAt: ptr(chat.Time(8)),
		Tags:     []string{"a", "b"}, Highest: 10, Uses: 3,
	}}
}

func TestStatementsOnBothDatabases(t *testing.T) {
	for kind, url := range map[string]func(t *testing.T) string{
		"SQLite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "things.db") },
		"Postgres": func(t *testing.T) string { return pgtest.DatabaseUnlessShort(t) },
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			files := fstest.MapFS{
				"sqlite/1_things.sql":   {Data: []byte(schema)},
				"postgres/1_things.sql": {Data: []byte(schema)},
			}
			db, err := database.Open(t.Context(), database.Options{URL: url(t), Schema: files})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			all := []box{usual(1), usual(2), unusual(3), usual(4), unusual(5)}
			write := func(f func(c database.Conn)) {
				t.Helper()
				if err := db.Write(t.Context(), "write", func(c database.Conn) error { f(c); return c.Flush() }); err != nil {
					t.Fatal(err)
				}
			}
			write(func(c database.Conn) {
				insert.QueueAll(c, nil)
				insert.QueueAll(c, []*box{&all[0], &all[1]}) // the rare columns are left out
				insert.QueueAll(c, []*box{&all[2], &all[3]})
				insert.Queue(c, &all[4])
			})
			checkRows(t, db, all)

			for i := range all {
				all[i].thing.Count += 100
				all[i].thing.Highest, all[i].thing.Tags = 7, []string{"new"}
			}
			write(func(c database.Conn) {
				update.QueueAll(c, []*box{&all[0], &all[1]}) // the rare columns are left out
				update.QueueAll(c, []*box{&all[2], &all[3]})
				update.Queue(c, &all[4])
			})
			all[2].thing.Highest, all[4].thing.Highest = 10, 10 // which is larger
			checkRows(t, db, all)

			write(func(c database.Conn) {
				remove.QueueAll(c, []*thing{&all[0].thing, &all[2].thing})
				remove.Queue(c, &all[3].thing)
				remove.Queue(c, &thing{ID: all[4].thing.ID, User: "another"})
			})
			checkRows(t, db, []box{all[1], all[4]})
		})
	}
}

func checkRows(t *testing.T, db *database.DB, want []box) {
	t.Helper()
	got := []box{}
	err := db.Read(t.Context(), "read", func(c database.Conn) error {
		got = got[:0]
		sql := "-- name: read\nSELECT " + things.List("t.") + ", COALESCE(t.secret, '') FROM things t ORDER BY t.id"
		return database.Query(c, sql, func(r database.Row) error {
			var b box
			err := things.Scan(r, &b.thing, &b.secret)
			got = append(got, b)
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(box{})); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestLists(t *testing.T) {
	some := things.Pick("kind", "id", "note")
	for name, c := range map[string]struct{ got, want string }{
		"list":       {some.List("t."), "t.kind, t.id, t.note"},
		"common":     {some.ListCommon("d."), "COALESCE(d.kind, 'usual'), d.id, d.note"},
		"parameters": {some.Parameters(3), "$3, $4, $5"},
		"arrays":     {some.Arrays(3), "$3::text[], $4::uuid[], $5::text[]"},
		"parameter":  {some.Parameter("note", 3), "$5"},
		"without":    {some.Without("id").List(""), "kind, note"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", name, c.got, c.want)
		}
	}
}

func TestUnknownColumnPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("picked a column that does not exist")
		}
	}()
	things.Pick("id", "nonsense")
}
