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

// Options configure a Client. URL and Token are required; other zero values select the
// defaults.
type Options struct {
	// URL is the URL of the server, such as https://chat.example.org. It may have the
	// scheme ws or wss, and a path that comes before /api/v1.
	URL string
	// Token returns the credential. The client calls it before each attempt to connect
	// and before each REST call, so it may renew the token; StaticToken is for one that
	// never changes. The client does not use a refused token again: if Token returns no
	// other, the client ends with the refusal.
	Token func(ctx context.Context) (string, error)
	// Resume continues from the Cursors of an earlier client. Without it, the client
	// starts with what happens after it has connected.
	Resume *Cursors
	// HTTPClient opens the connections. The default waits at most 30 s for the headers of
	// a response. Handshakes are limited to 10 s, calls by their context.
	HTTPClient *http.Client
	// Buffer is the number of events that can wait for Next, 256 by default. When it is
	// full, the client stops reading from the socket. While a request waits for its
	// answer, it skips events instead, and requests them again once there is room.
	// Typing, presence and receipts without room are dropped.
	Buffer int
	// Outbox is the number of requests that may be in progress, 256 by default. Further
	// ones wait.
	Outbox int
	// Backoff spaces attempts to connect.
	Backoff Backoff
	// The client pings the server after PingAfter without a frame, and abandons the
	// connection without an answer within PongWithin. The defaults are the server's
	// heartbeat and 10 s.
	PingAfter, PongWithin time.Duration
	// Trace has functions to call as things happen.
	Trace Trace
}

// StaticToken returns an Options.Token for a token that never changes.
func StaticToken(token string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return token, nil }
}

// Cursors is a client's position in each channel, in the history named by Epoch.
type Cursors struct {
	Epoch    string               `json:"epoch"`
	Channels map[chat.ID]chat.Seq `json:"channels"`
}

// Trace has functions that the client calls as things happen, for logs, metrics and
// tests. Each may be nil. They must be quick and must not call the client.
type Trace struct {
	// Connected is called with the first frame of each socket.
	Connected func(hello *chat.ConnectionFrame)
	// Disconnected is called when a socket ends or cannot be opened, with the time until
	// the next attempt.
	Disconnected func(err error, next time.Duration)
	// Resuming is called with the cursors from which the client resumes.
	Resuming func(epoch string, cursors map[chat.ID]chat.Seq)
	// CaughtUp is called when everything missed before a connection has arrived.
	CaughtUp func()
	// Received is called with each event as it arrives, before duplicates are dropped.
	Received func(Event)
}

// Backoff is exponential with full jitter: the wait before attempt n is random between
// 0 and Base * 2^n, at most Cap, so that clients that lost a server do not reconnect at
// the same moments.
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

// Limits without an option.
const (
	handshakeTimeout = 10 * time.Second
	writeTimeout     = 10 * time.Second
	answerTimeout    = 30 * time.Second // the server answers within 10 s
	stableAfter      = 5 * time.Second  // a connection that lasts this long resets the backoff
	maxFrame         = 16 << 20
	maxResume        = 500 // channels in one request
	maxInternal      = 5   // attempts that end in an internal error of the server
)

var errOptions = errors.New("client: Options require a URL with scheme http, https, ws or wss, and a Token")

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
		transport.ResponseHeaderTimeout = answerTimeout // a pooled connection may be half-open
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
