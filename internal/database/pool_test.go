package database_test

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/database/databasetest"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// connections counts those that chowk has to the database, as the server sees it.
func connections(t *testing.T, url string) int {
	t.Helper()
	rows := pgtest.Query(t, url, `SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = 'chowk'`)
	n, err := strconv.Atoi(rows[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// usage is the part of PoolStats that tests compare.
type usage struct{ InUse, Waiting int }

func (w *world) usage() usage {
	s := w.Stats()
	return usage{s.InUse, s.Waiting}
}

func (w *world) waitForUsage(t *testing.T, want usage) {
	t.Helper()
	databasetest.Eventually(t, "the pool reaches the wanted usage", func() bool { return w.usage() == want })
}

func TestPoolNeverExceedsItsSumAndClosesIdleConnections(t *testing.T) {
	t.Parallel()
	url := pgtest.DatabaseUnlessShort(t)
	w := open(t, database.Options{
		URL: url, Pool: database.Pool{Size: 3, Overflow: 2, MaxIdleTime: 300 * time.Millisecond},
	})
	unlock := pgtest.Lock(t, url, "users")
	var r readers
	r.start(w, 20)
	databasetest.Eventually(t, "all connections are in use", func() bool {
		n := connections(t, url)
		if n > 5 {
			t.Fatalf("%d connections, want at most 3 + 2", n)
		}
		return n == 5 && w.usage() == usage{InUse: 4, Waiting: 16} && w.Stats().OldestWait > 0
	})
	if err := w.Ping(t.Context()); err != nil {
		t.Errorf("ping while the pool is full: %v", err)
	}
	unlock()
	for _, err := range r.wait() {
		if err != nil {
			t.Errorf("after the lock: %v", err)
		}
	}
	databasetest.Eventually(t, "the overflow is closed", func() bool { return connections(t, url) == 3 })
	s := w.Stats()
	if got := (usage{s.InUse, s.Waiting}); got != (usage{}) {
		t.Errorf("afterwards the pool has %+v, want nothing in use", got)
	}
	if n := s.Opened - s.Closed; n != 3 {
		t.Errorf("%d connections are open by the pool's count, want 3", n)
	}
}

func TestPoolOfOneIsOneConnection(t *testing.T) {
	t.Parallel()
	url := pgtest.DatabaseUnlessShort(t)
	w := open(t, database.Options{URL: url, Pool: database.Pool{Size: 1, Overflow: -1}})
	if err := w.readMeta(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := connections(t, url); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

// exhausted returns a world with four connections that all wait for the lock on users.
func exhausted(t *testing.T) (w *world, unlock func()) {
	t.Helper()
	url := pgtest.DatabaseUnlessShort(t)
	w = open(t, database.Options{URL: url, Pool: database.Pool{Size: 3, Overflow: 2}})
	release := pgtest.Lock(t, url, "users")
	r := &readers{}
	r.start(w, 4)
	w.waitForUsage(t, usage{InUse: 4})
	return w, func() {
		release()
		r.wait()
	}
}

func TestExhaustedPoolRefusesClientsAndNamesHolders(t *testing.T) {
	t.Parallel()
	w, unlock := exhausted(t)
	defer unlock()
	ctx, cancel := context.WithTimeout(t.Context(), databasetest.Patience)
	defer cancel()
	retries := make(map[time.Duration]bool)
	for range 4 {
		err := w.readMeta(ctx)
		want := regexp.MustCompile(`^read_meta: pool limit of size 3 overflow 2 reached, waited \d+ms; 0 waiting; ` +
			`held by 4 x find_users \(longest [\d.]+m?s\)`)
		if code(err) != chat.Overloaded || !want.MatchString(err.Error()) {
			t.Errorf("got %v, want it to name the holders", err)
		}
		retries[chat.AsError(err).RetryAfter] = true
	}
	if len(retries) < 2 || retries[0] {
		t.Errorf("clients are told to retry after %v, want different times", retries)
	}
	if n := w.seen.Counts().Refused["timeout"]; n != 4 {
		t.Errorf("%d refusals counted, want 4", n)
	}
	if lines := w.log.Lines("pool limit of size"); len(lines) != 1 || !strings.Contains(lines[0], "findUsers") {
		t.Errorf("the holders were logged as %q, want one line", lines)
	}
}

func TestStatsNameHoldersAndCallers(t *testing.T) {
	t.Parallel()
	w, unlock := exhausted(t)
	defer unlock()
	var s database.PoolStats
	databasetest.Eventually(t, "four connections are open", func() bool {
		s = w.Stats()
		opening := slices.ContainsFunc(s.Held, func(h database.Hold) bool { return h.BackendPID == 0 })
		return len(s.Held) == 4 && !opening
	})
	for _, h := range s.Held {
		if len(h.TakenBy) < 2 || !strings.HasPrefix(h.TakenBy[0], "database_test.(*world).findUsers:") {
			t.Errorf("taken by %q, want findUsers and its callers", h.TakenBy)
		}
	}
	want := []database.Holder{{Unit: "find_users", Count: 4, Longest: s.Held[0].For}}
	if diff := cmp.Diff(want, s.Holders); diff != "" {
		t.Errorf("holders (-want +got):\n%s", diff)
	}
}

// TestRequestTimeoutIsASetting: with a longer one, clients still wait when those of
// another server are refused.
func TestRequestTimeoutIsASetting(t *testing.T) {
	t.Parallel()
	url := pgtest.DatabaseUnlessShort(t)
	pool := database.Pool{Size: 2, Overflow: -1}
	hasty := open(t, database.Options{URL: url, Pool: pool})
	pool.RequestTimeout = databasetest.Patience
	patient := open(t, database.Options{URL: url, Pool: pool})
	var r readers
	unlock := pgtest.Lock(t, url, "users")
	r.start(hasty, 1)
	r.start(patient, 1)
	hasty.waitForUsage(t, usage{InUse: 1})
	patient.waitForUsage(t, usage{InUse: 1})
	ctx, cancel := context.WithTimeout(t.Context(), databasetest.Patience)
	defer cancel()
	waited := make(chan error)
	go func() { waited <- patient.readMeta(ctx) }()
	patient.waitForUsage(t, usage{InUse: 1, Waiting: 1})
	if err := hasty.readMeta(ctx); code(err) != chat.Overloaded {
		t.Errorf("with the default: got %v, want overloaded", err)
	}
	unlock()
	if err := <-waited; err != nil {
		t.Errorf("with a longer request timeout: %v", err)
	}
	r.wait()
}

func TestWaiterLeavesWithItsCaller(t *testing.T) {
	t.Parallel()
	url := pgtest.DatabaseUnlessShort(t)
	w := open(t, database.Options{URL: url, Pool: database.Pool{Size: 2, Overflow: -1, BackgroundTimeout: time.Hour}})
	var r readers
	unlock := pgtest.Lock(t, url, "users")
	r.start(w, 1)
	w.waitForUsage(t, usage{InUse: 1})
	ctx, cancel := context.WithCancel(t.Context()) // without a deadline: background work
	left := make(chan error)
	go func() { left <- w.readMeta(ctx) }()
	w.waitForUsage(t, usage{InUse: 1, Waiting: 1})
	cancel()
	if err := <-left; code(err) != chat.Overloaded {
		t.Errorf("got %v, want overloaded", err)
	}
	if got, want := w.usage(), (usage{InUse: 1}); got != want {
		t.Errorf("the pool has %+v, want %+v", got, want)
	}
	if n := w.seen.Counts().Refused["gave_up"]; n != 1 {
		t.Errorf("%d counted as gave_up, want 1", n)
	}
	unlock()
	r.wait()
}

func TestQueueForConnectionsIsBounded(t *testing.T) {
	t.Parallel()
	url := pgtest.DatabaseUnlessShort(t)
	w := open(t, database.Options{URL: url, Pool: database.Pool{Size: 2, Overflow: -1}, HoldHard: time.Minute})
	var r readers
	unlock := pgtest.Lock(t, url, "users")
	r.start(w, 1001)
	w.waitForUsage(t, usage{InUse: 1, Waiting: 1000})
	if err := w.readMeta(context.Background()); code(err) != chat.Overloaded {
		t.Errorf("got %v, want overloaded", err)
	}
	if n := w.seen.Counts().Refused["queue_full"]; n != 1 {
		t.Errorf("%d counted as queue_full, want 1", n)
	}
	unlock()
	for _, err := range r.wait() {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestLongHoldIsLoggedThenCancelledAndItsConnectionSurvives(t *testing.T) {
	t.Parallel()
	url := pgtest.DatabaseUnlessShort(t)
	w := open(t, database.Options{
		URL: url, Pool: database.Pool{Size: 2, Overflow: -1}, HoldSoft: 300 * time.Millisecond, HoldHard: time.Second,
	})
	if _, err := w.findUsers(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	before := w.Stats().Opened
	unlock := pgtest.Lock(t, url, "users")
	_, err := w.findUsers(t.Context(), "ada")
	unlock()
	if code(err) != chat.Overloaded || !strings.Contains(err.Error(), "held for too long") {
		t.Errorf("got %v, want overloaded, because the connection was held for too long", err)
	}
	counts, once := w.seen.Counts(), map[string]int{"find_users": 1}
	if diff := cmp.Diff([]map[string]int{once, once}, []map[string]int{counts.HeldLong, counts.Cancelled}); diff != "" {
		t.Errorf("held long and cancelled (-want +got):\n%s", diff)
	}
	soft := w.log.Lines("held its connection past the soft limit\" unit=find_users")
	if len(soft) != 1 || !strings.Contains(soft[0], "findUsers") || strings.Contains(soft[0], "backend_pid=0") {
		t.Errorf("at the soft limit %q was logged, want one line with caller and process", soft)
	}
	if hard := w.log.Lines("cancelled at the hard limit"); len(hard) != 1 {
		t.Errorf("at the hard limit %q was logged, want one line", hard)
	}
	if _, err := w.findUsers(t.Context(), "ada"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if after := w.Stats().Opened; after != before {
		t.Errorf("%d connections had to be opened, want none", after-before)
	}
}
