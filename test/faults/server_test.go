package faults

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	_ "modernc.org/sqlite"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/testkit"
	"github.com/chowk-chat/chowk/internal/history"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// patience bounds every wait; nothing is expected to take that long.
const patience = 60 * time.Second

// heartbeat is after how much silence the server asks whether a peer is there.
const heartbeat = 2 * time.Second

var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flags := []string{"-tags", "faultclock"}
	if os.Getenv("CHOWK_FAULTS_RACE") != "" {
		flags = append(flags, "-race")
	}
	results.start = time.Now()
	code := testkit.Main(m, &binary, flags...)
	results.print()
	return code
}

// database is where a server keeps its data, and how the proof reads it.
type database interface {
	url() string
	// read reads the logs of the channels.
	read(rec *history.Recorder, channels []chat.ID) error
	// forgetEpoch makes the history another one, as a restore does, while no server
	// is on.
	forgetEpoch(t *testing.T)
}

// server is a chowk that can be killed, and started again at the same address.
type server struct {
	t       *testing.T
	address string
	args    []string
	clock   string // the file that sets its clock
	cable   *cable // nil on the loopback
	cmd     *exec.Cmd
	ended   chan struct{} // closed when the process has ended

	mu  sync.Mutex // guards what follows
	log []string
}

func serve(t *testing.T, db database, settings ...string) *server {
	t.Helper()
	return serveOn(t, nil, db, settings...)
}

func serveOn(t *testing.T, c *cable, db database, settings ...string) *server {
	t.Helper()
	s := &server{t: t, cable: c, address: testkit.FreeAddress(t), clock: filepath.Join(t.TempDir(), "clock")}
	s.args = append([]string{
		"serve", "--listen=" + s.address, "--auth=jwt", "--canary.interval=0", "--ops.listen=", "--log.format=json", "--log.level=warn", "--heartbeat=" + heartbeat.String(), "--drain.window=2s",
		"--database-url=" + db.url(), "--limits.commands-per-second=100000", "--limits.commands-burst=100000", "--data-dir=" + t.TempDir(),
	}, settings...)
	if c != nil {
		s.address = net.JoinHostPort(serverAddress, port(s.address))
		s.args[1] = "--listen=" + s.address
	}
	s.start()
	t.Cleanup(s.kill)
	return s
}

// start returns when the server listens.
func (s *server) start() {
	args := append([]string{binary}, s.args...)
	if s.cable != nil {
		args = s.cable.inServer(args...)
	}
	s.cmd = exec.Command(args[0], args[1:]...)
	// The server would take our own settings for its own.
	s.cmd.Env = []string{"CHOWK_AUTH_JWT_SECRET=" + secret, "FAULTCLOCK=" + s.clock}
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	cmd, ended := s.cmd, make(chan struct{})
	s.ended = ended
	go func() { // ends with the server
		defer close(ended)
		lines := bufio.NewScanner(stderr)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			s.mu.Lock()
			if s.log = append(s.log, lines.Text()); len(s.log) > 5000 {
				s.log = s.log[2500:]
			}
			s.mu.Unlock()
		}
		_ = cmd.Wait()
	}()
	for until := time.Now().Add(patience); ; {
		c, err := s.dial()
		if err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-ended:
			s.t.Errorf("the server ended:\n%s", s.tail())
			return
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(until) {
			s.t.Errorf("the server does not listen:\n%s", s.tail())
			return
		}
	}
}

func (s *server) dial() (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.cable != nil {
		return s.cable.dial(ctx, "tcp", s.address)
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", s.address)
}

func (s *server) tail() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.log[max(0, len(s.log)-30):], "\n")
}

// kill ends the server with no chance to do anything.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.ended
}

// stop ends it as a supervisor does.
func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(patience):
		s.t.Error("the server did not stop")
		s.kill()
	}
}

// sqliteFile is a SQLite database.
type sqliteFile struct{ path string }

func (f sqliteFile) url() string { return "sqlite:" + f.path }

func (f sqliteFile) read(rec *history.Recorder, channels []chat.ID) error {
	db, err := sql.Open("sqlite", "file:"+f.path+"?mode=ro")
	if err != nil {
		return err
	}
	defer db.Close()
	return readRows(rec, channels, func(query string, each func(scan func(...any) error) error) error {
		rows, err := db.Query(query)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if err := each(rows.Scan); err != nil {
				return err
			}
		}
		return rows.Err()
	}, "lower(hex(%s))")
}

