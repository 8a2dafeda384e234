package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/chowk-chat/chowk/cmd/chowk-lab/internal/incident"
	"github.com/chowk-chat/chowk/internal/bench"
	"github.com/chowk-chat/chowk/internal/bench/report"
	"github.com/chowk-chat/chowk/internal/testkit"
)

type incidentCmd struct {
	DatabaseURL string        `env:"CHOWK_DATABASE_URL" placeholder:"URL" help:"${database_help}"`
	Chowk       string        `type:"existingfile" placeholder:"FILE" help:"${chowk_help}"`
	Duration    time.Duration `default:"24s" help:"How long each of the three runs lasts."`
	Rate        float64       `default:"80" placeholder:"N" help:"Messages per second in total. Default ${default}."`
	SVG         string        `name:"svg" placeholder:"FILE" help:"Write the picture to this file."`
	JSON        string        `name:"json" placeholder:"FILE" help:"Write the results to this file as JSON."`
	HTML        string        `name:"html" placeholder:"FILE" help:"Write a page with plots to this file."`
}

// texts are the help texts that are too long for a struct tag.
var texts = kong.Vars{
	"database_help": "PostgreSQL to use, such as postgres://user:password@host/name; by default the experiment " +
		"starts one. Everything is created in a schema that is dropped at the end.",
	"chowk_help":    "The chowk binary; by default it is built from this checkout.",
	"table_help":    "Put the table between the two markers of this document; by default it is printed.",
	"postgres_help": "The command and its arguments. It finds the server's address in CHOWK_PG_URL.",
}

// Help describes the experiment.
func (incidentCmd) Help() string {
	return `A chat server held a database connection for each open socket, so thirty sockets
used up a pool of 10 + 20. After its repair it held one for each event, broadcast
included, so a single client that stopped reading used them all up.

This puts the same load on models of both and on chowk, one after the other. It
takes a little over a minute.`
}

const (
	minDuration = 2 * time.Second
	maxDuration = 10 * time.Minute
	maxRate     = 2000 // messages per second
)

func (cmd *incidentCmd) check() error {
	switch {
	case cmd.DatabaseURL != "" && !strings.HasPrefix(cmd.DatabaseURL, "postgres"):
		return errors.New("the incident needs PostgreSQL: --database-url must start with postgres://")
	case cmd.Duration < minDuration || cmd.Duration > maxDuration:
		return fmt.Errorf("--duration must be from %s to %s, not %s", minDuration, maxDuration, cmd.Duration)
	case cmd.Rate < 1 || cmd.Rate > maxRate:
		return fmt.Errorf("--rate must be from 1 to %d, not %v", maxRate, cmd.Rate)
	}
	return nil
}

// Run replays the incident.
func (cmd *incidentCmd) Run(ctx context.Context, c invocation) error {
	if err := cmd.check(); err != nil {
		return err
	}
	if cmd.DatabaseURL == "" {
		url, remove, err := startPostgres()
		if err != nil {
			return err
		}
		defer remove()
		cmd.DatabaseURL = url
	}
	if cmd.Chowk == "" {
		dir, err := os.MkdirTemp("", "chowk-lab-")
		if err != nil {
			return fmt.Errorf("create a directory for the server: %w", err)
		}
		defer os.RemoveAll(dir)
		cmd.Chowk = filepath.Join(dir, "chowk")
		if err := testkit.Build(cmd.Chowk); err != nil {
			return err
		}
	}
	return cmd.replay(ctx, c)
}

func (cmd *incidentCmd) replay(ctx context.Context, c invocation) error {
	progress := bench.NewProgress(c.err)
	r, err := incident.Run(ctx, incident.Options{
		DatabaseURL: cmd.DatabaseURL, Chowk: cmd.Chowk, Duration: cmd.Duration, Rate: cmd.Rate,
		Print: progress.Print, Line: progress.Line,
	})
	progress.End()
	if r == nil {
		return err
	}
	return errors.Join(err, r.Table(c.out), report.WriteFiles(r, cmd.JSON, cmd.HTML, r.HTML),
		report.WriteFile(cmd.SVG, r.SVG))
}
