package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/test/schema"
)

// frame has the fields of all frames that a server sends.
type frame struct {
	Type        string `json:"type"`
	Event       string `json:"event"`
	ID          string `json:"id"`
	Status      string `json:"status"`
	ChannelID   string `json:"channel_id"`
	MessageID   string `json:"message_id"`
	UserID      string `json:"user_id"`
	Content     string `json:"content"`
	Emoji       string `json:"emoji"`
	Code        string `json:"code"`
	Message     string `json:"message"`
	Field       string `json:"field"`
	Seq         int64  `json:"seq"`
	LastReadSeq int64  `json:"last_read_seq"`
	IsTyping    bool   `json:"is_typing"`
	IsOnline    bool   `json:"is_online"`
	Count       int64  `json:"reaction_count"`
	RetryAfter  int64  `json:"retry_after_ms"`
	Epoch       string `json:"epoch"`
	Timestamp   string `json:"timestamp"`
	Role        string `json:"role"`
	Data        struct {
		ID       string `json:"id"`
		UserID   string `json:"user_id"`
		Content  string `json:"content"`
		ClientID string `json:"client_id"`
		Deleted  bool   `json:"is_deleted"`
		Parent   string `json:"parent_message_id"`
	} `json:"data"`
	Response struct {
		Status    string                   `json:"status"`
		Error     string                   `json:"error"`
		Code      string                   `json:"code"`
		MessageID string                   `json:"message_id"`
		Seq       int64                    `json:"seq"`
		LastSeq   int64                    `json:"last_seq"`
		Read      int64                    `json:"last_read_seq"`
		Unread    int64                    `json:"unread_count"`
		Duplicate bool                     `json:"duplicate"`
		Online    []string                 `json:"online"`
		Channels  map[string]chat.SeqRange `json:"channels"`
	} `json:"response"`
	Channels   []chat.ChannelState      `json:"channels"`
	Resumed    map[string]chat.SeqRange `json:"resumed"`
	ChannelIDs []string                 `json:"channel_ids"`
	raw        string
}

// client is one socket of a user.
type client struct {
	t     *testing.T
	conn  *websocket.Conn
	hello frame

	mu      sync.Mutex
	frames  []frame
	err     error // why the socket ended
	changed chan struct{}
	next    int // number of the next request id
	seen    int // frames that wait has passed
}

// dial opens a socket of a user as a client that speaks chowk.v1.
func (s *server) dial(user string) *client {
	s.t.Helper()
	return s.dialAs("/ws/"+user, user, chat.Protocol)
}

// dialOld opens a socket as the old web page does: without subprotocol or token.
func (s *server) dialOld(user string) *client {
	s.t.Helper()
	return s.dialAs("/ws/"+user, "", "")
}

func (s *server) dialAs(path, token, protocol string) *client {
	s.t.Helper()
	c, resp, err := s.tryDial(path, token, protocol)
	if err != nil {
		s.t.Fatalf("dial %s: %v (%v)\n%s", path, err, resp, s.Log.Text())
	}
	return c
}

// tryDialWith offers these subprotocols; one of them may carry a token, as in
// browsers.
func (s *server) tryDialWith(protocols ...string) (*client, *http.Response, error) {
	s.t.Helper()
	return s.tryDial("/ws", "", strings.Join(protocols, ","))
}

// tryDial opens a socket and returns the handshake's response. The protocol is a
// comma-separated list.
func (s *server) tryDial(path, token, protocol string, header ...string) (*client, *http.Response, error) {
	s.t.Helper()
	o := &websocket.DialOptions{HTTPHeader: http.Header{}, HTTPClient: s.client}
	if protocol != "" {
		o.Subprotocols = strings.Split(protocol, ",")
	}
	if token != "" {
		o.HTTPHeader.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		o.HTTPHeader.Set(header[i], header[i+1])
	}
	ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
	defer cancel()
	conn, resp, err := websocket.Dial(ctx, strings.Replace(s.url, "http", "ws", 1)+"/api/v1"+path, o)
	if err != nil {
		return nil, resp, err
	}
	conn.SetReadLimit(8 << 20)
	c := &client{t: s.t, conn: conn, changed: make(chan struct{})}
	reading, stop := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { c.read(reading) }) // ends with the socket
	s.t.Cleanup(func() {
		_ = conn.CloseNow()
		stop()
		done.Wait()
	})
	c.hello = c.expect("connection", nil)
	return c, resp, nil
}

