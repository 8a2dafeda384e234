package main

import (
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/chowk-chat/chowk/internal/doctor"
	"github.com/chowk-chat/chowk/internal/settings"
)

// longSilence is the shortest default idle timeout of proxies (nginx, Envoy's streams
// and cloud load balancers have 60 s or more).
const longSilence = 55 * time.Second

// adviser collects findings about the settings.
type adviser struct {
	*config
	findings []doctor.Finding
}

func (a *adviser) add(status doctor.Status, found, advice string) {
	a.findings = append(a.findings, doctor.Finding{Check: "settings", Status: status, Found: found, Advice: advice})
}

// warn adds a warning if unwise is true.
func (a *adviser) warn(unwise bool, found, advice string) {
	if unwise {
		a.add(doctor.Warning, found, advice)
	}
}

// advice returns findings about settings that are allowed and unwise for a server that
// is one of so many nodes.
func (c *config) advice(nodes int) []doctor.Finding {
	a := &adviser{config: c}
	for _, w := range append(c.warnings(), c.Warnings()...) {
		a.add(doctor.Warning, w, "")
	}
	a.nodes(nodes)
	a.operations()
	a.clients()
	if len(a.findings) == 0 {
		a.add(doctor.Fine, "no problems found", "")
	}
	return a.findings
}

func (a *adviser) nodes(nodes int) {
	_, embedded := a.isEmbedded()
	if embedded && nodes > 1 {
		a.add(doctor.Failure, "several nodes cannot share an SQLite file", "use PostgreSQL: set database-url")
	}
	linked := a.Relay.Listen != "" || len(a.Relay.URL) > 0
	a.warn(nodes > 1 && !embedded && !linked,
		fmt.Sprintf("%d nodes, and neither relay.listen nor relay.url connects them: messages sent on another node "+
			"arrive late", nodes),
		"set relay.listen and relay.routes: see docs/nodes.md")
	a.warn(len(a.Relay.Routes) > 0 && a.Relay.TLSCertFile == "" && a.Relay.Secret != "",
		"traffic between nodes is not encrypted",
		"set relay.tls-cert-file, relay.tls-key-file and relay.tls-ca-file, unless the network between them is private")
}

func (a *adviser) operations() {
	public := !settings.IsLoopback(a.Listen)
	a.warn(public && a.Canary.Interval == 0,
		"canary.interval is 0s, so no one notices when messages stop coming back", "leave it at 10s")
	a.warn(public && a.Ops.Listen == "",
		"ops.listen is off: no metrics, and no reasons why a node is not ready",
		"leave it on loopback, or give it an address that only Prometheus can reach")
	a.warn(a.Ops.Listen != "" && !settings.IsLoopback(a.Ops.Listen) && samePort(a.Ops.Listen, a.Listen),
		"ops.listen has the port of listen", "give it another port")
	a.warn(a.Log.Level == "debug" && public,
		"log.level is debug", "info logs a line for each socket, which is enough")
	limit := debug.SetMemoryLimit(-1)
	a.warn(limit < 1<<60 && a.Ring.Bytes > limit/2,
		fmt.Sprintf("ring.bytes is %s, more than half of GOMEMLIMIT", settings.Bytes(a.Ring.Bytes)),
		"lower ring.bytes, or raise the limit")
}

func (a *adviser) clients() {
	public := !settings.IsLoopback(a.Listen)
	a.warn(a.Heartbeat > longSilence,
		fmt.Sprintf("heartbeat is %v, longer than the idle timeout of most proxies (60 s)", a.Heartbeat),
		"keep it at 30s, or raise the proxy's timeout and measure with --probe-url")
	proxied := strings.HasPrefix(a.PublicURL, "https://") && a.TLS.CertFile == ""
	a.warn(proxied && len(a.TrustedProxies) == 0 && public,
		"a proxy terminates TLS, but trusted-proxies is empty: every client seems to have the proxy's address",
		"set trusted-proxies to the proxy's network")
	a.warn(a.Limits.SocketsPerUser == 0,
		"limits.sockets-per-user is 0: one page that keeps reconnecting can use up all sockets", "leave it at 50")
	a.warn(public && a.Limits.SocketsPerAddress > 0 && len(a.TrustedProxies) == 0,
		"limits.sockets-per-address counts by address, and behind a proxy all clients share one",
		"set trusted-proxies to the proxy's network")
	a.warn(a.Drain.Window == 0 && public,
		"drain.window is 0s: all clients reconnect at once when this node stops", "leave it at 5s or more")
}

func samePort(a, b string) bool {
	return a[strings.LastIndexByte(a, ':'):] == b[strings.LastIndexByte(b, ':'):]
}
