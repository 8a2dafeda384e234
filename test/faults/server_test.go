package faults

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	_ "modernc.org/sqlite"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/history"
	"github.com/chowk-chat/chowk/internal/testkit"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
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

// database is a server's database, which the proof also reads.
type database interface {
	url() string
	// read reads the logs of the channels.
	read(rec *history.Recorder, channels []chat.ID) error
	// forgetEpoch gives the database a new epoch, as a restore does, while no server runs.
	forgetEpoch(t *testing.T)
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
	if err := p.server.Exec(p.name,
		"UPDATE meta SET value = decode(md5(random()::text), 'hex') WHERE name = 'epoch'"); err != nil {
		t.Errorf("change the epoch: %v", err)
	}
}

// postgres is a database on a server of its own.
type postgres struct {
	server *pgtest.Server
	name   string
	socket bool // the server connects through the Unix socket
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

// readRows reads the logs over its own connection. (The server has channels of its own,
// whose old messages it deletes.)
func readRows(rec *history.Recorder, channels []chat.ID, query func(string, func(func(...any) error) error) error,
	hexOf string,
) error {
	ours := make(map[chat.ID]bool)
	for _, ch := range channels {
		ours[ch] = true
	}
	id := func(column string) string { return fmt.Sprintf(hexOf, column) }
	err := query("SELECT "+id("channel_id")+", seq, "+id("id")+", user_id FROM messages ORDER BY channel_id, seq",
		func(scan func(...any) error) error {
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
	return query("SELECT "+id("channel_id")+", seq, type, user_id, payload FROM changes ORDER BY channel_id, seq",
		func(scan func(...any) error) error {
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
			r.What, r.Channel, r.User = history.WhatOf(chat.EventType(kind)), rec.Channel(parse(channel)),
				rec.User(chat.UserID(user))
			if p.MessageID != nil {
				r.ID = *p.MessageID
			}
			if p.Subject != "" {
				r.User = rec.User(p.Subject)
			}
			rec.Store(r)
			for _, u := range p.Founders {
				rec.Store(history.Record{Kind: history.InitialMember, Channel: r.Channel, Seq: r.Seq, User: rec.User(u)})
			}
			return nil
		})
}

func parse(hex string) chat.ID {
	return chat.MustParseID(hex[:8] + "-" + hex[8:12] + "-" + hex[12:16] + "-" + hex[16:20] + "-" + hex[20:])
}