func (c *client) read(ctx context.Context) {
	for {
		_, b, err := c.conn.Read(ctx)
		var f frame
		if err == nil {
			schema.ValidateServerFrame(c.t, b)
			if jsonErr := json.Unmarshal(b, &f); jsonErr != nil {
				c.t.Errorf("a frame cannot be decoded: %v: %s", jsonErr, b)
			}
			f.raw = string(b)
		}
		c.mu.Lock()
		if err == nil {
			c.frames = append(c.frames, f)
		} else {
			c.err = err
		}
		close(c.changed)
		c.changed = make(chan struct{})
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// wait returns the first frame that f accepts, after those that earlier calls passed,
// or nil if the socket ends first.
func (c *client) wait(what string, f func(*frame) bool) *frame {
	c.t.Helper()
	deadline := time.After(waitTimeout)
	for {
		c.mu.Lock()
		for c.seen < len(c.frames) {
			got := &c.frames[c.seen]
			c.seen++
			if f(got) {
				c.mu.Unlock()
				return got
			}
		}
		err, changed := c.err, c.changed
		c.mu.Unlock()
		if err != nil {
			return nil
		}
		select {
		case <-changed:
		case <-deadline:
			c.t.Fatalf("no %s arrived; received:\n%s", what, c.dump())
		}
	}
}

// dump returns all frames received, and why the socket ended.
func (c *client) dump() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	for _, f := range c.frames {
		fmt.Fprintln(&b, f.raw)
	}
	fmt.Fprintln(&b, c.err)
	return b.String()
}

// expect waits for the next frame of a type that f, if not nil, accepts.
func (c *client) expect(kind string, f func(*frame) bool) frame {
	c.t.Helper()
	got := c.wait(kind, func(got *frame) bool { return got.Type == kind && (f == nil || f(got)) })
	if got == nil {
		c.t.Fatalf("the socket ended before a %s arrived:\n%s", kind, c.dump())
	}
	return *got
}

// write sends bytes as a text frame.
func (c *client) write(b string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
	defer cancel()
	if err := c.conn.Write(ctx, websocket.MessageText, []byte(b)); err != nil {
		c.t.Fatalf("write: %v", err)
	}
}

// ask sends a valid command and waits for its reply. Frames that arrive earlier remain
// available to expect.
func (c *client) ask(kind string, data map[string]any) frame {
	c.t.Helper()
	return c.exchange(kind, data, true)
}

// askInvalid is ask for a command that violates the protocol's schema.
func (c *client) askInvalid(kind string, data map[string]any) frame {
	c.t.Helper()
	return c.exchange(kind, data, false)
}

func (c *client) exchange(kind string, data map[string]any, valid bool) frame {
	c.t.Helper()
	c.mu.Lock()
	c.next++
	id := fmt.Sprintf("c-%d", c.next)
	from := len(c.frames)
	c.mu.Unlock()
	envelope := map[string]any{"type": kind, "id": id}
	if data != nil {
		envelope["data"] = data
	}
	b, err := json.Marshal(envelope)
	if err != nil {
		c.t.Fatal(err)
	}
	if valid {
		schema.ValidateClientFrame(c.t, b)
	}
	c.write(string(b))
	return c.answer(id, from)
}

func (c *client) answer(id string, from int) frame {
	c.t.Helper()
	deadline := time.After(waitTimeout)
	for {
		c.mu.Lock()
		for _, f := range c.frames[from:] {
			if f.ID == id && (f.Type == "ack" || f.Type == "error" || f.Type == "pong") {
				c.mu.Unlock()
				return f
			}
		}
		err, changed := c.err, c.changed
		c.mu.Unlock()
		if err != nil {
			c.t.Fatalf("the socket ended before the reply: %v", err)
		}
		select {
		case <-changed:
		case <-deadline:
			c.t.Fatalf("no reply to %s arrived; received:\n%s", id, c.dump())
		}
	}
}

// ok is ask for a command that must succeed.
func (c *client) ok(kind string, data map[string]any) frame {
	c.t.Helper()
	f := c.ask(kind, data)
	if f.Type != "ack" || f.Response.Error != "" {
		c.t.Fatalf("%s was refused: %s", kind, f.raw)
	}
	return f
}

// send sends a message and returns its ack. If the server replies that it is
// overloaded, which means that nothing was stored, send tries again.
func (c *client) send(channel, content string) frame {
	c.t.Helper()
	data := map[string]any{"channel_id": channel, "content": content}
	deadline := time.Now().Add(waitTimeout)
	for {
		f := c.ask("new_message", data)
		if f.Code != "overloaded" || time.Now().After(deadline) {
			if f.Type != "ack" || f.Response.Error != "" {
				c.t.Fatalf("new_message was refused: %s", f.raw)
			}
			return f
		}
		<-time.After(time.Duration(f.RetryAfter) * time.Millisecond)
	}
}

// ended waits until the socket ends and returns its close code.
func (c *client) ended() websocket.StatusCode {
	c.t.Helper()
	c.wait("end", func(*frame) bool { return false })
	c.mu.Lock()
	defer c.mu.Unlock()
	return websocket.CloseStatus(c.err)
}