func (f sqliteFile) forgetEpoch(t *testing.T) {
	db, err := sql.Open("sqlite", f.path)
	if err == nil {
		defer db.Close()
		_, err = db.Exec("UPDATE meta SET value = randomblob(16) WHERE name = 'epoch'")
	}
	if err != nil {
		t.Errorf("change the epoch: %v", err)
	}
}

func (p postgres) forgetEpoch(t *testing.T) {
	if err := p.server.Exec(p.name, "UPDATE meta SET value = decode(md5(random()::text), 'hex') WHERE name = 'epoch'"); err != nil {
		t.Errorf("change the epoch: %v", err)
	}
}

// postgres is a database on a server of its own.
type postgres struct {
	server *pgtest.Server
	name   string
	socket bool // the server comes by the Unix socket
}

var databases atomic.Int64

func newPostgres(t *testing.T, s *pgtest.Server) postgres {
	t.Helper()
	p := postgres{server: s, name: fmt.Sprint("faults_", databases.Add(1))}
	if err := s.Exec("postgres", "CREATE DATABASE "+p.name); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p postgres) url() string {
	if p.socket {
		return p.server.SocketURL(p.name)
	}
	u, err := url.Parse(p.server.URL())
	if err != nil {
		panic(err)
	}
	u.Path = p.name
	return u.String()
}

func (p postgres) read(rec *history.Recorder, channels []chat.ID) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, p.url())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return readRows(rec, channels, func(query string, each func(scan func(...any) error) error) error {
		rows, err := conn.Query(ctx, query)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if err := each(rows.Scan); err != nil {
				return err
			}
		}
		return rows.Err()
	}, "replace(%s::text, '-', '')")
}

// readRows reads logs with a connection of its own. (The server has channels of its
// own, whose old messages it forgets.)
func readRows(rec *history.Recorder, channels []chat.ID, query func(string, func(func(...any) error) error) error, hexOf string) error {
	ours := make(map[chat.ID]bool)
	for _, ch := range channels {
		ours[ch] = true
	}
	id := func(column string) string { return fmt.Sprintf(hexOf, column) }
	err := query("SELECT "+id("channel_id")+", seq, "+id("id")+", user_id FROM messages ORDER BY channel_id, seq", func(scan func(...any) error) error {
		var channel, message, user string
		r := history.Record{Kind: history.Stored, What: history.Message}
		if err := scan(&channel, &r.Seq, &message, &user); err != nil {
			return err
		}
		if !ours[parse(channel)] {
			return nil
		}
		r.Channel, r.ID, r.User = rec.Channel(parse(channel)), parse(message), rec.User(chat.UserID(user))
		rec.Store(r)
		return nil
	})
	if err != nil {
		return err
	}
	return query("SELECT "+id("channel_id")+", seq, type, user_id, payload FROM changes ORDER BY channel_id, seq", func(scan func(...any) error) error {
		var channel, kind, user, text string
		r := history.Record{Kind: history.Stored}
		if err := scan(&channel, &r.Seq, &kind, &user, &text); err != nil {
			return err
		}
		if !ours[parse(channel)] {
			return nil
		}
		var p struct {
			MessageID *chat.ID      `json:"message_id"`
			Subject   chat.UserID   `json:"subject"`
			Founders  []chat.UserID `json:"founders"`
		}
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			return err
		}
		r.What, r.Channel, r.User = history.WhatOf(chat.EventType(kind)), rec.Channel(parse(channel)), rec.User(chat.UserID(user))
		if p.MessageID != nil {
			r.ID = *p.MessageID
		}
		if p.Subject != "" {
			r.User = rec.User(p.Subject)
		}
		rec.Store(r)
		for _, u := range p.Founders {
			rec.Store(history.Record{Kind: history.Founder, Channel: r.Channel, Seq: r.Seq, User: rec.User(u)})
		}
		return nil
	})
}

func parse(hex string) chat.ID {
	return chat.MustParseID(hex[:8] + "-" + hex[8:12] + "-" + hex[12:16] + "-" + hex[16:20] + "-" + hex[20:])
}
