package database_test

import (
	"strings"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/database/databasetest"
)

func (w *world) slowQuery(name string) (found database.SlowQuery) {
	for _, q := range w.SlowQueries() {
		if q.Name == name {
			found = q
		}
	}
	return found
}

func TestSlowStatementsAreLoggedAndRecordedWithPlansButWithoutValues(t *testing.T) {
	t.Parallel()
	everyDatabase(t, func(t *testing.T, url string) {
		const secret = "a-secret-search"
		w := open(t, database.Options{URL: url, SlowQuery: time.Nanosecond})
		find := func() {
			if _, err := w.findUsers(t.Context(), secret); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 {
			find()
		}
		// One plan is requested at a time, so another statement may have been first.
		databasetest.Eventually(t, "the plan is there", func() bool {
			find()
			return w.slowQuery("find_users").Plan != ""
		})
		q := w.slowQuery("find_users")
		if q.Count < 3 || q.Worst == 0 || q.WorstUnit != "find_users" {
			t.Errorf("got %+v, want at least 3 in unit find_users", q)
		}
		if !strings.Contains(q.SQL, "FROM users") || !strings.Contains(strings.ToLower(q.Plan), "scan") {
			t.Errorf("got the text %q and the plan %q", q.SQL, q.Plan)
		}
		if n := len(w.log.Lines("name=find_users")); n < 4 {
			t.Errorf("%d lines were logged, want at least 4", n)
		}
		if n := len(w.log.Lines("plan of a slow statement\" name=find_users")); n != 1 {
			t.Errorf("the plan was logged %d times, want once", n)
		}
		if leaks := w.log.Lines(secret); len(leaks) > 0 || strings.Contains(q.Plan+q.SQL, secret) {
			t.Errorf("a value was logged or recorded: %q", leaks)
		}
	})
}

func TestSlowQueriesAreAtMostTwenty(t *testing.T) {
	t.Parallel()
	w := open(t, database.Options{URL: "sqlite:" + t.TempDir() + "/chowk.db", SlowQuery: time.Nanosecond, NoPlans: true})
	for letter := range strings.SplitSeq("abcdefghijklmnopqrstuvwxyz", "") {
		err := w.Read(t.Context(), "read", func(c database.Conn) error {
			return database.Query(c, database.NameMark+letter+"\nSELECT 1", func(database.Row) error { return nil })
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := len(w.SlowQueries()); n != 20 {
		t.Errorf("%d are listed, want 20", n)
	}
}
