package ops

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func get(h http.Handler, from, host, path string) (int, string) {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.RemoteAddr, r.Host = from, host
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	body, _ := io.ReadAll(w.Result().Body)
	return w.Code, string(body)
}

func TestReadyzHasReasons(t *testing.T) {
	database := Finding{OK, "postgres"}
	s := &Server{Health: &Health{Checks: []Check{
		{"database", func(context.Context) Finding { return database }},
		{"disk", func(context.Context) Finding { return Finding{Warning, "3% free"} }},
	}}, Log: slog.New(slog.DiscardHandler)}
	status, body := get(s.Handler(), "10.0.0.7:1", "node:8081", "/readyz")
	var r Report
	if err := json.Unmarshal([]byte(body), &r); err != nil || status != http.StatusOK || !r.Ready ||
		r.Checks["disk"].State != Warning {
		t.Errorf("a warning made the node unready: %d %s %v", status, body, err)
	}
	database = Finding{Failing, "does not answer"}
	status, body = get(s.Handler(), "10.0.0.7:1", "node:8081", "/readyz")
	if status != http.StatusServiceUnavailable || !strings.Contains(body, "does not answer") {
		t.Errorf("%d %s", status, body)
	}
	if err := s.Health.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "database: does not answer") {
		t.Error(err)
	}
}

func TestDebugAnswersOnlyOnThisMachine(t *testing.T) {
	s := &Server{
		Sockets: func(limit int) any { return map[string]int{"limit": limit} },
		Log:     slog.New(slog.DiscardHandler),
	}
	for _, c := range []struct {
		from, host string
		status     int
	}{
		{"127.0.0.1:9", "127.0.0.1:8081", http.StatusOK},
		{"[::1]:9", "[::1]:8081", http.StatusOK},
		{"127.0.0.1:9", "localhost:8081", http.StatusOK},
		{"10.0.0.7:9", "10.0.0.1:8081", http.StatusForbidden},
		{"10.0.0.7:9", "localhost", http.StatusForbidden},
		{"127.0.0.1:9", "rebound.example", http.StatusForbidden},
	} {
		for _, path := range []string{"/debug/sockets", "/debug/pprof/", "/debug/pprof/cmdline"} {
			if status, _ := get(s.Handler(), c.from, c.host, path); status != c.status {
				t.Errorf("%s from %s as %s: %d, want %d", path, c.from, c.host, status, c.status)
			}
		}
	}
	for query, want := range map[string]int{
		"": 200, "?limit=7": 200, "?limit=-1": 400, "?limit=x": 400, "?limit=99999999": 400,
	} {
		if status, body := get(s.Handler(), "127.0.0.1:9", "localhost", "/debug/sockets"+query); status != want {
			t.Errorf("%q: %d %s", query, status, body)
		}
	}
}
