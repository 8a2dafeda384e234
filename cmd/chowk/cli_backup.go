package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/chowk-chat/chowk/internal/store"
)

type backupCmd struct {
	File string `arg:"" help:"File to write; it must not exist."`
}

// Help describes what is backed up.
func (backupCmd) Help() string {
	return "Writes an SQLite database, as it is at one moment, to one file while the server\n" +
		"runs. For PostgreSQL it prints instructions."
}

const postgresBackup = `PostgreSQL has its own tools for this:

  pg_dump --format=custom --file=chowk.dump "$CHOWK_DATABASE_URL"

writes a complete backup of one moment. To lose minutes instead of a day, archive
the write-ahead log (pg_basebackup, pgBackRest, WAL-G, or your provider's snapshots).`

const postgresRestore = `PostgreSQL has its own tools for this. With all chowk servers stopped:

  pg_restore --clean --if-exists --dbname="$CHOWK_DATABASE_URL" chowk.dump
  chowk restore --new-epoch

Do not leave out the second line: it makes reconnecting clients notice that the
history has changed, and reload their channels.`

func (cmd backupCmd) run(ctx context.Context, c invocation, cfg *config) error {
	err := store.Backup(ctx, cfg.DatabaseURL, cmd.File)
	if errors.Is(err, store.ErrNotEmbedded) {
		return c.print(postgresBackup)
	}
	if err != nil {
		return err
	}
	return c.print("Backed up to " + cmd.File)
}

type restoreCmd struct {
	File     string `arg:"" optional:"" help:"The backup."`
	NewEpoch bool   `name:"new-epoch" help:"Tell clients that the history has changed, after PostgreSQL was restored."`
}

// Help describes what happens to the database that is there.
func (restoreCmd) Help() string {
	return "Replaces an SQLite database with a backup; the server must be stopped. The database\n" +
		"that was there is kept next to it. Reconnecting clients reload their channels. For\n" +
		"PostgreSQL it prints instructions."
}

func (cmd restoreCmd) run(ctx context.Context, c invocation, cfg *config) error {
	if cmd.NewEpoch {
		return cmd.newEpoch(ctx, c, cfg)
	}
	if cmd.File == "" {
		return errors.New("name the backup to restore: chowk restore FILE")
	}
	before, err := store.Restore(ctx, cfg.DatabaseURL, cmd.File)
	if errors.Is(err, store.ErrNotEmbedded) {
		return c.print(postgresRestore)
	}
	if err != nil {
		return err
	}
	if before != "" {
		before = "\nThe previous database is now " + before
	}
	return c.print("Restored " + cmd.File + before)
}

func (cmd restoreCmd) newEpoch(ctx context.Context, c invocation, cfg *config) error {
	if cmd.File != "" {
		return errors.New("--new-epoch does not take a file: restore it with PostgreSQL's own tools first")
	}
	x, _, err := store.Examine(ctx, cfg.DatabaseURL)
	switch {
	case err != nil:
		return err
	case x.Kind != "postgres":
		return errors.New("--new-epoch is for PostgreSQL; for SQLite, chowk restore FILE does it")
	case x.SchemaVersion == 0:
		return errors.New("this database has no tables of chowk")
	}
	if err := store.NewEpoch(ctx, cfg.DatabaseURL); err != nil {
		return fmt.Errorf("begin a new epoch: %w", err)
	}
	return c.print("Reconnecting clients will reload their channels.")
}
