package e2e

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// Rows of docs/defects.md about the load that one client can cause, and about the
// statements that the database runs.

// TestD04PresenceOnlyForSubscribers checks that presence is sent only to subscribers,
// at most once a second for each user.
func TestD04PresenceOnlyForSubscribers(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("ada", "bob", "joe")
		ada, joe, eve := s.dial("ada"), s.dial("joe"), s.dial("eve")
		ada.ok("subscribe_presence", map[string]any{"user_ids": []string{"bob"}})
		eve.ok("subscribe_presence", map[string]any{"user_ids": []string{"bob"}}) // a user with whom eve shares no channel
		began := time.Now()
		for range 20 {
			_ = s.dial("bob").conn.CloseNow()
		}
		last := s.dial("bob")
		ada.expect("presence", func(f *frame) bool { return f.IsOnline })
		_ = last.conn.CloseNow()
		ada.expect("presence", func(f *frame) bool { return !f.IsOnline })
		limit := int(time.Since(began)/time.Second) + 2
		ada.send(id, "a message for all members") // nothing can be in flight after it
		joe.expect("message", nil)
		eve.ask("ping", nil)
		if n := strings.Count(ada.dump(), `"type":"presence"`); n > limit {
			t.Errorf("%d presence frames in %d seconds", n, limit-1)
		}
		for who, c := range map[string]*client{"joe, who did not subscribe": joe, "eve, who shares no channel": eve} {
			if strings.Contains(c.dump(), `"type":"presence"`) {
				t.Errorf("%s received presence:\n%s", who, c.dump())
			}
		}
	})
}

// statements returns the number of statements that the server has run, without those
// of health checks.
func (s *server) statements() (sum float64) {
	s.t.Helper()
	_, body := fetch(s.t, s.ops+"/metrics")
	for _, m := range regexp.MustCompile(
		`(?m)^chowk_db_statement_duration_seconds_count\{[^}]*\} (\S+)`,
	).FindAllStringSubmatch(body, -1) {
		if strings.Contains(m[0], `name="ping"`) {
			continue // the health check
		}
		v, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			s.t.Fatal(err)
		}
		sum += v
	}
	return sum
}

// TestD05TypingRunsNoStatements checks that typing runs no statement from the sender's
// socket to the receiver's.
func TestD05TypingRunsNoStatements(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("ada", "bob")
		ada, bob := s.dial("ada"), s.dial("bob")
		ada.ok("typing", map[string]any{"channel_id": id})
		bob.expect("typing", nil)
		before := s.statements()
		for i := range 100 {
			ada.ok("typing", map[string]any{"channel_id": id, "is_typing": i%2 == 0})
		}
		bob.expect("typing", nil)
		bob.ask("ping", nil)
		if after := s.statements(); before == 0 || after != before {
			t.Errorf("100 typing commands ran %v statements, after %v before", after-before, before)
		}
	}, "canary.interval=0s")
}

// TestD65ChannelListRunsConstantStatements compares a user with one channel to a user
// with many.
func TestD65ChannelListRunsConstantStatements(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		for _, u := range []string{"few", "many"} {
			s.must(http.StatusOK, http.MethodGet, "/channels/", u, nil)
		}
		for i := range 40 {
			id := s.must(http.StatusCreated, http.MethodPost, "/channels/", "many", map[string]any{
				"name": fmt.Sprint(i),
			}).field(t, "id")
			s.must(http.StatusCreated, http.MethodPost, "/channels/"+id+"/messages", "many", map[string]any{"content": "x"})
		}
		s.must(http.StatusCreated, http.MethodPost, "/channels/", "few", map[string]any{"name": "one"})
		cost := func(user string) float64 {
			s.must(http.StatusOK, http.MethodGet, "/channels/", user, nil) // flushes pending reads
			before := s.statements()
			s.must(http.StatusOK, http.MethodGet, "/channels/", user, nil)
			return s.statements() - before
		}
		if few, many := cost("few"), cost("many"); few == 0 || few != many {
			t.Errorf("the list of one channel runs %v statements, that of 40 runs %v", few, many)
		}
	}, "canary.interval=0s")
}

