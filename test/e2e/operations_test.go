package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// fetch makes a GET request outside the API.
func fetch(t *testing.T, url string) (status int, body string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// metric returns the value of a metric, or 0 if it does not exist.
func (s *server) metric(name string) float64 {
	s.t.Helper()
	_, body := fetch(s.t, s.ops+"/metrics")
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)`).FindStringSubmatch(body)
	if m == nil {
		return 0
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}

// until polls until f returns true.
func (s *server) until(what string, f func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(waitTimeout); !f(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("timed out waiting until %s\n%s", what, s.Log.Text())
		}
	}
}

type readiness struct {
	Ready  bool
	Checks map[string]struct{ State, Detail string }
}

func (s *server) readiness() (status int, r readiness) {
	s.t.Helper()
	status, body := fetch(s.t, s.ops+"/readyz")
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		s.t.Fatalf("%v: %s", err, body)
	}
	return status, r
}

// TestOperationsUseASeparateListener checks that metrics, profiles and sockets are not
// served on the public listener.
func TestOperationsUseASeparateListener(t *testing.T) {
	t.Parallel()
	s := serve(t, "auth=none")
	id := s.channel("ada", "bob")
	ada, bob := s.dial("ada"), s.dial("bob")
	ada.send(id, "hello")
	bob.expect("message", nil)
	for name, minimum := range map[string]float64{
		"chowk_sockets": 2,
		`chowk_commands_total{command="new_message",result="ok"}`:                1,
		"chowk_delivery_lag_seconds_count":                                       1,
		`chowk_database_info{durability="disk",kind="sqlite"}`:                   1,
		`chowk_handshakes_total{result="ok"}`:                                    2,
		"go_goroutines":                                                          1,
		"process_open_fds":                                                       1,
		`chowk_db_hold_seconds_count{unit="commit"}`:                             1,
		`chowk_command_duration_seconds_bucket{command="new_message",le="+Inf"}`: 1,
	} {
		if got := s.metric(name); got < minimum {
			t.Errorf("%s is %v, want at least %v", name, got, minimum)
		}
	}
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/sockets"} {
		if status, body := fetch(t, s.url+path); status == http.StatusOK && !strings.Contains(body, "<html") ||
			strings.Contains(body, "chowk_sockets") {
			t.Errorf("%s is public: status %d: %.100s", path, status, body)
		}
	}
	if status, body := fetch(t, s.url+"/readyz"); status != http.StatusOK || strings.TrimSpace(body) != "ok" {
		t.Errorf("the public readyz: status %d, want 200 with ok: %s", status, body)
	}
	status, r := s.readiness()
	if status != http.StatusOK || !r.Ready || len(r.Checks) < 4 {
		t.Errorf("readiness: status %d, %+v; want ready with at least 4 checks", status, r)
	}
	if detail := r.Checks["database"].Detail; !strings.Contains(detail, "disk") {
		t.Errorf("the database check does not mention the durability: %q", detail)
	}
	var list struct {
		Open, Users int
		Sockets     []struct{ User, Connection string }
	}
	_, body := fetch(t, s.ops+"/debug/sockets?limit=1")
	if err := json.Unmarshal([]byte(body), &list); err != nil {
		t.Fatal(err)
	}
	if list.Open != 2 || list.Users != 2 {
		t.Errorf("%d sockets of %d users, want 2 of 2", list.Open, list.Users)
	}
	if len(list.Sockets) != 1 || list.Sockets[0].User == "" {
		t.Errorf("the listed sockets are %+v, want one with its user", list.Sockets)
	}
	if status, body := fetch(t, s.ops+"/debug/pprof/goroutine?debug=1"); status != http.StatusOK ||
		!strings.Contains(body, "goroutine profile") {
		t.Errorf("pprof: status %d: %.100s", status, body)
	}
}

// TestReadinessReportsFailingChecks stops the database.
func TestReadinessReportsFailingChecks(t *testing.T) {
	pg := pgtest.Start(t)
	s := serve(t, "database-url="+pg.URL(), "auth=none")
	pg.Stop()
	status, r := s.readiness()
	if status != http.StatusServiceUnavailable || r.Ready || r.Checks["database"].State != "failing" ||
		r.Checks["draining"].State != "ok" {
		t.Errorf("readiness: status %d, %+v; want 503 and a failing database", status, r)
	}
	if got := s.metric(`chowk_health{check="database"}`); got != 2 {
		t.Errorf("chowk_health is %v, want 2", got)
	}
	pg.Start()
}

// TestReadinessFailsBeforeDraining checks that a stopping server reports not ready
// while it still accepts sockets.
func TestReadinessFailsBeforeDraining(t *testing.T) {
	t.Parallel()
	s := serve(t, "auth=none", "drain.delay=10m", "drain.window=0s", "heartbeat=1s")
	if err := s.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.Log.Await(t, `"draining"`)
	if status, r := s.readiness(); status != http.StatusServiceUnavailable || r.Checks["draining"].State != "failing" {
		t.Errorf("readiness: status %d, %+v; want 503 and failing for draining", status, r)
	}
	if status, _ := fetch(t, s.url+"/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("the public readyz: status %d, want 503", status)
	}
	if s.metric("chowk_draining") != 1 {
		t.Error("chowk_draining is not 1")
	}
	c := s.dial("ada") // from a load balancer that has not noticed yet
	c.ask("ping", nil)
	s.kill()
}

// TestConfiguredOpsAddressMustBeFree checks that a server does not start if ops.listen
// is in use, and that ops.listen=off works.
func TestConfiguredOpsAddressMustBeFree(t *testing.T) {
	t.Parallel()
	s := serve(t, "auth=none")
	address := strings.TrimPrefix(s.ops, "http://")
	out, err := command(
		t, "serve", "--auth=none", "--listen=127.0.0.1:0", "--ops.listen="+address, "--data-dir="+t.TempDir(),
	).CombinedOutput()
	if err == nil || !strings.Contains(string(out), address+" is already in use") {
		t.Errorf("%v: %s", err, out)
	}
	off := serve(t, "auth=none", "ops.listen=off")
	if off.dial("ada").hello.Status != "connected" {
		t.Error("a server without the ops listener does not accept sockets")
	}
}

// TestCanaryUsesThePublicListener checks that the canary works with every kind of
// authentication, and that users cannot see it.
func TestCanaryUsesThePublicListener(t *testing.T) {
	for _, mode := range []string{"auth=none", "auth=accounts", "auth=jwt"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			settings := []string{mode, "canary.interval=20ms"}
			if mode == "auth=jwt" {
				settings = append(settings, "auth.jwt-secret=5Qm9zX2vT7yK1wRb8NcE4uHj6LpD3sGa0FiV")
			}
			s := serve(t, settings...)
			s.until("the canary succeeds", func() bool {
				return s.metric("chowk_canary_ok") == 1 && s.metric("chowk_canary_round_trip_seconds_count") > 5
			})
			if got := s.metric("chowk_sockets"); got != 0 {
				t.Errorf("chowk_sockets is %v, want 0: it counts the canary", got)
			}
			if _, body := fetch(t, s.ops+"/debug/sockets"); strings.Contains(body, "canary") {
				t.Error(body)
			}
			if strings.Contains(s.Log.Text(), "user connected") {
				t.Error(s.Log.Text())
			}
			if mode != "auth=none" {
				return
			}
			for _, path := range []string{"/users?query=chowk", "/users?query=canary", "/channels/browse", "/online-users"} {
				if r := s.request(http.MethodGet, path, "ada", nil); r.status >= 500 || strings.Contains(string(r.body), "canary") {
					t.Errorf("%s: %d %s", path, r.status, r.body)
				}
			}
			if r := s.request(http.MethodGet, "/channels/", "chowk.canary", nil); r.status != http.StatusUnauthorized {
				t.Errorf("a user can be the canary: status %d: %s", r.status, r.body)
			}
		})
	}
}

// TestCanaryFollowsTheDatabase checks that the canary fails with the database,
// recovers with it, and continues in its channel after a restart.
func TestCanaryFollowsTheDatabase(t *testing.T) {
	pg := pgtest.Start(t)
	s := serve(t, "database-url="+pg.URL(), "auth=none", "canary.interval=20ms")
	succeeds := func() bool { return s.metric("chowk_canary_ok") == 1 }
	s.until("the canary succeeds", succeeds)
	pg.Stop()
	s.until("the canary fails", func() bool {
		return !succeeds() && s.metric(
			`chowk_canary_failures_total{stage="send"}`,
		)+s.metric(`chowk_canary_failures_total{stage="connect"}`) > 0
	})
	pg.Start()
	s.until("the canary succeeds again", succeeds)
	s.stop()
	s = serve(t, "database-url="+pg.URL(), "auth=none", "canary.interval=20ms")
	s.until("the canary succeeds after a restart", succeeds)
	if n := s.metric(`chowk_canary_failures_total{stage="order"}`); n != 0 {
		t.Errorf("%v canary messages were out of order", n)
	}
}
