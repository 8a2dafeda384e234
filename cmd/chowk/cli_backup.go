package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/chowk-chat/chowk/internal/store"
)

type backupCmd struct {
	File string `arg:"" help:"Where to; it must not exist."`
}

// Help says what the file is good for.
func (backupCmd) Help() string {
	return "Writes all of an SQLite database, as it is at one moment, to one file, while the\nserver goes on. For PostgreSQL it says how."
}

const postgresBackup = `PostgreSQL has its own tools for this:

  pg_dump --format=custom --file=chowk.dump "$CHOWK_DATABASE_URL"

is a whole backup of one moment. For losing minutes instead of a day, archive the
write-ahead log (pg_basebackup, pgBackRest, WAL-G, or your provider's snapshots).`

const postgresRestore = `PostgreSQL has its own tools for this. With all chowks stopped:

  pg_restore --clean --if-exists --dbname="$CHOWK_DATABASE_URL" chowk.dump
  chowk restore --new-epoch

The second line tells clients, when they come back, that this is another history
than the one they know, and they load their channels again. Do not leave it out.`

func (cmd backupCmd) run(ctx context.Context, c invocation, cfg *Config) error {
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
	NewEpoch bool   `name:"new-epoch" help:"For PostgreSQL, after its own tools have restored it: tell clients that this is another history."`
}

// Help says what happens to what was there.
func (restoreCmd) Help() string {
	return "Puts a backup in the place of an SQLite database; the server must be stopped. What\n" +
		"was there is kept beside it. Clients are told, when they come back, to load their\nchannels again. For PostgreSQL it says how."
}

func (cmd restoreCmd) run(ctx context.Context, c invocation, cfg *Config) error {
	if cmd.NewEpoch {
		return cmd.newEpoch(ctx, c, cfg)
	}
	if cmd.File == "" {
		return errors.New("which backup? chowk restore FILE")
	}
	before, err := store.Restore(ctx, cfg.DatabaseURL, cmd.File)
	if errors.Is(err, store.ErrNotEmbedded) {
		return c.print(postgresRestore)
	}
	if err != nil {
		return err
	}
	if before != "" {
		before = "\nWhat was there is now " + before
	}
	return c.print("Restored " + cmd.File + before)
}

func (cmd restoreCmd) newEpoch(ctx context.Context, c invocation, cfg *Config) error {
	if cmd.File != "" {
		return errors.New("--new-epoch goes without a file: restore it with PostgreSQL's own tools first")
	}
	x, err := store.Examine(ctx, cfg.DatabaseURL)
	switch {
	case err != nil:
		return err
	case x.Kind != "postgres":
		return errors.New("--new-epoch is for PostgreSQL; chowk restore FILE does it for SQLite")
	case x.SchemaVersion == 0:
		return errors.New("there are no tables of chowk's in this database")
	}
	if err := store.NewEpoch(ctx, cfg.DatabaseURL); err != nil {
		return fmt.Errorf("begin a new epoch: %w", err)
	}
	return c.print("Clients that come back will load their channels again.")
}
