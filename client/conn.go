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

// conn is one socket: a goroutine that reads, which is the client's own, and one
// that writes.
type conn struct {
	client *Client
	ws     *websocket.Conn
	token  string
	hello  *chat.ConnectionFrame
	asked  map[chat.ID]chat.Seq // with which it was opened
	out    chan []byte
	wake   async.Signal  // holds a token when the writer has something to look at
	done   chan struct{} // closed when the socket is given up
	idle   time.Duration

	began    time.Time
	lastRead atomic.Int64 // when something came, in nanoseconds since began: no clock that is set makes it wrong
	paused   atomic.Bool  // reading has stopped, because nobody takes the events

	mu        sync.Mutex // guards what follows
	err       error      // why it ended
	pending   map[string]chan<- answer
	resumes   map[string]map[chat.ID]chat.Seq // asked for, by the request's id
	notBefore time.Time                       // of the next resume, after a refusal
	goAt      time.Time                       // when to go, after a notice
	drained   bool                            // it went because of the notice
}

// answer is what came back of a request.
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
		client: c, ws: ws, token: token, hello: hello, asked: asked, out: make(chan []byte, 16), wake: async.NewSignal(), done: make(chan struct{}),
		pending: make(map[string]chan<- answer), resumes: make(map[string]map[chat.ID]chat.Seq), idle: c.options.PingAfter,
	}
	if cn.idle <= 0 {
		cn.idle = max(time.Duration(hello.HeartbeatS)*time.Second, time.Second)
	}
	return cn, nil
}

// socketURL is where a socket is opened, from these cursors.
func (c *Client) socketURL(epoch string, cursors map[chat.ID]chat.Seq) string {
	u := "ws" + strings.TrimPrefix(c.options.URL, "http") + "/api/v1/ws"
	if len(cursors) > 0 {
		u += "?resume=" + url.QueryEscape(chat.FormatCursors(epoch, cursors))
	}
	return u
}

// refusedHandshake finds what the server said when it did not upgrade.
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
	cn.heard()
	if f := c.options.Trace.Connected; f != nil {
		f(cn.hello)
	}
	events, level := c.cursors.greet(cn.hello, cn.asked)
	for _, ev := range events {
		c.events.put(ev, true)
	}
	if level {
		cn.caughtUp()
	}
	ended := context.AfterFunc(c.ctx, func() { cn.fail(context.Cause(c.ctx)) })
	defer ended()
	var writing sync.WaitGroup
	writing.Go(cn.write) // ends when the socket is given up
	cn.restore()
	c.setConn(cn)
	cn.read()
	c.setConn(nil)
	writing.Wait()
	return cn.err
}

// fail gives the socket up. The first reason counts.
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

// next is when the server wants the client to come back, negative when it did not
// say.
func (cn *conn) next() time.Duration {
	cn.mu.Lock()
	defer cn.mu.Unlock()
	if cn.drained {
		return 0 // the server spread the moment itself
	}
	return -1
}

func (cn *conn) caughtUp() {
	if f := cn.client.options.Trace.CaughtUp; f != nil {
		f()
	}
}

// restore asks for what a new socket does not know.
func (cn *conn) restore() {
	cn.wake.Notify()
	for _, id := range cn.client.cursors.muted() {
		cn.tell("leave_channel", chat.ChannelRequest{ChannelID: id})
	}
	cn.client.mu.Lock()
	watch := cn.client.watch
	cn.client.mu.Unlock()
	if watch != nil {
		cn.tell("subscribe_presence", watch)
	}
}

// tell sends a request whose answer nobody waits for.
func (cn *conn) tell(kind string, data any) {
	select {
	case cn.out <- envelope(kind, "", data):
	case <-cn.done:
	}
}

// envelope encodes a request. Encoding our own structs cannot fail but for text
// that is not UTF-8, which is replaced.
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

// write sends what is asked for, and pings when nothing comes.
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
			err = cn.attend()
		case now := <-tick.C:
			pinged, err = cn.probe(now, pinged)
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
	errDrain  = errors.New("the server is about to stop")
	pingFrame = []byte(`{"type":"ping"}`)
)

// heard notes that something came.
func (cn *conn) heard() { cn.lastRead.Store(int64(time.Since(cn.began))) }

// probe finds out whether the server is still there.
func (cn *conn) probe(now, pinged time.Time) (time.Time, error) {
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

// wakeAfter makes the writer look at what is due, later.
func (cn *conn) wakeAfter(d time.Duration) {
	time.AfterFunc(d, cn.wake.Notify)
}

// attend does what is due: to go, because the server asked for that, or to ask for
// what is missing.
func (cn *conn) attend() error {
	cn.mu.Lock()
	cn.drained = cn.drained || !cn.goAt.IsZero() && !time.Now().Before(cn.goAt)
	drained := cn.drained
	cn.mu.Unlock()
	if drained {
		return errDrain
	}
	return cn.resume()
}

// resume asks for the channels in which something is missing, once there is room
// for it.
func (cn *conn) resume() error {
	c := cn.client
	for c.events.halfEmpty() {
		cn.mu.Lock()
		wait := time.Now().Before(cn.notBefore)
		cn.mu.Unlock()
		if wait {
			return nil // whoever set it wakes us
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
