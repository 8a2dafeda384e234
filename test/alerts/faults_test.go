//go:build !windows

package alerts

import (
	"syscall"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// faults are all faults. An alert may be in several.
var faults = slicesOf(databaseFaults, serviceFaults, socketFaults, machineFaults, nodeFaults)

func slicesOf(all ...[]fault) (joined []fault) {
	for _, some := range all {
		joined = append(joined, some...)
	}
	return joined
}

var serviceFaults = []fault{
	{
		name: "a server is killed", what: "`kill -9`", fires: []string{"ChowkDown"}, quick: true,
		setup: func(t *testing.T, st *scene) func() func() {
			s := st.serve(t, sqlite(t))
			return func() func() {
				s.Kill()
				return s.start
			}
		},
	},
	{
		name: "rows are lost", what: "a channel's last seq is raised by hand in the database, so that entries are missing; " +
			"ended by a restart",
		fires: []string{"ChowkCanaryFailing"}, speed: 5, // the canary waits 5 s for each message
		setup: func(t *testing.T, st *scene) func() func() {
			url := pgtest.Database(t)
			s := st.serve(t, url)
			return func() func() {
				pgtest.Query(t, url, "UPDATE channels SET last_seq = last_seq + 3")
				return s.restart
			}
		},
	},
	{
		name: "a table is missing", what: "`ALTER TABLE messages RENAME` under a running server",
		fires: []string{"ChowkInternalErrors", "ChowkDatabaseErrors"},
		setup: func(t *testing.T, st *scene) func() func() {
			url := pgtest.Database(t)
			c := newUsers(t, st.serve(t, url))
			c.send(4, c.channel(4), 200*time.Millisecond, 100)
			return func() func() {
				pgtest.Query(t, url, "ALTER TABLE messages RENAME TO gone")
				return func() { pgtest.Query(t, url, "ALTER TABLE gone RENAME TO messages") }
			}
		},
	},
	{
		name:  "a process gets no CPU",
		what:  "the process is stopped (`SIGSTOP`) for 1.2 s and runs for 30 ms, repeatedly, with 500 sockets in a channel",
		fires: []string{"ChowkDeliveryLag"}, speed: 10,
		setup: func(t *testing.T, st *scene) func() func() {
			s := st.serve(t, sqlite(t), "--limits.sockets-per-user=0")
			c := newUsers(t, s)
			channel := c.channel(10)
			c.stay(500, func(i int) string { return user(i % 10) })
			c.send(10, channel, 20*time.Millisecond, 100)
			return func() func() {
				stop, stopped := make(chan struct{}), make(chan struct{})
				go func() { // ends when stop is closed
					defer close(stopped)
					for {
						s.signal(syscall.SIGSTOP)
						time.Sleep(1200 * time.Millisecond)
						s.signal(syscall.SIGCONT)
						select {
						case <-stop:
							return
						case <-time.After(30 * time.Millisecond):
						}
					}
				}()
				return func() {
					close(stop)
					<-stopped
				}
			}
		},
	},
	{
		name:  "a backup is restored",
		what:  "the history changes while the server is down, as after a restore, and clients reconnect",
		fires: []string{"ChowkHistoryChanged"},
		setup: func(t *testing.T, st *scene) func() func() {
			url := pgtest.Database(t)
			s := st.serve(t, url)
			reconnecting(t, s)
			return func() func() {
				s.Kill()
				pgtest.Query(t, url, "UPDATE meta SET value = decode(md5(random()::text), 'hex') WHERE name = 'epoch'")
				s.start()
				return func() {}
			}
		},
	},
}
