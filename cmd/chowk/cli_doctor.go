package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/chowk-chat/chowk/internal/doctor"
	"github.com/chowk-chat/chowk/internal/relay"
	"github.com/chowk-chat/chowk/internal/settings"
)

type doctorCmd struct {
	JSON       bool          `name:"json" help:"Print JSON."`
	Nodes      int           `name:"nodes" default:"1" placeholder:"N" help:"Number of servers that share the database."`
	ProbeURL   string        `name:"probe-url" placeholder:"URL" help:"${doctor_probe_url}"`
	ProbeToken string        `name:"probe-token" env:"CHOWK_PROBE_TOKEN" placeholder:"TOKEN" help:"${doctor_probe_token}"`
	ProbeFor   time.Duration `name:"probe-for" placeholder:"DURATION" help:"${doctor_probe_for}"`
}

// doctorHelp are the help texts that are too long for a tag.
var doctorHelp = kong.Vars{
	"doctor_probe_url": "Where clients open sockets, such as wss://chat.example.org/api/v1/ws. Opens a socket there, " +
		"leaves it idle, and checks that it stays open.",
	"doctor_probe_token": "Token of the probe, preferably as CHOWK_PROBE_TOKEN.",
	"doctor_probe_for":   "How long the probe must stay open. Default: two heartbeats and five seconds.",
}

// Help describes what is checked.
func (doctorCmd) Help() string {
	return "Checks the database (durability, speed of a commit, clocks, connections, replicas,\n" +
		"who blocks whom), the other nodes, this machine (open files, memory, disk),\n" +
		"certificates, a server that runs here, the path through a proxy, and the settings.\n" +
		"It changes nothing.\n\n" +
		"Exit code: 0 all is fine, 1 warnings, 2 failures."
}

func (cmd doctorCmd) run(ctx context.Context, c invocation, cfg *config) int {
	if err := cmd.check(); err != nil {
		return c.fail(exitUsage, err)
	}
	report := doctor.Examine(ctx, cmd.subject(cfg))
	write := report.Text
	if cmd.JSON {
		write = report.JSON
	}
	if err := write(c.out); err != nil {
		return c.fail(exitUsage, err)
	}
	return report.ExitCode()
}

func (cmd doctorCmd) check() error {
	if cmd.Nodes < 1 {
		return fmt.Errorf("--nodes must be 1 or more, not %d", cmd.Nodes)
	}
	isSocket := strings.HasPrefix(cmd.ProbeURL, "ws://") || strings.HasPrefix(cmd.ProbeURL, "wss://")
	if cmd.ProbeURL != "" && !isSocket {
		return fmt.Errorf("--probe-url must start with wss:// or ws://, not %q", settings.MaskURL(cmd.ProbeURL))
	}
	return nil
}

// subject returns what is to be checked.
func (cmd doctorCmd) subject(cfg *config) doctor.Subject {
	if cmd.ProbeFor == 0 {
		cmd.ProbeFor = 2*cfg.Heartbeat + 5*time.Second
	}
	s := doctor.Subject{
		DatabaseURL: cfg.DatabaseURL, Nodes: cmd.Nodes, PoolMax: cfg.Pool.Size + cfg.Pool.Overflow,
		DataPath: cfg.DataPath(), SocketsWanted: cfg.Limits.Sockets, Machine: doctor.ThisMachine(),
		CertFile: cfg.TLS.CertFile, KeyFile: cfg.TLS.KeyFile, Heartbeat: cfg.Heartbeat,
		Probe:          doctor.Probe{URL: cmd.ProbeURL, Token: cmd.ProbeToken, For: cmd.ProbeFor},
		ConfigWarnings: cfg.advice(cmd.Nodes),
	}
	if cfg.Ops.Listen != "" {
		s.OpsURL = "http://" + settings.LocalAddress(cfg.Ops.Listen)
	}
	s.Relay.Link = relay.Link(cfg.Relay)
	if _, port, err := net.SplitHostPort(cfg.Relay.Listen); err == nil && port != "0" {
		s.Relay.Own = settings.LocalAddress(cfg.Relay.Listen)
	}
	return s
}
