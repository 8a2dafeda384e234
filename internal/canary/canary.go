// Package canary sends a message through the server's own public door every few
// seconds and looks whether it comes back, once and in order. It meets what users
// meet: handshake, rules, commit, fan-out. All nodes share one channel, so each also
// sees what the others send.
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

// User and Peer are the members of the canary's channel. Nobody can be them: they
// are disabled, so nobody finds them either.
const (
	User chat.UserID = "chowk.canary"
	Peer chat.UserID = "chowk.canary.peer"
)

// Canary sends and looks. All fields must be set but TLS.
type Canary struct {
	URL      string // ws:// or wss://, of the socket door
	TLS      *tls.Config
	Token    string
	Channel  chat.ID
	Interval time.Duration // between messages
	Timeout  time.Duration // for one to come back
	Metrics  *metric.Canary
	Log      *slog.Logger
	// Trim forgets the channel's entries up to seq. It is called now and then.
	Trim func(ctx context.Context, seq chat.Seq) error

	last  chat.Seq // the last entry seen
	epoch string   // of which history, "" while none was
	sick  bool
	tries int
}

// keep is how many entries of its channel are kept, trimEvery after how many
// messages the rest is forgotten.
const (
	keep      = 1000
	trimEvery = 360
)

// failure is a message that did not come back, and where it stopped.
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

// count exports the outcome, and logs when it is another than the last one.
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
	c.Metrics.Trip.Observe(took.Seconds())
	if c.sick {
		c.Log.Info("the canary's messages come back again")
	}
	c.sick = false
	if c.tries++; c.tries%trimEvery == 1 && c.last > keep {
		if err := c.Trim(ctx, c.last-keep); err != nil {
			c.Log.Warn("forget old canary messages", "err", err)
		}
	}
}

// once sends one message, on a new socket when there is none.
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
	err = (*s).send(ctx, id, "new_message", chat.SendRequest{ChannelID: c.Channel, Content: "canary", ClientID: id})
	if err != nil {
		return 0, &failure{"send", err}
	}
	if err := c.await(ctx, *s, id); err != nil {
		return 0, err
	}
	return time.Since(start), nil
}

// await takes frames until the message with the id has been answered and told.
func (c *Canary) await(ctx context.Context, s *socket, id string) error {
	var acked, told chat.Seq
	for acked == 0 || told == 0 {
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
				continue // live, from before the server took up the cursor: it comes again
			}
			if f.Seq != c.last+1 {
				err = &failure{"order", fmt.Errorf("seq %d came after %d", f.Seq, c.last)}
			}
			s.resuming, c.last = false, f.Seq
			if err != nil {
				return err
			}
			if f.Data.ClientID == id {
				told = f.Seq
			}
		}
	}
	if acked != told {
		return &failure{"order", fmt.Errorf("seq %d was acknowledged and %d told", acked, told)}
	}
	return nil
}

// connect opens a socket, and goes on in the channel where the last one ended.
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
	// After a long absence the other nodes' canaries have forgotten what came after
	// last: then it begins anew, as after a change of history.
	if err == nil && hello.Epoch == c.epoch && head-c.last < keep/2 {
		s.resuming = true
		err = s.send(ctx, "resume", "resume", chat.ResumeRequest{Epoch: c.epoch, Cursors: map[chat.ID]chat.Seq{c.Channel: c.last}})
	} else if err == nil {
		c.epoch, c.last = hello.Epoch, head
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// socket is a connection whose frames are read as they come, so that the server's
// pings are answered.
type socket struct {
	conn     *websocket.Conn
	frames   chan frame
	resuming bool
	stop     context.CancelFunc
	done     chan struct{}
	err      error // why there are no more frames; read it when frames is closed
}

// frame is what the canary wants to know of any frame.
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
			return nil, fmt.Errorf("the door answered %s", resp.Status)
		}
		return nil, err
	}
	reading, stop := context.WithCancel(context.Background())
	s := &socket{conn: conn, frames: make(chan frame, 64), stop: stop, done: make(chan struct{})}
	go s.read(reading) // ends when the socket does, or close cancels
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
		return frame{}, errors.New("it did not come in time")
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
	_ = s.conn.CloseNow() // whatever it says, the socket is gone
	s.stop()
	<-s.done
}
