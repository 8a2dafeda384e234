// Package e2e tests chowk as its users meet it: the built binary, real sockets,
// both databases.
package e2e

import (
	"bufio"
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
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/internal/testkit"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// patience bounds every wait of these tests; nothing is expected to take that long.
const patience = 30 * time.Second

var binary string

func TestMain(m *testing.M) { os.Exit(testkit.Main(m, &binary, "-race")) }

// server is a running chowk.
type server struct {
	t      *testing.T
	url    string       // http://127.0.0.1:PORT
	ops    string       // the same, of the operations listener
	client *http.Client // nil for the default one
	cmd    *exec.Cmd
	log    *logbook
	exited chan error
	broken bool // a test made it answer internal errors
}

// logbook keeps what the server logs, and lets tests wait for a line.
type logbook struct {
	mu    sync.Mutex
	lines []string
	ended bool // nothing more comes
	news  chan struct{}
}

func (l *logbook) end() {
	l.mu.Lock()
	l.ended = true
	close(l.news)
	l.news = make(chan struct{})
	l.mu.Unlock()
}

func (l *logbook) add(line string) {
	l.mu.Lock()
	l.lines = append(l.lines, line)
	close(l.news)
	l.news = make(chan struct{})
	l.mu.Unlock()
}

func (l *logbook) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

// find waits for a line that holds all the words.
func (l *logbook) find(t *testing.T, words ...string) map[string]any {
	t.Helper()
	deadline := time.After(patience)
	for {
		l.mu.Lock()
		lines, news, ended := l.lines, l.news, l.ended
		l.mu.Unlock()
		for _, line := range lines {
			hits := 0
			for _, w := range words {
				if strings.Contains(line, w) {
					hits++
				}
			}
			if hits == len(words) {
				fields := make(map[string]any)
				if err := json.Unmarshal([]byte(line), &fields); err != nil {
					t.Fatalf("the server logged something that is not JSON: %s", line)
				}
				return fields
			}
		}
		if ended {
			t.Fatalf("the server ended before it logged %q; it said:\n%s", words, l.text())
		}
		select {
		case <-news:
		case <-deadline:
			t.Fatalf("the server never logged %q; it said:\n%s", words, l.text())
		}
	}
}

// serve starts a server with settings like "auth=none". It has no canary, whose
// statements would be counted, unless it is given one.
func serve(t *testing.T, settings ...string) *server {
	t.Helper()
	args := []string{"serve", "--canary.interval=0"}
	listens, holds, watched := false, false, false
	for _, s := range settings {
		listens = listens || strings.HasPrefix(s, "listen=")
		watched = watched || strings.HasPrefix(s, "ops.listen=")
		holds = holds || strings.HasPrefix(s, "database-url=") || strings.HasPrefix(s, "data-dir=")
		args = append(args, "--"+s)
	}
	if !listens {
		args = append(args, "--listen=127.0.0.1:0")
	}
	if !holds {
		args = append(args, "--data-dir="+t.TempDir())
	}
	if !watched {
		args = append(args, "--ops.listen=127.0.0.1:0")
	}
	args = append(args, "--log.format=json")
	return runServer(t, exec.Command(binary, args...), watched)
}

// runServer runs a server by a command that becomes it.
func runServer(t *testing.T, cmd *exec.Cmd, watched bool) *server {
	t.Helper()
	s := &server{t: t, cmd: cmd, log: &logbook{news: make(chan struct{})}, exited: make(chan error, 1)}
	s.cmd.Dir = t.TempDir()
	s.cmd.Env = append(os.Environ(), "GORACE=halt_on_error=1")
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // ends when the server does
		lines := bufio.NewScanner(stderr)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			s.log.add(lines.Text())
		}
		s.exited <- s.cmd.Wait()
		close(s.exited)
		s.log.end()
	}()
	t.Cleanup(s.stop)
	page := s.log.find(t, `"listening"`)["url"].(string)
	s.url = strings.TrimSuffix(page, "/messages")
	if !watched {
		s.ops = s.log.find(t, `"operations"`)["url"].(string)
	}
	return s
}

// command is a call of the built binary, somewhere with no settings file.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Dir = t.TempDir()
	return cmd
}

// stop ends the server as a supervisor does, and expects that it ends well.
func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case err, running := <-s.exited:
		if running && err != nil {
			s.t.Errorf("the server ended with %v:\n%s", err, s.log.text())
		}
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		<-s.exited
		s.t.Errorf("the server did not stop:\n%s", s.log.text())
	}
	if strings.Contains(s.log.text(), "DATA RACE") {
		s.t.Errorf("the server has a data race:\n%s", s.log.text())
	}
}

// kill ends the server as a power failure of the process would.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.exited
}

// databases runs a test against each database.
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

// everywhere runs a test against a fresh server without passwords, on each database.
func everywhere(t *testing.T, f func(t *testing.T, s *server), settings ...string) {
	databases(t, func(t *testing.T, database string) {
		f(t, serve(t, append([]string{database, "auth=none"}, settings...)...))
	})
}

// response is an answer of the REST API.
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

// field reads one string of a JSON object.
func (r response) field(t *testing.T, name string) string {
	t.Helper()
	var m map[string]any
	r.into(t, &m)
	return fmt.Sprint(m[name])
}

// request calls the REST API; token is the bearer, "" for none.
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
	ctx, cancel := context.WithTimeout(context.Background(), patience)
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
		s.t.Fatalf("%s %s: %v\n%s", r.Method, r.URL.Path, err, s.log.text())
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		s.t.Fatal(err)
	}
	return response{resp.StatusCode, resp.Header, b}
}

// must is request with a status that it must have.
func (s *server) must(status int, method, path, token string, body any) response {
	s.t.Helper()
	r := s.request(method, path, token, body)
	if r.status != status {
		s.t.Fatalf("%s %s as %s: status %d, want %d: %s", method, path, token, r.status, status, r.body)
	}
	return r
}

// channel makes a private channel of which the users are members, the first its owner.
func (s *server) channel(owner string, others ...string) string {
	s.t.Helper()
	for _, u := range others {
		s.must(http.StatusOK, http.MethodGet, "/channels/", u, nil) // so that the user exists
	}
	return s.must(http.StatusCreated, http.MethodPost, "/channels/", owner,
		map[string]any{"name": "test", "is_private": true, "member_ids": others}).field(s.t, "id")
}
