package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/async"
)

// conn is one socket. The client's own goroutine reads from it; a second one writes.
type conn struct {
	client *Client
	ws     *websocket.Conn
	token  string
	hello  *chat.ConnectionFrame
	asked  map[chat.ID]chat.Seq // the cursors with which it was opened
	out    chan []byte
	wake   async.Signal  // holds a token when the writer has something to do
	done   chan struct{} // closed when the socket is abandoned
	idle   time.Duration

	began    time.Time
	lastRead atomic.Int64 // nanoseconds from began to the last frame, on the monotonic clock
	paused   atomic.Bool  // reading has stopped, because the event queue is full

	mu        sync.Mutex // guards what follows
	err       error      // why it ended
	pending   map[string]chan<- answer
	resumes   map[string]map[chat.ID]chat.Seq // requested, by the id of the request
	notBefore time.Time                       // earliest time of the next resume, after a refusal
	goAt      time.Time                       // when to reconnect, after a notice
	drained   bool                            // it ended because of the notice
}

// answer is the server's answer to a request.
type answer struct {
	response jsontext.Value
	err      *chat.Error
}

// dial opens a socket and reads its first frame.
func (c *Client) dial(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	token, err := c.token(ctx)
	if err != nil {
		return nil, err
	}
	epoch, asked := c.cursors.handshake()
	if f := c.options.Trace.Resuming; f != nil && len(asked) > 0 {
		f(epoch, asked)
	}
	ws, resp, err := websocket.Dial(ctx, c.socketURL(epoch, asked), &websocket.DialOptions{
		HTTPClient: c.options.HTTPClient, Subprotocols: []string{chat.Protocol},
		HTTPHeader: http.Header{"Authorization": {"Bearer " + token}},
	})
	if err != nil {
		err = refusedHandshake(resp, err)
		var refused *handshakeError
		if errors.As(err, &refused) && refused.refusal.Code == chat.Unauthorized {
			c.refuseToken(token)
		}
		return nil, err
	}
	ws.SetReadLimit(maxFrame)
	_, first, err := ws.Read(ctx)
	hello := new(chat.ConnectionFrame)
	if err == nil {
		err = json.Unmarshal(first, hello)
	}
	if err == nil && hello.Type != chat.EventConnection {
		err = fmt.Errorf("the first frame is %q", hello.Type)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read the first frame: %w", err), ws.CloseNow())
	}
	cn := &conn{
		began:  time.Now(),
		client: c, ws: ws, token: token, hello: hello, asked: asked, out: make(chan []byte, 16), wake: async.NewSignal(),
		done:    make(chan struct{}),
		pending: make(map[string]chan<- answer), resumes: make(map[string]map[chat.ID]chat.Seq), idle: c.options.PingAfter,
	}
	if cn.idle <= 0 {
		cn.idle = max(time.Duration(hello.HeartbeatS)*time.Second, time.Second)
	}
	return cn, nil
}

// socketURL returns the URL of a socket that resumes from the cursors.
func (c *Client) socketURL(epoch string, cursors map[chat.ID]chat.Seq) string {
	u := "ws" + strings.TrimPrefix(c.options.URL, "http") + "/api/v1/ws"
	if len(cursors) > 0 {
		u += "?resume=" + url.QueryEscape(chat.FormatCursors(epoch, cursors))
	}
	return u
}

// refusedHandshake returns the server's refusal of a handshake.
func refusedHandshake(resp *http.Response, err error) error {
	if resp == nil || resp.StatusCode == http.StatusSwitchingProtocols {
		return fmt.Errorf("connect: %w", err)
	}
	defer resp.Body.Close()
	return &handshakeError{refusal: problemOf(resp), status: resp.StatusCode, retryAfter: retryAfter(resp.Header)}
}

func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, 5*time.Minute)
}

// serve reads until the socket ends.
func (cn *conn) serve() error {
	c := cn.client
	cn.received()
	if f := c.options.Trace.Connected; f != nil {
		f(cn.hello)
	}
	events, caughtUp := c.cursors.connected(cn.hello, cn.asked)
	for _, ev := range events {
		c.events.put(ev, true)
	}
	if caughtUp {
		cn.caughtUp()
	}
	ended := context.AfterFunc(c.ctx, func() { cn.fail(context.Cause(c.ctx)) })
	defer ended()
	var writing sync.WaitGroup
	writing.Go(cn.write) // ends when the socket is abandoned
	cn.restore()
	c.setConn(cn)
	cn.read()
	c.setConn(nil)
	writing.Wait()
	return cn.err
}

// fail abandons the socket. The first reason counts.
func (cn *conn) fail(err error) {
	cn.mu.Lock()
	if cn.err != nil {
		cn.mu.Unlock()
		return
	}
	cn.err = err
	close(cn.done)
	cn.mu.Unlock()
	_ = cn.ws.CloseNow()
}

