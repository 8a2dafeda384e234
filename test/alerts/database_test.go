//go:build !windows

package alerts

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// smallPool is a pool that a few requests can exhaust.
var smallPool = []string{"--pool.size=2", "--pool.overflow=1"}

var databaseFaults = []fault{
	{
		name: "PostgreSQL is down", what: "PostgreSQL is stopped",
		fires: []string{"ChowkDatabaseUnreachable", "ChowkCanaryFailing", "ChowkRefusesSends", "ChowkHandshakesRefused"},
		quick: true,
		setup: func(t *testing.T, st *scene) func() func() {
			pg := pgtest.Start(t)
			c := newUsers(t, st.serve(t, pg.URL()))
			c.send(4, c.channel(4), 100*time.Millisecond, 100)
			c.visit(100 * time.Millisecond)
			return func() func() {
				pg.Stop()
				return pg.Start
			}
		},
	},
	{
		name:  "PostgreSQL is frozen",
		what:  "PostgreSQL is frozen (`SIGSTOP` to all its processes): it accepts connections and answers nothing",
		fires: []string{"ChowkDatabaseUnreachable", "ChowkRefusesSends"}, speed: 5, // a scrape of the server takes up to 2 s
		setup: func(t *testing.T, st *scene) func() func() {
			pg := pgtest.Start(t)
			c := newUsers(t, st.serve(t, pg.URL()))
			c.send(4, c.channel(4), 100*time.Millisecond, 100)
			return func() func() {
				pg.Pause()
				return pg.Continue
			}
		},
	},
	{
		name: "messages are locked", what: "`LOCK TABLE messages` in a session that stays open",
		fires: []string{
			"ChowkRefusesSends", "ChowkJournalRefuses", "ChowkConnectionHeldTooLong", "ChowkConnectionsHeldLong",
			"ChowkCommitSlow",
		},
		setup: func(t *testing.T, st *scene) func() func() {
			url := pgtest.Database(t)
			c := newUsers(t, st.serve(t, url))
			c.send(4, c.channel(4), 100*time.Millisecond, 100)
			st.after(5 * time.Minute) // ChowkConnectionHeldTooLong compares with that time
			return func() func() { return pgtest.Lock(t, url, "messages") }
		},
	},
	{
		name: "users are locked", what: "`LOCK TABLE users` while twelve people search for users, with a pool of 2 + 1",
		fires: []string{"ChowkPoolExhausted", "ChowkPoolQueuePersists"},
		setup: func(t *testing.T, st *scene) func() func() {
			url := pgtest.Database(t)
			c := newUsers(t, st.serve(t, url, smallPool...))
			c.search(12, 20*time.Millisecond)
			return func() func() { return pgtest.Lock(t, url, "users") }
		},
	},
	{
		name: "users are locked briefly", what: "`LOCK TABLE users` for 200 ms, repeatedly, with a pool of 2 + 1",
		fires: []string{"ChowkPoolWaits"},
		setup: func(t *testing.T, st *scene) func() func() {
			url := pgtest.Database(t)
			c := newUsers(t, st.serve(t, url, smallPool...))
			c.search(12, 20*time.Millisecond)
			return func() func() { return lockRepeatedly(t, url, "users", 200*time.Millisecond) }
		},
	},
	{
		name: "one unit of work is held once", what: "`LOCK TABLE users` for 2 s, once, while one person searches for users",
		fires: []string{"ChowkConnectionHeldTooLong"},
		setup: func(t *testing.T, st *scene) func() func() {
			url := pgtest.Database(t)
			c := newUsers(t, st.serve(t, url))
			c.search(1, 100*time.Millisecond)
			st.after(5 * time.Minute) // the alert compares with that time
			return func() func() {
				letGo := pgtest.Lock(t, url, "users")
				time.Sleep(2 * time.Second)
				letGo()
				return func() {}
			}
		},
	},
	{
		name: "commits are slow", what: "a trigger on messages that takes 0.3 s, like a very slow disk",
		fires: []string{"ChowkCommitSlow"},
		setup: func(t *testing.T, st *scene) func() func() {
			url := pgtest.Database(t)
			c := newUsers(t, st.serve(t, url))
			c.send(2, c.channel(2), 200*time.Millisecond, 100)
			return func() func() {
				pgtest.Query(t, url, `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql
						AS 'BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END';
					CREATE TRIGGER slow AFTER INSERT ON messages FOR EACH STATEMENT EXECUTE FUNCTION slow()`)
				return func() { pgtest.Query(t, url, "DROP TRIGGER slow ON messages") }
			}
		},
	},
	{
		name:  "a replica is late",
		what:  "a replica that replays nothing (`pg_wal_replay_pause()`), while people read what was just written",
		fires: []string{"ChowkReplicaNotUsed"}, alone: true,
		setup: func(t *testing.T, st *scene) func() func() {
			primary := pgtest.Start(t)
			replica := primary.Replica(t)
			c := newUsers(t, st.serve(t, primary.URL(), "--database-read-url="+replica.URL()))
			channel := c.channel(4)
			c.send(2, channel, 200*time.Millisecond, 100)
			c.read(4, channel, 100*time.Millisecond)
			return func() func() {
				pgtest.Query(t, replica.URL(), "SELECT pg_wal_replay_pause()")
				return func() { pgtest.Query(t, replica.URL(), "SELECT pg_wal_replay_resume()") }
			}
		},
	},
	{
		name: "a replica is down", what: "the replica is stopped",
		fires: []string{"ChowkReplicaNotUsed"}, alone: true,
		setup: func(t *testing.T, st *scene) func() func() {
			primary := pgtest.Start(t)
			replica := primary.Replica(t)
			c := newUsers(t, st.serve(t, primary.URL(), "--database-read-url="+replica.URL()))
			channel := c.channel(4)
			c.send(1, channel, time.Second, 100)
			c.read(4, channel, 100*time.Millisecond)
			return func() func() {
				replica.Stop()
				return replica.Start
			}
		},
	},
	{
		name: "commits are not on disk", what: "`ALTER DATABASE … SET synchronous_commit = off`, and a restart",
		fires: []string{"ChowkDurabilityIsOS"},
		setup: func(t *testing.T, st *scene) func() func() {
			url := pgtest.Database(t)
			s := st.serve(t, url)
			set := func(value string) {
				pgtest.Query(t, url, fmt.Sprintf(
					"DO $$ BEGIN EXECUTE format('ALTER DATABASE %%I SET synchronous_commit = %s', current_database()); END $$", value))
				s.restart()
			}
			return func() func() {
				set("off")
				return func() { set("on") }
			}
		},
	},
}

// lockRepeatedly locks a table again and again.
func lockRepeatedly(t *testing.T, url, table string, locked time.Duration) (end func()) {
	stop := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() { // ends when stop is closed
		for {
			select {
			case <-stop:
				return
			default:
			}
			letGo := pgtest.Lock(t, url, table)
			time.Sleep(locked)
			letGo()
		}
	})
	return func() {
		close(stop)
		done.Wait()
	}
}
