// Package canary sends a message through the server's own public listener every few
// seconds, and checks that it comes back, once and in order. It takes the path that
// users take: handshake, permissions, commit, fan-out. All nodes share one channel,
// so each node also receives what the others send.
package canary

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/metric"
)

// User and Peer are the members of the canary's channel. Both accounts are disabled:
// no one can log in as them, and no search finds them.
const (
	User chat.UserID = "chowk.canary"
	Peer chat.UserID = "chowk.canary.peer"
)

// Canary sends messages and checks that they come back. Every field except TLS must
// be set.
type Canary struct {
	URL      string // ws:// or wss://, of the socket endpoint
	TLS      *tls.Config
	Token    string
	Channel  chat.ID
	Interval time.Duration // between messages
	Timeout  time.Duration // for one to come back
	Metrics  *metric.Canary
	Log      *slog.Logger
	// DeleteUpTo deletes the channel's entries up to seq. It is called every
	// trimEvery messages.
	DeleteUpTo func(ctx context.Context, seq chat.Seq) error

	last  chat.Seq // the last entry seen
	epoch string   // the epoch of last, "" before the first connection
	sick  bool
	tries int
}

// keep is the number of entries kept in the channel; older ones are deleted every
// trimEvery messages.
const (
	keep      = 1000
	trimEvery = 360
)

// failure is a message that did not come back, and the stage at which it stopped.
type failure struct {
	at  string
	err error
}

