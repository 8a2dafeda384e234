package faults

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/internal/testkit"
)

// patience bounds every wait; nothing is expected to take this long.
const patience = 60 * time.Second

// heartbeat is the silence after which the server pings a client.
const heartbeat = 2 * time.Second

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flags := []string{"-tags", "faultclock"}
	if os.Getenv("CHOWK_FAULTS_RACE") != "" {
		flags = append(flags, "-race")
	}
	results.start = time.Now()
	code := testkit.HeavyMain(m, flags...)
	results.print()
	return code
}

// server is a chowk that can be killed, and started again at the same address.
type server struct {
	*testkit.Server
	t       *testing.T
	address string
	clock   string // the file that sets its clock
}

func serve(t *testing.T, db database, settings ...string) *server {
	t.Helper()
	return serveOn(t, nil, db, settings...)
}

func serveOn(t *testing.T, c *cable, db database, settings ...string) *server {
	t.Helper()
	s := &server{t: t, address: testkit.FreeAddress(t), clock: filepath.Join(t.TempDir(), "clock")}
	o := testkit.Options{
		Binary: testkit.Binary(t), Dir: t.TempDir(),
		Env: []string{"CHOWK_AUTH_JWT_SECRET=" + secret, "FAULTCLOCK=" + s.clock},
	}
	if c != nil {
		s.address = net.JoinHostPort(serverAddress, port(s.address))
		o.Through, o.Dial = c.inServer(), c.dial
	}
	o.Settings = append([]string{
		"listen=" + s.address, "ops.listen=off", "auth=jwt", "log.level=warn", "database-url=" + db.url(),
		"heartbeat=" + heartbeat.String(), "drain.window=2s",
		"limits.commands-per-second=100000", "limits.commands-burst=100000",
	}, settings...)
	s.Server = testkit.NewServer(o)
	t.Cleanup(s.kill)
	s.start()
	return s
}

// start returns when the server listens.
func (s *server) start() {
	if err := s.Start(); err != nil {
		s.t.Error(err)
	}
}

func (s *server) tail() string { return s.Log.Tail(30) }

// kill kills the server.
func (s *server) kill() { s.Kill() }

// stop stops it as a supervisor does.
func (s *server) stop() {
	if err := s.Stop(); errors.Is(err, testkit.ErrNotStopped) {
		s.t.Error(err)
	}
}