// TestD66JITIsOffForChowkConnections has the database write the setting into the rows
// that chowk inserts.
func TestD66JITIsOffForChowkConnections(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	if err := pg.Exec("postgres", "ALTER SYSTEM SET jit = on"); err != nil {
		t.Fatal(err)
	}
	if err := pg.Exec("postgres", "SELECT pg_reload_conf()"); err != nil {
		t.Fatal(err)
	}
	s := serve(t, "database-url="+pg.URL(), "auth=none")
	const witness = "ALTER TABLE messages ADD COLUMN seen text DEFAULT current_setting('jit') || ' ' || " +
		"current_setting('application_name')"
	if err := pg.Exec("postgres", witness); err != nil {
		t.Fatal(err)
	}
	s.dial("ada").send(s.channel("ada"), "x")
	const check = `DO $$ BEGIN IF (SELECT min(seen) FROM messages) IS DISTINCT FROM 'off chowk' THEN
		RAISE EXCEPTION 'seen: %', (SELECT min(seen) FROM messages); END IF; END $$`
	if err := pg.Exec("postgres", check); err != nil {
		t.Error(err)
	}
}

// TestD06MessageSizeIsLimited checks that the error states the limit.
func TestD06MessageSizeIsLimited(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("ada", "bob")
		path := "/channels/" + id + "/messages"
		for _, size := range []int{16<<10 + 1, 2 << 20} {
			r := s.request(http.MethodPost, path, "ada", map[string]any{"content": strings.Repeat("x", size)})
			if r.status != http.StatusRequestEntityTooLarge || r.field(t, "code") != "too_large" ||
				!strings.Contains(r.field(t, "detail"), "at most") {
				t.Errorf("%d bytes over REST: %d %s", size, r.status, r.body)
			}
		}
		ada := s.dial("ada")
		if f := ada.askInvalid("new_message", map[string]any{
			"channel_id": id, "content": strings.Repeat("x", 16<<10+1),
		}); f.Code != "too_large" {
			t.Errorf("over a socket: %s", f.raw)
		}
		_ = ada.conn.Write(t.Context(), 1, make([]byte, 3<<20)) // the socket may be closed before everything is written
		if code := ada.ended(); code != 1009 {
			t.Errorf("3 MiB over a socket: closed with %v", code)
		}
		if n := len(s.history("bob", id)); n != 0 {
			t.Errorf("%d messages were stored", n)
		}
		s.must(http.StatusCreated, http.MethodPost, path, "ada", map[string]any{"content": strings.Repeat("x", 16<<10)})
	})
}

// TestD06RESTRequestsAreRateLimited checks that one user's requests are limited, and
// another user's are not affected.
func TestD06RESTRequestsAreRateLimited(t *testing.T) {
	t.Parallel()
	s := serve(t, "auth=none")
	id := s.channel("ada", "bob")
	refused := make(chan response, 1)
	stop := make(chan struct{})
	var flooding sync.WaitGroup
	for range 16 {
		flooding.Go(func() {
			for range 2000 {
				select {
				case <-stop:
					return
				default:
				}
				if r := s.request(
					http.MethodPost, "/channels/"+id+"/read", "ada", map[string]any{"seq": -1},
				); r.status == http.StatusTooManyRequests {
					select {
					case refused <- r:
					default:
					}
				}
			}
		})
	}
	select {
	case r := <-refused:
		if r.field(t, "code") != "rate_limited" || r.header.Get("Retry-After") == "" {
			t.Errorf("refused with %s, %v", r.body, r.header)
		}
	case <-time.After(waitTimeout):
		t.Error("no request was refused")
	}
	s.must(http.StatusCreated, http.MethodPost, "/channels/"+id+"/messages", "bob", map[string]any{
		"content": "undisturbed",
	})
	close(stop)
	flooding.Wait()
}

// TestD64DrainSpreadsReconnects checks that clients receive different times for
// reconnecting.
func TestD64DrainSpreadsReconnects(t *testing.T) {
	t.Parallel()
	s := serve(t, "auth=none", "drain.window=1s")
	var clients []*client
	for i := range 10 {
		c := s.dial(fmt.Sprint("u", i))
		c.ask("ping", nil) // the handshake is complete
		clients = append(clients, c)
	}
	if err := s.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	times := make(map[string]bool)
	for _, c := range clients {
		f := c.expect("notice", nil)
		times[regexp.MustCompile(`"reconnect_after_ms":\d+`).FindString(f.raw)] = true
	}
	if len(times) < 5 {
		t.Errorf("10 clients received %d different times: %v", len(times), times)
	}
	if err := s.Wait(); err != nil {
		t.Error(err)
	}
}
