//go:build !windows

package main

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // PostgreSQL
	_ "modernc.org/sqlite"             // SQLite

	"github.com/chowk-chat/chowk/chat"
)

// entry is a message in the database.
type entry struct {
	channel chat.ID
	seq     chat.Seq
}

// stored returns the database's messages by their ids.
func stored(ctx context.Context, url string) (map[chat.ID]entry, error) {
	driver, hex := "pgx", "replace(%s::text, '-', '')"
	if path, is := strings.CutPrefix(url, "sqlite:"); is {
		driver, url, hex = "sqlite", path, "lower(hex(%s))"
	}
	db, err := sql.Open(driver, url)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, fmt.Sprintf("SELECT "+hex+", "+hex+", seq FROM messages", "id", "channel_id"))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := make(map[chat.ID]entry)
	for rows.Next() {
		var id, channel string
		var e entry
		if err := rows.Scan(&id, &channel, &e.seq); err != nil {
			return nil, err
		}
		e.channel = parseID(channel)
		if _, twice := all[parseID(id)]; twice {
			return nil, fmt.Errorf("message %s is stored twice", id)
		}
		all[parseID(id)] = e
	}
	return all, rows.Err()
}

func parseID(hex string) chat.ID {
	return chat.MustParseID(hex[:8] + "-" + hex[8:12] + "-" + hex[12:16] + "-" + hex[16:20] + "-" + hex[20:])
}

// verify checks the answers to senders against the database. It fails if something
// acknowledged is missing, or something refused is stored.
func verify(ctx context.Context, url string, sent []message) (unsure, kept int, err error) {
	there, err := stored(ctx, url)
	if err != nil {
		return 0, 0, err
	}
	lost, ghosts := 0, 0
	for i := range sent {
		_, is := there[sent[i].id]
		switch m := &sent[i]; m.outcome {
		case acked:
			if !is {
				lost++
			}
		case refused:
			if is {
				ghosts++
			}
		default:
			unsure++
			if is {
				kept++
			}
		}
	}
	if lost > 0 || ghosts > 0 {
		return unsure, kept, fmt.Errorf("%d messages that were acknowledged are not stored, %d that were refused are", lost,
			ghosts)
	}
	return unsure, kept, nil
}
