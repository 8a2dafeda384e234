package store_test

import (
	"context"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
	"github.com/chowk-chat/chowk/internal/store"
)

// connections counts those that chowk has to the database, as the server sees it.
func connections(t *testing.T, url string) int {
	t.Helper()
	rows := pgtest.Query(t, url, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'chowk'")
	n, err := strconv.Atoi(rows[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestThePoolNeverExceedsItsSumAndClosesWhatIdles(t *testing.T) {
	t.Parallel()
	url := pgtest.DatabaseUnlessShort(t)
	w := open(t, store.Options{URL: url, Pool: store.Pool{Size: 3, Overflow: 2, MaxIdleTime: 300 * time.Millisecond}})
	letGo := lockUsers(t, url)
	var r readers
	r.ask(w, 20)
	eventually(t, "all connections are taken", func() bool {
		n := connections(t, url)
		if n > 5 {
			t.Fatalf("%d connections of at most 3 + 2", n)
		}
		s := w.PoolStats()
		return n == 5 && s.InUse == 4 && s.Waiting == 16 && s.OldestWait > 0
	})
	if err := w.Ping(t.Context()); err != nil {
		t.Errorf("health is not answered while the pool is full: %v", err)
	}
	letGo()
	for _, err := range r.wait() {
		if err != nil {
			t.Errorf("after the lock: %v", err)
		}
	}
	eventually(t, "the overflow is closed", func() bool { return connections(t, url) == 3 })
	if s := w.PoolStats(); s.InUse != 0 || s.Waiting != 0 || s.Opened-s.Closed != 3 {
		t.Errorf("afterwards: %+v", s)
	}
}

func TestAPoolOfOneIsOneConnection(t *testing.T) {
	t.Parallel()
	url := pgtest.DatabaseUnlessShort(t)
	w := open(t, store.Options{URL: url, Pool: store.Pool{Size: 1, Overflow: -1}})
	if _, err := w.FindUsers(t.Context(), "ada", 1); err != nil {
		t.Fatal(err)
	}
	if err := w.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := connections(t, url); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

func TestAnExhaustedPoolSaysWhoHoldsItAndRefusesWhoeverIsWaitedFor(t *testing.T) {
	t.Parallel()
	url := pgtest.DatabaseUnlessShort(t)
	w := open(t, store.Options{URL: url, Pool: store.Pool{Size: 3, Overflow: 2}})
	var r readers
	letGo := lockUsers(t, url)
	r.ask(w, 4)
	eventually(t, "the pool is full", func() bool { return w.PoolStats().InUse == 4 })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := w.Channels(ctx, "ada", false)
	said := regexp.MustCompile(`^channels: pool limit of size 3 overflow 2 reached, waited \d+ms; 0 waiting; held by 4 x find_users \(longest [\d.]+m?s\)`)
	if code(err) != chat.Overloaded || !said.MatchString(err.Error()) {
		t.Errorf("got %v", err)
	}
	retries := make(map[time.Duration]bool)
	for range 3 {
		_, err := w.Channels(ctx, "ada", false)
		retries[chat.AsError(err).RetryAfter] = true
	}
	if len(retries) < 2 || retries[0] {
		t.Errorf("everybody is told to come back at the same time: %v", retries)
	}
	if n := w.seen.of(w.seen.refused, "timeout"); n != 4 {
		t.Errorf("%d refusals counted, want 4", n)
	}
	held := w.PoolStats().Held
	if len(held) != 4 || held[0].BackendPID == 0 || len(held[0].TakenBy) < 2 || !strings.HasPrefix(held[0].TakenBy[0], "store.(*Store).usersBy:") {
		t.Errorf("holders: %+v", held)
	}
	if told := w.log.lines("pool limit of size"); len(told) != 1 || !strings.Contains(told[0], "usersBy") {
		t.Errorf("the holders were logged %d times: %s", len(told), told)
	}
	letGo()
	r.wait()
}

// TestHowLongPeopleWaitIsASetting: where it is longer, people still wait when others are
// refused.
func TestHowLongPeopleWaitIsASetting(t *testing.T) {
	t.Parallel()
	url := pgtest.DatabaseUnlessShort(t)
	pool := store.Pool{Size: 2, Overflow: -1}
	hasty := open(t, store.Options{URL: url, Pool: pool})
	pool.RequestTimeout = patience
	patient := open(t, store.Options{URL: url, Pool: pool})
	var r readers
	letGo := lockUsers(t, url)
	r.ask(hasty, 1)
	r.ask(patient, 1)
	eventually(t, "the pools are full", func() bool { return hasty.PoolStats().InUse == 1 && patient.PoolStats().InUse == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	waited := make(chan error)
	go func() {
		_, err := patient.Channels(ctx, "ada", false)
		waited <- err
	}()
	eventually(t, "it waits", func() bool { return patient.PoolStats().Waiting == 1 })
	if _, err := hasty.Channels(ctx, "ada", false); code(err) != chat.Overloaded {
		t.Errorf("got %v", err)
	}
	letGo()
	if err := <-waited; err != nil {
		t.Errorf("who may wait for longer was refused: %v", err)
	}
	r.wait()
}

func TestAWaiterLeavesWithItsCaller(t *testing.T) {
	t.Parallel()
	url := pgtest.DatabaseUnlessShort(t)
	w := open(t, store.Options{URL: url, Pool: store.Pool{Size: 2, Overflow: -1, BackgroundTimeout: time.Hour}})
	var r readers
	letGo := lockUsers(t, url)
	r.ask(w, 1)
	eventually(t, "the pool is full", func() bool { return w.PoolStats().InUse == 1 })
	ctx, cancel := context.WithCancel(t.Context()) // no deadline: background work
	gone := make(chan error)
	go func() {
		_, err := w.Channels(ctx, "ada", false)
		gone <- err
	}()
	eventually(t, "it waits", func() bool { return w.PoolStats().Waiting == 1 })
	cancel()
	if err := <-gone; code(err) != chat.Overloaded {
		t.Errorf("got %v", err)
	}
	if n := w.PoolStats().Waiting; n != 0 || w.seen.of(w.seen.refused, "gave_up") != 1 {
		t.Errorf("%d still wait", n)
	}
	letGo()
	r.wait()
}

func TestTheQueueForConnectionsIsBounded(t *testing.T) {
	t.Parallel()
	url := pgtest.DatabaseUnlessShort(t)
	w := open(t, store.Options{URL: url, Pool: store.Pool{Size: 2, Overflow: -1}, HoldHard: time.Minute})
	var r readers
	letGo := lockUsers(t, url)
	r.ask(w, 1001)
	eventually(t, "the queue is full", func() bool { return w.PoolStats().Waiting == 1000 })
	if _, err := w.FindUsers(context.Background(), "ada", 1); code(err) != chat.Overloaded {
		t.Errorf("got %v", err)
	}
	if n := w.seen.of(w.seen.refused, "queue_full"); n != 1 {
		t.Errorf("%d refused by the queue, want 1", n)
	}
	letGo()
	for _, err := range r.wait() {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestAUnitThatHoldsForLongIsLoggedThenCancelledAndItsConnectionLives(t *testing.T) {
	t.Parallel()
	url := pgtest.DatabaseUnlessShort(t)
	w := open(t, store.Options{URL: url, Pool: store.Pool{Size: 2, Overflow: -1}, HoldSoft: 300 * time.Millisecond, HoldHard: time.Second})
	if _, err := w.FindUsers(t.Context(), "ada", 1); err != nil {
		t.Fatal(err)
	}
	before := w.PoolStats().Opened
	letGo := lockUsers(t, url)
	_, err := w.FindUsers(t.Context(), "ada", 1)
	letGo()
	if code(err) != chat.Overloaded || !strings.Contains(err.Error(), "held for too long") {
		t.Errorf("got %v", err)
	}
	if w.seen.of(w.seen.heldLong, "find_users") != 1 || w.seen.of(w.seen.cancelled, "find_users") != 1 {
		t.Errorf("counted %v and %v", w.seen.heldLong, w.seen.cancelled)
	}
	soft := w.log.lines("holds its connection for long\" unit=find_users")
	if len(soft) != 1 || !strings.Contains(soft[0], "usersBy") || strings.Contains(soft[0], "backend_pid=0") {
		t.Errorf("logged %s", soft)
	}
	if hard := w.log.lines("cancelled at its hard limit"); len(hard) != 1 {
		t.Errorf("logged %s", hard)
	}
	if _, err := w.FindUsers(t.Context(), "ada", 1); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if after := w.PoolStats().Opened; after != before {
		t.Errorf("%d connections had to be opened", after-before)
	}
}

func TestSlowStatementsAreKeptAndLoggedWithAPlanWithoutValues(t *testing.T) {
	t.Parallel()
	everyDatabase(t, func(t *testing.T, url string) {
		w := open(t, store.Options{URL: url, SlowQuery: time.Nanosecond})
		for range 3 {
			if _, err := w.FindUsers(t.Context(), "a-secret-search", 10); err != nil {
				t.Fatal(err)
			}
		}
		find := func() *store.SlowQuery {
			for _, q := range w.SlowQueries() {
				if q.Name == "find_users" {
					return &q
				}
			}
			return nil
		}
		// Plans are asked for one at a time, so another statement may have been first.
		eventually(t, "the plan is there", func() bool {
			if _, err := w.FindUsers(t.Context(), "a-secret-search", 10); err != nil {
				t.Fatal(err)
			}
			q := find()
			return q != nil && q.Plan != ""
		})
		q := find()
		if q.Count < 3 || q.Worst == 0 || q.WorstUnit != "find_users" || !strings.Contains(q.SQL, "FROM users") || !strings.Contains(strings.ToLower(q.Plan), "scan") {
			t.Errorf("got %+v", *q)
		}
		if len(w.log.lines("name=find_users")) < 4 {
			t.Error("slow statements were not logged")
		}
		if plans := w.log.lines("plan of a slow statement\" name=find_users"); len(plans) != 1 {
			t.Errorf("the plan was logged %d times", len(plans))
		}
		if leaks := w.log.lines("a-secret-search"); len(leaks) > 0 || strings.Contains(q.Plan+q.SQL, "a-secret-search") {
			t.Errorf("a value was told: %s", leaks)
		}
		if n := len(w.SlowQueries()); n > 20 {
			t.Errorf("%d are listed, want at most 20", n)
		}
	})
}
