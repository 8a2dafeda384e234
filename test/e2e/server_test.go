// Package e2e tests the built binary over real sockets, on both databases.
package e2e

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/internal/testkit"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// waitTimeout limits every wait of these tests. No wait is expected to take that long.
const waitTimeout = 30 * time.Second

func TestMain(m *testing.M) { os.Exit(testkit.HeavyMain(m, "-race")) }

// server is a running chowk.
type server struct {
	*testkit.Server
	t      *testing.T
	url    string       // http://127.0.0.1:PORT
	ops    string       // the URL of the operations listener
	client *http.Client // nil for the default one
	broken bool         // the test causes internal errors
}

// serve starts a server with settings such as "auth=none". The canary is off unless a
// setting turns it on, because its statements would be counted.
func serve(t *testing.T, settings ...string) *server {
	t.Helper()
	return serveThrough(t, nil, settings...)
}

// serveThrough starts a server with a command that executes it.
func serveThrough(t *testing.T, through []string, settings ...string) *server {
	t.Helper()
	s := &server{t: t, Server: testkit.NewServer(testkit.Options{
		Binary: testkit.Binary(t), Dir: t.TempDir(), Settings: settings, Env: []string{"GORACE=halt_on_error=1"},
		Through: through,
	})}
	t.Cleanup(s.stop)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	s.url, s.ops = s.URL, s.Ops
	return s
}

// in returns the server for a subtest, which then reports its own failures.
func (s *server) in(t *testing.T) *server {
	c := *s
	c.t = t
	return &c
}

// command returns a command that runs the built binary in a directory without a
// settings file.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, testkit.Binary(t), args...)
	cmd.Dir = t.TempDir()
	return cmd
}

// stop sends SIGTERM, and checks the exit code and that there was no data race.
func (s *server) stop() {
	s.t.Helper()
	if err := s.Stop(); err != nil {
		s.t.Error(err)
	}
	if strings.Contains(s.Log.Text(), "DATA RACE") {
		s.t.Errorf("the server has a data race:\n%s", s.Log.Text())
	}
}

// kill sends SIGKILL.
func (s *server) kill() { s.Kill() }

// databases runs a test on each database.
func databases(t *testing.T, f func(t *testing.T, database string)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		f(t, "database-url=sqlite:"+filepath.Join(t.TempDir(), "chowk.db"))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		f(t, "database-url="+pgtest.Database(t))
	})
}

// everywhere runs a test on each database, with a fresh server that accepts any user
// id as a token.
func everywhere(t *testing.T, f func(t *testing.T, s *server), settings ...string) {
	databases(t, func(t *testing.T, database string) {
		f(t, serve(t, append([]string{database, "auth=none"}, settings...)...))
	})
}

// response is a response of the REST API.
type response struct {
	status int
	header http.Header
	body   []byte
}

func (r response) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(r.body, v); err != nil {
		t.Fatalf("status %d with a body that is not JSON: %s", r.status, r.body)
	}
}

// field returns a field of a JSON object as text.
func (r response) field(t *testing.T, name string) string {
	t.Helper()
	var m map[string]any
	r.into(t, &m)
	return fmt.Sprint(m[name])
}

// request calls the REST API with a bearer token, or without one if token is "".
func (s *server) request(method, path, token string, body any, header ...string) response {
	s.t.Helper()
	var payload io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			s.t.Fatal(err)
		}
		payload = bytes.NewReader(b)
	}
	ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, s.url+"/api/v1"+path, payload)
	if err != nil {
		s.t.Fatal(err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	got := s.roundTrip(cmp.Or(s.client, http.DefaultClient), r)
	s.describe(method, path, got)
	return got
}

func (s *server) roundTrip(c *http.Client, r *http.Request) response {
	s.t.Helper()
	resp, err := c.Do(r)
	if err != nil {
		s.t.Fatalf("%s %s: %v\n%s", r.Method, r.URL.Path, err, s.Log.Text())
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		s.t.Fatal(err)
	}
	return response{resp.StatusCode, resp.Header, b}
}

// must is request for a call that must have a status.
func (s *server) must(status int, method, path, token string, body any) response {
	s.t.Helper()
	r := s.request(method, path, token, body)
	if r.status != status {
		s.t.Fatalf("%s %s as %s: status %d, want %d: %s", method, path, token, r.status, status, r.body)
	}
	return r
}

// channel creates a private channel with these members, of whom the first is the
// owner.
func (s *server) channel(owner string, others ...string) string {
	s.t.Helper()
	for _, u := range others {
		s.must(http.StatusOK, http.MethodGet, "/channels/", u, nil) // so that the user exists
	}
	return s.must(http.StatusCreated, http.MethodPost, "/channels/", owner,
		map[string]any{"name": "test", "is_private": true, "member_ids": others}).field(s.t, "id")
}
