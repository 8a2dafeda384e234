//go:build unix

package testkit

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// script writes a program that stands for the server.
func script(t *testing.T, text string) (binary string) {
	t.Helper()
	binary = filepath.Join(t.TempDir(), "chowk")
	if err := os.WriteFile(binary, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return binary
}

const listening = `
echo '{"msg":"operations","url":"http://127.0.0.1:2"}' >&2
echo '{"msg":"listening","url":"http://127.0.0.1:1/messages"}' >&2
echo "args $*" >&2
echo "environment $(env | grep CHOWK_ | tr '\n' ' ')" >&2
`

func TestAServerIsStartedWithItsSettings(t *testing.T) {
	t.Setenv("CHOWK_LISTEN", "settings of the environment are ignored")
	dir := t.TempDir()
	s, err := StartServer(Options{
		Binary: script(t, listening+"exec sleep 60"), Dir: dir, Env: []string{"CHOWK_SECRET=x"},
		Settings: []string{"auth=none", "--canary.interval=5s"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Kill()
	if s.URL != "http://127.0.0.1:1" || s.Ops != "http://127.0.0.1:2" {
		t.Errorf("URL %s, operations %s", s.URL, s.Ops)
	}
	line, err := s.Log.find(0, "environment")
	if err != nil {
		t.Fatal(err)
	}
	if line != "environment CHOWK_SECRET=x " {
		t.Errorf("got %q", line)
	}
	args, err := s.Log.find(0, "args")
	want := "args serve --auth=none --canary.interval=5s --listen=127.0.0.1:0 --ops.listen=127.0.0.1:0 " +
		"--log.format=json --data-dir=" + dir
	if err != nil || args != want {
		t.Errorf("%v\n got %s\nwant %s", err, args, want)
	}
}

func TestTheEndOfAServerIsReportedOnce(t *testing.T) {
	t.Parallel()
	start := func(t *testing.T, begin, end string) *Server {
		t.Helper()
		s, err := StartServer(Options{Binary: script(t, begin+listening+end), Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Kill)
		return s
	}
	const run = "while :; do sleep 0.05; done"
	t.Run("it stops", func(t *testing.T) {
		t.Parallel()
		s := start(t, "trap 'exit 0' TERM", run)
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	t.Run("it stops with an error", func(t *testing.T) {
		t.Parallel()
		s := start(t, "trap 'exit 7' TERM", run)
		if err := s.Stop(); err == nil || !strings.Contains(err.Error(), "exit status 7") {
			t.Errorf("got %v", err)
		}
		if err := s.Stop(); err != nil {
			t.Errorf("again: %v", err)
		}
	})
	t.Run("it had ended", func(t *testing.T) {
		t.Parallel()
		s := start(t, "", "exit 3")
		<-s.Exited()
		if err := s.Stop(); err == nil || !strings.Contains(err.Error(), "exit status 3") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("it was killed", func(t *testing.T) {
		t.Parallel()
		s := start(t, "", "exec sleep 60")
		s.Kill()
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	t.Run("it does not start", func(t *testing.T) {
		t.Parallel()
		_, err := StartServer(Options{Binary: script(t, "echo no database >&2; exit 1"), Dir: t.TempDir()})
		if err == nil || !strings.Contains(err.Error(), "no database") {
			t.Errorf("got %v", err)
		}
	})
}

func TestASettingIsTheLastOne(t *testing.T) {
	t.Parallel()
	settings := []string{"auth=none", "--listen=a", "listen=b=c"}
	got, given := setting(settings, "listen")
	_, other := setting(settings, "list")
	if got != "b=c" || !given || other {
		t.Errorf("got %q, %v, %v", got, given, other)
	}
}

// echo is a server that answers every piece with itself.
func echo(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() { // ends with the listener
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // ends with the connection
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

// exchange sends a piece through a connection and returns what comes back in time.
func exchange(c net.Conn, piece string, within time.Duration) (string, error) {
	if _, err := c.Write([]byte(piece)); err != nil {
		return "", err
	}
	_ = c.SetReadDeadline(time.Now().Add(within))
	got := make([]byte, len(piece))
	n, err := io.ReadFull(c, got)
	return string(got[:n]), err
}

const (
	long  = 20 * time.Second
	short = 50 * time.Millisecond
)

func TestAProxyBreaksConnections(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		breakIt func(p *Proxy)
		want    string // of "abcd", sent after it broke
		within  time.Duration
		ended   bool
	}{
		"nothing":            {func(*Proxy) {}, "abcd", long, false},
		"delay":              {func(p *Proxy) { p.Delay(time.Millisecond) }, "abcd", long, false},
		"silent to server":   {func(p *Proxy) { p.Silence(ToServer) }, "", short, false},
		"silent to client":   {func(p *Proxy) { p.Silence(ToClient) }, "", short, false},
		"a silent link":      {func(p *Proxy) { all(p)[0].Silence() }, "", short, false},
		"a link that is cut": {func(p *Proxy) { all(p)[0].Cut() }, "", long, true},
		"severed":            {func(p *Proxy) { p.Sever() }, "", long, true},
		"reset":              {func(p *Proxy) { p.Reset() }, "", long, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := StartProxy(t, echo(t))
			conn := connect(t, p)
			c.breakIt(p)
			got, err := exchange(conn, "abcd", c.within)
			var timeout net.Error
			ended := err != nil && (!errors.As(err, &timeout) || !timeout.Timeout())
			if got != c.want || ended != c.ended {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// all returns the only link of a proxy.
func all(p *Proxy) (links []*Link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		links = append(links, l)
	}
	return links
}

// connect opens a connection that works.
func connect(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if got, err := exchange(c, "ok", long); err != nil || got != "ok" {
		t.Fatalf("got %q, %v", got, err)
	}
	return c
}

func expectRefused(t *testing.T, p *Proxy) {
	t.Helper()
	c, err := net.Dial("tcp", p.Address())
	if err != nil {
		return // the reset came first
	}
	defer c.Close()
	if got, err := exchange(c, "x", long); err == nil {
		t.Errorf("got %q", got)
	}
}

func TestASeveredProxyAcceptsNothingUntilItIsRestored(t *testing.T) {
	t.Parallel()
	p := StartProxy(t, echo(t))
	p.Sever()
	expectRefused(t, p)
	p.Restore()
	connect(t, p)
}

func TestAProxySkipsTargets(t *testing.T) {
	t.Parallel()
	good := echo(t)
	p := StartProxy(t, FreeAddress(t), good)
	connect(t, p)
	connect(t, p)
	p.Avoid(good)
	expectRefused(t, p)
}

func TestAnInspectingProxyCutsReplies(t *testing.T) {
	t.Parallel()
	p, err := NewInspectingProxy(func(reply []byte) bool { return string(reply) != "secret" }, echo(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	if got, err := exchange(connect(t, p), "secret", long); err == nil {
		t.Errorf("got %q", got)
	}
}

func TestALogKeepsItsEnd(t *testing.T) {
	t.Parallel()
	l := &Log{}
	for range 2*maxLogLines + 1 {
		l.add("x")
	}
	l.add("last")
	if got := len(strings.Split(l.Text(), "\n")); got != maxLogLines+2 {
		t.Errorf("%d lines are kept, want %d", got, maxLogLines+2)
	}
	from := l.position()
	go l.add(`{"msg":"later","n":1}`)
	if _, err := l.find(0, "last"); err != nil {
		t.Error(err)
	}
	if line, err := l.find(from, "later"); err != nil || line != `{"msg":"later","n":1}` {
		t.Errorf("got %q, %v", line, err)
	}
	if diff := cmp.Diff(map[string]any{"msg": "later", "n": 1.0}, l.Await(t, "later")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	l.end()
	if _, err := l.find(0, "never"); err == nil {
		t.Error("a line that does not exist was found")
	}
}
