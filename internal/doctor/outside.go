package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"github.com/chowk-chat/chowk/chat"
)

// renewBefore is how long before its end a certificate should have been renewed.
const renewBefore = 14 * 24 * time.Hour

func checkCertificate(_ context.Context, s Subject) []Finding {
	if s.CertFile == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(s.CertFile, s.KeyFile)
	if err != nil {
		return []Finding{{"certificate", Failure, err.Error(), "tls.cert-file must be a PEM chain and tls.key-file its key"}}
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return []Finding{{"certificate", Failure, err.Error(), "renew it"}}
	}
	return []Finding{certificate("certificate", leaf, s.Now())}
}

func certificate(check string, leaf *x509.Certificate, now time.Time) Finding {
	left := leaf.NotAfter.Sub(now)
	f := fine(check, "for %v, valid until %s", leaf.DNSNames, leaf.NotAfter.UTC().Format(time.DateOnly))
	switch {
	case left <= 0:
		f.Status, f.Advice = Failure, "renew it: no client can connect"
		f.Found = fmt.Sprintf("for %v, expired on %s", leaf.DNSNames, leaf.NotAfter.UTC().Format(time.DateOnly))
	case now.Before(leaf.NotBefore):
		f.Status, f.Found = Failure, "not valid before "+leaf.NotBefore.UTC().Format(time.DateTime)
		f.Advice = "check the clock of this machine"
	case left < renewBefore:
		f.Status, f.Advice = Warning, "renew it, and find out why it was not renewed automatically"
	}
	return f
}

const askTimeout = 5 * time.Second

// checkServer asks a running server for its own checks.
func checkServer(ctx context.Context, s Subject) []Finding {
	if s.OpsURL == "" {
		return nil
	}
	var ready struct {
		Ready  bool
		Checks map[string]struct{ State, Detail string }
	}
	if err := ask(ctx, s.OpsURL+"/readyz", &ready); err != nil {
		return []Finding{{"server", Unknown, "no server answers at " + s.OpsURL, ""}}
	}
	f := fine("server", "running at %s and ready", s.OpsURL)
	for name, c := range ready.Checks {
		if c.State == "failing" {
			f.Status, f.Found = Failure, fmt.Sprintf("not ready: %s: %s", name, c.Detail)
			f.Advice = "see " + s.OpsURL + "/readyz, and the other findings"
		}
	}
	all := []Finding{f}
	var pool struct {
		InUse, Most, Waiting int
		Holders              []struct {
			Unit    string
			Count   int
			Longest time.Duration
		}
	}
	if err := ask(ctx, s.OpsURL+"/debug/pool", &pool); err != nil || pool.Most == 0 {
		return all
	}
	f = fine("pool", "%d of %d connections in use, %d waiting", pool.InUse, pool.Most, pool.Waiting)
	for _, h := range pool.Holders {
		f.Found += fmt.Sprintf("; %d x %s, the longest for %v", h.Count, h.Unit, short(h.Longest))
	}
	if pool.Waiting > 0 {
		f.Status, f.Advice = Warning, "work waits for a connection: see docs/runbook/ChowkPoolExhausted.md"
	}
	return append(all, f)
}

func ask(ctx context.Context, url string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(into)
}

// Probe is a socket to open from outside, through the proxy.
type Probe struct {
	URL   string // ws:// or wss://, "" for none
	Token string
	For   time.Duration // how long it must stay open while nothing is sent
}

// checkProxy opens a socket as a client does, sends nothing, and checks that the
// socket stays open.
func checkProxy(ctx context.Context, s Subject) []Finding {
	if s.Probe.URL == "" {
		return nil
	}
	dial, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	header := http.Header{}
	if s.Probe.Token != "" {
		header.Set("Authorization", "Bearer "+s.Probe.Token)
	}
	options := &websocket.DialOptions{HTTPHeader: header, Subprotocols: []string{chat.Protocol}}
	conn, resp, err := websocket.Dial(dial, s.Probe.URL, options) //nolint:bodyclose // the library closes it
	var all []Finding
	if resp != nil && resp.TLS != nil && len(resp.TLS.PeerCertificates) > 0 {
		all = append(all, certificate("proxy's certificate", resp.TLS.PeerCertificates[0], s.Now()))
	}
	if err != nil {
		return append(all, refused(resp, err))
	}
	defer func() { _ = conn.CloseNow() }()
	if conn.Subprotocol() != chat.Protocol {
		all = append(all, Finding{
			"proxy", Warning, "the subprotocol " + chat.Protocol + " was not negotiated",
			"configure the proxy to forward Sec-WebSocket-Protocol",
		})
	}
	return append(all, s.stayIdle(ctx, conn))
}

func refused(resp *http.Response, err error) Finding {
	f := Finding{
		"proxy", Failure, "no socket opens: " + err.Error(),
		"the proxy must speak HTTP/1.1 to chowk and forward Connection and Upgrade: see docs/deploy/proxies.md",
	}
	if resp == nil {
		return f
	}
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		f.Status = Warning
		f.Found = "handshakes pass, but the probe has no token, so it did not measure how long a socket stays open"
		f.Advice = "create one with chowk token, and pass it as --probe-token or CHOWK_PROBE_TOKEN"
	case http.StatusForbidden:
		f.Found, f.Advice = "the server refuses this origin "+
			"or user (403)", "check the setting origins, and the user of the token"
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		f.Found, f.Advice = fmt.Sprintf(
			"the proxy does not reach chowk (%d)", resp.StatusCode,
		), "compare the proxy's upstream with the setting listen"
	default:
		f.Found = fmt.Sprintf("no socket opens: the answer is %d", resp.StatusCode)
	}
	return f
}

func (s Subject) stayIdle(ctx context.Context, conn *websocket.Conn) Finding {
	reading, cancel := context.WithTimeout(ctx, s.Probe.For)
	defer cancel()
	start := time.Now()
	for {
		_, _, err := conn.Read(reading)
		if err == nil {
			continue
		}
		lasted := time.Since(start)
		if reading.Err() != nil {
			return fine("proxy", "an idle socket is still open after %v, with a heartbeat of %v", short(lasted), s.Heartbeat)
		}
		var closed websocket.CloseError
		how := "cut"
		if errors.As(err, &closed) {
			how = fmt.Sprintf("closed with %d", closed.Code)
		}
		return Finding{
			"proxy", Failure, fmt.Sprintf("an idle socket was %s after %v", how, short(lasted)),
			fmt.Sprintf(
				"the proxy has a shorter idle timeout than chowk's heartbeat (%v): raise it to 75 s or more, or lower heartbeat",
				s.Heartbeat,
			),
		}
	}
}
