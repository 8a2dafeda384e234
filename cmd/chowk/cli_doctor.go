package main

import (
	"context"
	"fmt"
	"net"
	"runtime/debug"
	"strings"
	"time"

	"github.com/chowk-chat/chowk/internal/doctor"
)

type doctorCmd struct {
	JSON       bool          `name:"json" help:"As JSON, for programs."`
	Nodes      int           `name:"nodes" default:"1" placeholder:"N" help:"How many chowks share the database. 1 when left out."`
	ProbeURL   string        `name:"probe-url" placeholder:"URL" help:"Where clients open sockets, such as wss://chat.example.org/api/v1/ws: opens one there, says nothing, and looks whether it stays open."`
	ProbeToken string        `name:"probe-token" env:"CHOWK_PROBE_TOKEN" placeholder:"TOKEN" help:"Token of the probe, best as CHOWK_PROBE_TOKEN."`
	ProbeFor   time.Duration `name:"probe-for" placeholder:"DURATION" help:"How long it must stay open. Two heartbeats and five seconds when left out."`
}

// Help says what it does, and what it does not.
func (doctorCmd) Help() string {
	return "Looks at the database (durability, speed of a commit, clocks, connections, replicas,\n" +
		"who blocks whom), the other nodes, this machine (open files, memory, disk),\n" +
		"certificates, a server that runs here, the way through a proxy, and the settings.\n" +
		"It changes nothing.\n\n" +
		"Exit code: 0 all is fine, 1 warnings, 2 failures."
}

func (cmd doctorCmd) run(ctx context.Context, c invocation, cfg *Config) int {
	if cmd.Nodes < 1 {
		return c.fail(exitUsage, fmt.Errorf("--nodes is %d, but must be 1 or more", cmd.Nodes))
	}
	if cmd.ProbeURL != "" && !strings.HasPrefix(cmd.ProbeURL, "ws://") && !strings.HasPrefix(cmd.ProbeURL, "wss://") {
		return c.fail(exitUsage, fmt.Errorf("--probe-url is %q, but must begin with wss:// or ws://", maskURL(cmd.ProbeURL)))
	}
	if cmd.ProbeFor == 0 {
		cmd.ProbeFor = 2*cfg.Heartbeat + 5*time.Second
	}
	subject := doctor.Subject{
		DatabaseURL: cfg.DatabaseURL, Nodes: cmd.Nodes, PoolMax: cfg.Pool.Size + cfg.Pool.Overflow, DataPath: cfg.dataPath(),
		SocketsWanted: cfg.Limits.Sockets, Machine: doctor.ThisMachine(), CertFile: cfg.TLS.CertFile, KeyFile: cfg.TLS.KeyFile,
		Heartbeat: cfg.Heartbeat, Probe: doctor.Probe{URL: cmd.ProbeURL, Token: cmd.ProbeToken, For: cmd.ProbeFor}, ConfigWarnings: cfg.smells(cmd.Nodes),
	}
	if cfg.Ops.Listen != "" {
		subject.OpsURL = "http://" + localAddress(cfg.Ops.Listen)
	}
	subject.Relay.Link = cfg.relayLink()
	if _, port, err := net.SplitHostPort(cfg.Relay.Listen); err == nil && port != "0" {
		subject.Relay.Own = localAddress(cfg.Relay.Listen)
	}
	report := doctor.Examine(ctx, subject)
	write := report.Text
	if cmd.JSON {
		write = report.JSON
	}
	if err := write(c.out); err != nil {
		return c.fail(exitUsage, err)
	}
	return report.ExitCode()
}

// longSilence is the shortest of the idle time-outs that proxies have by default
// (nginx, Envoy's streams and cloud balancers are at 60 s or above).
const longSilence = 55 * time.Second

// smells are settings that are allowed and unwise.
func (c *Config) smells(nodes int) (all []doctor.Finding) {
	for _, w := range c.warnings() {
		all = append(all, doctor.Finding{Check: "settings", Status: doctor.Warning, Found: w})
	}
	smell := func(bad bool, found, advice string) {
		if bad {
			all = append(all, doctor.Finding{Check: "settings", Status: doctor.Warning, Found: found, Advice: advice})
		}
	}
	public := !isLoopback(c.Listen)
	embedded := strings.HasPrefix(c.DatabaseURL, "sqlite:")
	if embedded && nodes > 1 {
		all = append(all, doctor.Finding{Check: "settings", Status: doctor.Failure, Found: "several nodes cannot share an SQLite file", Advice: "give them PostgreSQL: database-url"})
	}
	smell(nodes > 1 && !embedded && c.Relay.Listen == "" && len(c.Relay.URL) == 0, fmt.Sprintf("%d nodes, and neither relay.listen nor relay.url says how they hear each other: people hear late of what is sent on another node", nodes),
		"set relay.listen and relay.routes: see docs/nodes.md")
	smell(len(c.Relay.Routes) > 0 && c.Relay.TLSCertFile == "" && c.Relay.Secret != "", "what nodes say to each other is not encrypted", "give them certificates (relay.tls-cert-file and the like), unless the network between them is yours alone")
	smell(public && c.Canary.Interval == 0, "canary.interval is 0s, so nobody notices when messages stop coming back", "leave it at 10s")
	smell(public && c.Ops.Listen == "", "ops.listen is off: no metrics, and no reasons why a node is not ready", "leave it on loopback, or give it an address that only Prometheus reaches")
	smell(c.Ops.Listen != "" && !isLoopback(c.Ops.Listen) && samePort(c.Ops.Listen, c.Listen), "ops.listen has the port of listen", "give it another one")
	smell(c.Heartbeat > longSilence, fmt.Sprintf("heartbeat is %v, longer than the idle time-out of most proxies (60 s)", c.Heartbeat), "keep it at 30s, or raise the proxy's time-out and measure with --probe-url")
	smell(strings.HasPrefix(c.PublicURL, "https://") && c.TLS.CertFile == "" && len(c.TrustedProxies) == 0 && public,
		"a proxy ends TLS, but trusted-proxies is empty: every client seems to have the proxy's address", "name the proxy's network in trusted-proxies")
	smell(c.Limits.SocketsPerUser == 0, "limits.sockets-per-user is 0: one page that reconnects without end can take all sockets", "leave it at 50")
	smell(public && c.Limits.SocketsPerAddress > 0 && len(c.TrustedProxies) == 0, "limits.sockets-per-address counts by address, which behind a proxy is everybody's", "name the proxy in trusted-proxies")
	smell(c.Log.Level == "debug" && public, "log.level is debug", "info has a line for each socket, which is enough")
	smell(c.Drain.Window == 0 && public, "drain.window is 0s: all clients reconnect at once when this node stops", "leave it at 5s or more")
	if most := debug.SetMemoryLimit(-1); most < 1<<60 && int64(c.Ring.Bytes) > most/2 {
		smell(true, fmt.Sprintf("ring.bytes is %v, more than half of GOMEMLIMIT", c.Ring.Bytes), "lower it, or raise the limit")
	}
	if len(all) == 0 {
		all = append(all, doctor.Finding{Check: "settings", Status: doctor.Fine, Found: "no problems found"})
	}
	return all
}

func samePort(a, b string) bool {
	return a[strings.LastIndexByte(a, ':'):] == b[strings.LastIndexByte(b, ':'):]
}
