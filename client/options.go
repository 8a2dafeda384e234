package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// Options say which server, who it is, and within which bounds. URL and Token are
// needed; other zero values mean the defaults.
type Options struct {
	// URL is where the server is, such as https://chat.example.org. The schemes
	// ws and wss are taken as well, and a path before /api/v1.
	URL string
	// Token gives the credential. It is asked before each attempt to connect and
	// before each REST call, so it may refresh; StaticToken is one that never
	// changes. A token that was refused is not offered again: when Token has no
	// other, the client ends with the refusal.
	Token func(ctx context.Context) (string, error)
	// Resume continues where an earlier client was, as its Cursors told. Without
	// it the client starts with what happens after it has connected.
	Resume *Cursors
	// HTTPClient makes the connections. The default waits at most 30 s for an answer
	// to begin; handshakes end after 10 s, calls with their context.
	HTTPClient *http.Client
	// Buffer is how many events wait for Next; 256 by default. When it is full the
	// client stops reading from the socket, or, while a request of its own waits
	// for an answer, lets events pass and asks for them again once there is room.
	// Typing, presence and receipts that find no room are dropped.
	Buffer int
	// Outbox is how many requests may be under way at a time; 256 by default. More
	// wait for their turn.
	Outbox int
	// Backoff spreads attempts to connect.
	Backoff Backoff
	// PingAfter is after how much silence the server is asked whether it is still
	// there, PongWithin how soon it must answer; else the connection is given up.
	// The defaults are the server's own heartbeat and 10 s.
	PingAfter, PongWithin time.Duration
	// Trace is told what happens.
	Trace Trace
}

// StaticToken is a token source of one token.
func StaticToken(token string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return token, nil }
}

// Cursors is how far a client has seen each channel, in the history of that name.
type Cursors struct {
	Epoch    string               `json:"epoch"`
	Channels map[chat.ID]chat.Seq `json:"channels"`
}

// Trace holds functions that are called as things happen, for logs, metrics and
// tests. Each may be nil; they must be quick and not call the client.
type Trace struct {
	// Connected is called with the first frame of each socket.
	Connected func(hello *chat.ConnectionFrame)
	// Disconnected is called when a socket ended, or could not be opened, with the
	// time until the next attempt.
	Disconnected func(err error, next time.Duration)
	// Resuming is called with the cursors from which the client asks to go on.
	Resuming func(epoch string, cursors map[chat.ID]chat.Seq)
	// CaughtUp is called when everything that was missed by the time of a connection
	// has arrived.
	CaughtUp func()
	// Received is called with each event as it came, before repeats are dropped.
	Received func(Event)
}

// Backoff is exponential, with full jitter: the wait before attempt n is anything
// from 0 to Base * 2^n, at most Cap, so that clients that lost one server do not
// come back in step.
type Backoff struct {
	Base, Cap time.Duration // 500 ms and 30 s by default
}

func (b Backoff) delay(attempt int) time.Duration {
	bound := b.Cap
	if attempt < 30 {
		bound = min(b.Cap, b.Base<<attempt)
	}
	return time.Duration(rand.Float64() * float64(bound))
}

// Bounds that are not worth a setting.
const (
	handshakeTimeout = 10 * time.Second
	writeTimeout     = 10 * time.Second
	answerTimeout    = 30 * time.Second // the server answers within 10
	stableAfter      = 5 * time.Second  // a connection that held so long was a good one
	maxFrame         = 16 << 20
	maxResume        = 500 // channels in one request
	maxInternal      = 5   // attempts that the server itself calls its own mistake
)

var errOptions = errors.New("client: Options need a URL with scheme http, https, ws or wss, and a Token")

func (o Options) withDefaults() (Options, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || o.Token == nil {
		return o, errOptions
	}
	switch u.Scheme {
	case "http", "https":
	case "ws", "wss":
		u.Scheme = "http" + strings.TrimPrefix(u.Scheme, "ws")
	default:
		return o, errOptions
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	u.RawQuery, u.Fragment = "", ""
	o.URL = u.String()
	if o.HTTPClient == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.ResponseHeaderTimeout = answerTimeout // a kept connection may be half-open
		o.HTTPClient = &http.Client{Transport: transport}
	}
	if o.Buffer <= 0 {
		o.Buffer = 256
	}
	if o.Outbox <= 0 {
		o.Outbox = 256
	}
	if o.Backoff.Base <= 0 {
		o.Backoff.Base = 500 * time.Millisecond
	}
	if o.Backoff.Cap <= 0 {
		o.Backoff.Cap = 30 * time.Second
	}
	if o.PongWithin <= 0 {
		o.PongWithin = 10 * time.Second
	}
	return o, nil
}
