package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/chowk-chat/chowk/internal/bench/incident"
)

type benchIncident struct {
	Duration time.Duration `name:"duration" default:"24s" placeholder:"DURATION" help:"How long each of the three ways is shown. 24s when left out."`
	Rate     float64       `name:"rate" default:"80" placeholder:"N" help:"Messages a second in all. 80 when left out."`
	SVG      string        `name:"svg" placeholder:"FILE" help:"Write the picture there."`
	benchOutput
}

// Help says what is shown.
func (benchIncident) Help() string {
	return "A chat server held a database connection for each open socket, so thirty sockets\n" +
		"took all of a pool of 10 + 20. After its repair it held one for each event, the\n" +
		"broadcast included, so one client that stopped reading took them all.\n\n" +
		"This puts the same load on models of both and on chowk, one after the other, on\n" +
		"the PostgreSQL of --database-url. What it makes there is in a schema of its own,\n" +
		"which is dropped at the end. It takes a little over a minute:\n\n" +
		"  chowk bench incident --database-url postgres://me@localhost/scratch --html incident.html"
}

const (
	shortestWay = 2 * time.Second
	longestWay  = 10 * time.Minute
	mostRate    = 2000
)

func (cmd benchIncident) run(ctx context.Context, c invocation, cfg *Config) error {
	if !strings.HasPrefix(cfg.DatabaseURL, "postgres") {
		return errors.New("the incident needs PostgreSQL: give --database-url postgres://user:password@host/name (what is made there is dropped at the end)")
	}
	if cmd.Duration < shortestWay || cmd.Duration > longestWay {
		return fmt.Errorf("--duration is %s, but must be from %s to %s", cmd.Duration, shortestWay, longestWay)
	}
	if cmd.Rate < 1 || cmd.Rate > mostRate {
		return fmt.Errorf("--rate is %v, but must be from 1 to %d", cmd.Rate, mostRate)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	progress := newProgress(c.err)
	r, err := incident.Run(ctx, incident.Options{
		DatabaseURL: cfg.DatabaseURL, Chowk: self, Duration: cmd.Duration, Rate: cmd.Rate, Say: progress.Say, Line: progress.Line,
	})
	progress.End()
	if r == nil {
		return err
	}
	return errors.Join(err, r.Table(c.out), cmd.write(r, r.HTML), writeFile(cmd.SVG, r.SVG))
}