// next returns the time until the next attempt, negative if the server did not specify
// one.
func (cn *conn) next() time.Duration {
	cn.mu.Lock()
	defer cn.mu.Unlock()
	if cn.drained {
		return 0 // the server has already spread the reconnects
	}
	return -1
}

func (cn *conn) caughtUp() {
	if f := cn.client.options.Trace.CaughtUp; f != nil {
		f()
	}
}

// restore requests what a new socket does not have: missing entries, muted channels,
// presence.
func (cn *conn) restore() {
	cn.wake.Notify()
	for _, id := range cn.client.cursors.muted() {
		cn.post("leave_channel", chat.ChannelRequest{ChannelID: id})
	}
	cn.client.mu.Lock()
	watch := cn.client.watch
	cn.client.mu.Unlock()
	if watch != nil {
		cn.post("subscribe_presence", watch)
	}
}

// post sends a request without waiting for its answer.
func (cn *conn) post(kind string, data any) {
	select {
	case cn.out <- envelope(kind, "", data):
	case <-cn.done:
	}
}

// envelope encodes a request. Invalid UTF-8 is replaced; nothing else can fail.
func envelope(kind, id string, data any) []byte {
	b, err := json.Marshal(data, jsontext.AllowInvalidUTF8(true))
	if err == nil {
		b, err = json.Marshal(chat.Request{Type: kind, Data: b, ID: id})
	}
	if err != nil {
		panic("client: encode a request: " + err.Error())
	}
	return b
}

// write sends requests, and pings a silent server.
func (cn *conn) write() {
	tick := time.NewTicker(max(min(cn.idle, cn.client.options.PongWithin)/4, 5*time.Millisecond))
	defer tick.Stop()
	pinged := time.Time{}
	for {
		var err error
		select {
		case b := <-cn.out:
			err = cn.send(b)
		case <-cn.wake:
			err = cn.runDue()
		case now := <-tick.C:
			pinged, err = cn.ping(now, pinged)
		case <-cn.done:
			return
		}
		if err != nil {
			cn.fail(err)
			return
		}
	}
}

func (cn *conn) send(b []byte) error {
	ctx, cancel := context.WithTimeout(cn.client.ctx, writeTimeout)
	defer cancel()
	if err := cn.ws.Write(ctx, websocket.MessageText, b); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

var (
	errSilent = errors.New("the server does not answer")
	errDrain  = errors.New("the server is stopping")
	pingFrame = []byte(`{"type":"ping"}`)
)

// received records the arrival of a frame.
func (cn *conn) received() { cn.lastRead.Store(int64(time.Since(cn.began))) }

// ping pings the server after idle without a frame, and returns errSilent if it does
// not answer in time.
func (cn *conn) ping(now, pinged time.Time) (time.Time, error) {
	switch {
	case cn.paused.Load(), now.Sub(cn.began)-time.Duration(cn.lastRead.Load()) < cn.idle:
		return time.Time{}, nil
	case pinged.IsZero():
		return now, cn.send(pingFrame)
	case now.Sub(pinged) > cn.client.options.PongWithin:
		return pinged, errSilent
	}
	return pinged, nil
}

// wakeAfter wakes the writer after d.
func (cn *conn) wakeAfter(d time.Duration) {
	time.AfterFunc(d, cn.wake.Notify)
}

// runDue does what is due: it reconnects because the server asked for it, or requests
// missing entries.
func (cn *conn) runDue() error {
	cn.mu.Lock()
	cn.drained = cn.drained || !cn.goAt.IsZero() && !time.Now().Before(cn.goAt)
	drained := cn.drained
	cn.mu.Unlock()
	if drained {
		return errDrain
	}
	return cn.resume()
}

// resume requests the channels with missing entries, once the queue has room for them.
func (cn *conn) resume() error {
	c := cn.client
	for c.events.halfEmpty() {
		cn.mu.Lock()
		wait := time.Now().Before(cn.notBefore)
		cn.mu.Unlock()
		if wait {
			return nil // the writer wakes again at notBefore
		}
		epoch, due := c.cursors.due()
		if len(due) == 0 {
			return nil
		}
		if f := c.options.Trace.Resuming; f != nil {
			f(epoch, due)
		}
		id := "r-" + strconv.FormatUint(c.ids.Add(1), 10)
		cn.mu.Lock()
		cn.resumes[id] = due
		cn.mu.Unlock()
		if err := cn.send(envelope("resume", id, chat.ResumeRequest{Epoch: epoch, Cursors: due})); err != nil {
			return err
		}
	}
	return nil
}
