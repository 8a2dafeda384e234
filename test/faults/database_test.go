package faults

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/url"
	"sync/atomic"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // PostgreSQL
	_ "modernc.org/sqlite"             // SQLite

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/history"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// database is a server's database, which the proof also reads.
type database interface {
	url() string
	// read reads the logs of the channels.
	read(rec *history.Recorder, channels []chat.ID) error
	// forgetEpoch gives the database a new epoch, as a restore does, while no server runs.
	forgetEpoch(t *testing.T)
}

// sqliteFile is a SQLite database.
type sqliteFile struct{ path string }

func (f sqliteFile) url() string { return "sqlite:" + f.path }

func (f sqliteFile) read(rec *history.Recorder, channels []chat.ID) error {
	return readLogs(rec, channels, "sqlite", "file:"+f.path+"?mode=ro", "lower(hex(%s))")
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
	return readLogs(rec, channels, "pgx", p.url(), "replace(%s::text, '-', '')")
}

// readLogs reads the logs of the channels over a connection of its own. (The server has
// channels of its own, whose old messages it deletes.)
func readLogs(rec *history.Recorder, channels []chat.ID, driver, source, hexOf string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	db, err := sql.Open(driver, source)
	if err != nil {
		return err
	}
	defer db.Close()
	query := func(statement string, each func(scan func(...any) error) error) error {
		rows, err := db.QueryContext(ctx, statement)
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
	}
	ours := make(map[chat.ID]bool)
	for _, ch := range channels {
		ours[ch] = true
	}
	id := func(column string) string { return fmt.Sprintf(hexOf, column) }
	err = query("SELECT "+id("channel_id")+", seq, "+id("id")+", user_id FROM messages ORDER BY channel_id, seq",
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