func (f *failure) Error() string { return f.at + ": " + f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// Run sends until ctx ends.
func (c *Canary) Run(ctx context.Context) {
	t := time.NewTicker(c.Interval)
	defer t.Stop()
	var s *socket
	defer func() { s.close() }()
	for {
		took, err := c.once(ctx, &s)
		if ctx.Err() != nil {
			return
		}
		c.count(ctx, took, err)
		if err != nil {
			s.close()
			s = nil
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// count records the outcome, and logs it if it differs from the previous one.
func (c *Canary) count(ctx context.Context, took time.Duration, err error) {
	var f *failure
	if errors.As(err, &f) {
		c.Metrics.OK.Set(0)
		c.Metrics.Failures.WithLabelValues(f.at).Inc()
		if !c.sick {
			c.Log.Error("the canary's message did not come back", "at", f.at, "err", f.err)
		}
		c.sick = true
		return
	}
	c.Metrics.OK.Set(1)
	c.Metrics.Last.SetToCurrentTime()
	c.Metrics.RoundTrip.Observe(took.Seconds())
	if c.sick {
		c.Log.Info("the canary's messages come back again")
	}
	c.sick = false
	if c.tries++; c.tries%trimEvery == 1 && c.last > keep {
		if err := c.DeleteUpTo(ctx, c.last-keep); err != nil {
			c.Log.Warn("delete old canary messages", "err", err)
		}
	}
}

// once sends one message, on a new socket if there is none.
func (c *Canary) once(ctx context.Context, s **socket) (took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	if *s == nil {
		if *s, err = c.connect(ctx); err != nil {
			return 0, &failure{"connect", err}
		}
	}
	start := time.Now()
	id := chat.NewID().String()
	err = (*s).send(ctx, id, "new_message", chat.SendRequest{
		ChannelID: c.Channel, MessageBody: chat.MessageBody{Content: "canary", ClientID: id},
	})
	if err != nil {
		return 0, &failure{"send", err}
	}
	if err := c.await(ctx, *s, id); err != nil {
		return 0, err
	}
	return time.Since(start), nil
}

// await reads frames until the message with the id is acknowledged and delivered.
func (c *Canary) await(ctx context.Context, s *socket, id string) error {
	var acked, delivered chat.Seq
	for acked == 0 || delivered == 0 {
		f, err := s.next(ctx)
		if err != nil {
			at := "deliver"
			if acked == 0 {
				at = "send"
			}
			return &failure{at, err}
		}
		switch {
		case f.Type == chat.EventError && f.ID == id:
			return &failure{"send", errors.New(f.Message)}
		case f.Type == chat.EventAck && f.ID == id:
			acked = f.Response.Seq
		case f.ChannelID == c.Channel && f.Seq > 0:
			if f.Seq != c.last+1 && s.resuming {
				continue // live, from before the server applied the cursor: it comes again
			}
			if f.Seq != c.last+1 {
				err = &failure{"order", fmt.Errorf("seq %d came after %d", f.Seq, c.last)}
			}
			s.resuming, c.last = false, f.Seq
			if err != nil {
				return err
			}
			if f.Data.ClientID == id {
				delivered = f.Seq
			}
		}
	}
	if acked != delivered {
		return &failure{"order", fmt.Errorf("seq %d was acknowledged, but seq %d was delivered", acked, delivered)}
	}
	return nil
}

// connect opens a socket, and resumes the channel where the previous one ended.
func (c *Canary) connect(ctx context.Context) (*socket, error) {
	s, err := dial(ctx, c)
	if err != nil {
		return nil, err
	}
	hello, err := s.next(ctx)
	var head chat.Seq
	for _, st := range hello.Channels {
		if st.ID == c.Channel {
			head = st.LastSeq
		}
	}
	// After a long absence, the canaries of other nodes have deleted the entries after
	// last. Then it starts over, as after a change of history.
	if err == nil && hello.Epoch == c.epoch && head-c.last < keep/2 {
		s.resuming = true
		err = s.send(
			ctx,
			"resume",
			"resume",
			chat.ResumeRequest{Epoch: c.epoch, Cursors: map[chat.ID]chat.Seq{c.Channel: c.last}},
		)
	} else if err == nil {
		c.epoch, c.last = hello.Epoch, head
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// socket is a connection that reads frames as they arrive, so that the server's
// pings get their pongs.
type socket struct {
	conn     *websocket.Conn
	frames   chan frame
	resuming bool
	stop     context.CancelFunc
	done     chan struct{}
	err      error // why there are no more frames; valid once frames is closed
}

// frame has the fields of any frame that the canary needs.
type frame struct {
	Type      chat.EventType      `json:"type"`
	ID        string              `json:"id"`
	ChannelID chat.ID             `json:"channel_id"`
	Seq       chat.Seq            `json:"seq"`
	Epoch     string              `json:"epoch"`
	Channels  []chat.ChannelState `json:"channels"`
	Message   string              `json:"message"`
	Data      struct {
		ClientID string `json:"client_id"`
	} `json:"data"`
	Response struct {
		Seq chat.Seq `json:"seq"`
	} `json:"response"`
}

func dial(ctx context.Context, c *Canary) (*socket, error) {
	transport := &http.Transport{TLSClientConfig: c.TLS, DisableKeepAlives: true}
	conn, resp, err := websocket.Dial(ctx, c.URL, &websocket.DialOptions{ //nolint:bodyclose // the library closes it
		HTTPClient: &http.Client{Transport: transport}, HTTPHeader: http.Header{"Authorization": {"Bearer " + c.Token}},
		Subprotocols: []string{chat.Protocol},
	})
	if err != nil {
		if resp != nil {
			return nil, fmt.Errorf("the server answered %s", resp.Status)
		}
		return nil, err
	}
	reading, stop := context.WithCancel(context.Background())
	s := &socket{conn: conn, frames: make(chan frame, 64), stop: stop, done: make(chan struct{})}
	go s.read(reading) // ends when the socket does, or when close cancels it
	return s, nil
}

func (s *socket) read(ctx context.Context) {
	defer close(s.done)
	defer close(s.frames)
	for {
		_, b, err := s.conn.Read(ctx)
		if err != nil {
			s.err = err
			return
		}
		var f frame
		if err := json.Unmarshal(b, &f); err != nil {
			s.err = fmt.Errorf("read a frame: %w", err)
			return
		}
		select {
		case s.frames <- f:
		case <-ctx.Done():
			s.err = ctx.Err()
			return
		}
	}
}

func (s *socket) next(ctx context.Context) (frame, error) {
	select {
	case f, ok := <-s.frames:
		if !ok {
			return frame{}, s.err
		}
		return f, nil
	case <-ctx.Done():
		return frame{}, errors.New("no frame arrived in time")
	}
}

func (s *socket) send(ctx context.Context, id, event string, data any) error {
	b, err := json.Marshal(map[string]any{"type": event, "id": id, "data": data})
	if err != nil {
		return err
	}
	return s.conn.Write(ctx, websocket.MessageText, b)
}

func (s *socket) close() {
	if s == nil {
		return
	}
	_ = s.conn.CloseNow() // the socket is gone even if this fails
	s.stop()
	<-s.done
}
