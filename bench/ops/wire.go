//go:build !windows

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/async"
	"github.com/chowk-chat/chowk/internal/frame"
)

// outcome is what the answer said about a message.
type outcome byte

const (
	noAnswer outcome = iota // no answer
	acked                   // it is stored
	refused                 // it is certainly not stored
	unknown                 // it may be stored
)

// message is a message that was sent.
type message struct {
	id      chat.ID
	due     time.Time
	took    time.Duration // until its answer, from when it was due
	outcome outcome
	code    string
}

// sender is a socket that sends.
type sender struct {
	user    chat.UserID
	channel chat.ID
	conn    net.Conn
	reading sync.WaitGroup
	wait    atomic.Int64 // the server asked not to send before, in Unix nanoseconds

	mu       sync.Mutex // guards what follows; held while writing, so that answers are in the same order
	sent     []message
	next     int           // the first message without an answer
	answered chan struct{} // receives a token with each answer, for sendUnpaced
	ended    error
}

// unknownText is in an answer that leaves the outcome of a change unknown.
var unknownText = []byte(chat.ErrOutcomeUnknown.Message)

// dial opens a socket.
func dial(ctx context.Context, url string, user chat.UserID, channel chat.ID) (*sender, error) {
	address := strings.TrimPrefix(url, "http://")
	nc, err := (&net.Dialer{Timeout: patience, KeepAlive: -1}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	t := &sender{user: user, channel: channel, conn: nc, answered: make(chan struct{}, 1)}
	_, err = fmt.Fprintf(nc, "GET /api/v1/ws/%s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: %s\r\n\r\n", user, address, chat.Protocol)
	if err != nil {
		return nil, errors.Join(err, nc.Close())
	}
	r := bufio.NewReaderSize(nc, 4<<10)
	resp, err := http.ReadResponse(r, &http.Request{Method: http.MethodGet})
	if err == nil {
		err = resp.Body.Close()
	}
	if err == nil && resp.StatusCode != http.StatusSwitchingProtocols {
		err = fmt.Errorf("the server answered the handshake with %s", resp.Status)
	}
	if err != nil {
		return nil, errors.Join(err, nc.Close())
	}
	t.reading.Go(func() { t.read(r) }) // ends with the connection
	return t, nil
}

func (t *sender) close() {
	_ = t.conn.Close()
	t.reading.Wait()
}

var serverLimits = frame.Limits{Frame: 16 << 20, Message: 16 << 20, Client: true}

func (t *sender) read(r io.Reader) {
	p := frame.Parser{Limits: &serverLimits}
	buf := make([]byte, 16<<10)
	for {
		n, err := r.Read(buf)
		for b := buf[:n]; len(b) > 0 && err == nil; {
			used, m, bad := p.Next(b)
			b = b[used:]
			switch {
			case bad != nil || m.Opcode == frame.OpClose:
				err = errors.Join(fmt.Errorf("the socket was closed with %d", m.Code), bad)
			case m.Opcode == frame.OpText:
				t.handle(m.Payload)
			}
		}
		if err != nil {
			t.mu.Lock()
			t.ended = err
			t.mu.Unlock()
			close(t.answered)
			return
		}
	}
}

var (
	ackPrefix   = []byte(`{"type":"ack"`)
	errorPrefix = []byte(`{"type":"error"`)
)

// handle handles an answer; other frames are ignored.
func (t *sender) handle(b []byte) {
	now := time.Now()
	isAck := bytes.HasPrefix(b, ackPrefix)
	if !isAck && !bytes.HasPrefix(b, errorPrefix) {
		return
	}
	told, code := acked, ""
	if !isAck {
		var e struct {
			Code  string `json:"code"`
			After int64  `json:"retry_after_ms"`
		}
		_ = json.Unmarshal(b, &e) // sent by our own server
		told, code = refused, e.Code
		switch {
		case bytes.Contains(b, unknownText):
			told = unknown
		case e.Code == string(chat.Internal):
			told = unknown
		}
		t.wait.Store(now.Add(time.Duration(e.After) * time.Millisecond).UnixNano())
	}
	t.mu.Lock()
	if t.next < len(t.sent) {
		m := &t.sent[t.next]
		m.took, m.outcome, m.code = now.Sub(m.due), told, code
		t.next++
	}
	t.mu.Unlock()
	select {
	case t.answered <- struct{}{}:
	default:
	}
}

// send writes a message that was due at a time, and returns how many wait for answers.
func (t *sender) send(due time.Time) (waiting int, err error) {
	id := chat.NewID()
	b := make([]byte, 0, 256)
	b = append(b, `{"type":"new_message","data":{"content":"`...)
	b = append(b, filler...)
	b = append(b, `","client_id":"`...)
	b = append(b, id.String()...)
	b = append(b, `","channel_id":"`...)
	b = append(b, t.channel.String()...)
	b = append(b, `"}}`...)
	k := rand.Uint32()
	b = frame.AppendMasked(nil, frame.OpText, b, [4]byte{byte(k), byte(k >> 8), byte(k >> 16), byte(k >> 24)})
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended != nil {
		return 0, t.ended
	}
	t.sent = append(t.sent, message{id: id, due: due})
	_ = t.conn.SetWriteDeadline(time.Now().Add(patience))
	if _, err := t.conn.Write(b); err != nil {
		return 0, err
	}
	return len(t.sent) - t.next, nil
}

var filler = strings.Repeat("chowk is a place where roads meet. ", 3)[:100]

// senderGroup is many senders, two in each channel.
type senderGroup struct {
	all   []*sender
	began time.Time
}

const perChannel = 2

// newSenderGroup creates users, channels and sockets.
func newSenderGroup(ctx context.Context, url, name string, n int) (*senderGroup, error) {
	c := &senderGroup{all: make([]*sender, n)}
	user := func(i int) chat.UserID { return chat.UserID(name + "-" + strconv.Itoa(i)) }
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for first := 0; first < n; first += perChannel {
		g.Go(func() error { // ends when its sockets are open
			var members []chat.UserID
			for i := first; i < min(first+perChannel, n); i++ {
				if err := rest(ctx, url, user(i), http.MethodGet, "/channels/", nil, nil); err != nil { // creates the user
					return err
				}
				members = append(members, user(i))
			}
			channel, err := makeChannel(ctx, url, members)
			if err != nil {
				return err
			}
			for i := range members {
				t, err := dial(ctx, url, members[i], channel)
				if err != nil {
					return err
				}
				c.all[first+i] = t
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// makeChannel creates a channel of these users; the first one owns it.
func makeChannel(ctx context.Context, url string, members []chat.UserID) (chat.ID, error) {
	var made chat.Channel
	rest1 := members[1:]
	first := rest1[:min(len(rest1), chat.MaxAddMembers)]
	err := rest(ctx, url, members[0], http.MethodPost, "/channels/",
		map[string]any{"name": "bench", "is_private": true, "member_ids": append([]chat.UserID{}, first...)}, &made)
	for more := rest1[len(first):]; len(more) > 0 && err == nil; {
		n := min(len(more), chat.MaxAddMembers)
		err = rest(ctx, url, members[0], http.MethodPost, "/channels/"+made.ID.String()+"/members",
			map[string]any{"user_ids": more[:n]}, nil)
		more = more[n:]
	}
	return made.ID, err
}

func (c *senderGroup) close() {
	for _, t := range c.all {
		if t != nil {
			t.close()
		}
	}
}

// sendUnpaced lets each sender send as soon as its last message is answered, until ctx
// ends, and then waits for the last answers.
func (c *senderGroup) sendUnpaced(ctx context.Context) error {
	var all sync.WaitGroup
	errs := make(chan error, len(c.all))
	c.began = time.Now()
	for _, t := range c.all {
		all.Go(func() { errs <- t.sendUnpaced(ctx) }) // ends with ctx
	}
	all.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *sender) sendUnpaced(ctx context.Context) error {
	for ctx.Err() == nil {
		if !async.Sleep(ctx, time.Until(time.Unix(0, t.wait.Load()))) {
			break
		}
		if _, err := t.send(time.Now()); err != nil {
			return err
		}
		for t.waiting() > 0 {
			select {
			case _, ok := <-t.answered:
				if !ok {
					return t.ended
				}
			case <-time.After(patience):
				return errors.New("a message was not answered")
			}
		}
	}
	return nil
}

func (t *sender) waiting() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.sent) - t.next
}

// sendAt sends at a rate per second in total, at random times and regardless of
// answers, until ctx ends.
func (c *senderGroup) sendAt(ctx context.Context, perSecond float64) error {
	g, ctx := errgroup.WithContext(ctx)
	c.began = time.Now()
	gap := float64(time.Second) * float64(len(c.all)) / perSecond
	for _, t := range c.all {
		g.Go(func() error { // ends with ctx
			due := c.began.Add(time.Duration(rand.Float64() * gap))
			for async.Sleep(ctx, time.Until(due)) {
				if _, err := t.send(due); err != nil {
					return err
				}
				due = due.Add(time.Duration(rand.ExpFloat64() * gap))
			}
			return nil
		})
	}
	return g.Wait()
}

// settle waits until all messages are answered.
func (c *senderGroup) settle(ctx context.Context) error {
	for until := time.Now().Add(patience); time.Now().Before(until); {
		left := 0
		for _, t := range c.all {
			left += t.waiting()
		}
		if left == 0 {
			return nil
		}
		if !async.Sleep(ctx, 50*time.Millisecond) {
			break
		}
	}
	return errors.New("some messages were not answered")
}

// messages returns those sent since a moment.
func (c *senderGroup) messages(since time.Time) (all []message) {
	for _, t := range c.all {
		t.mu.Lock()
		for i := range t.sent {
			if !t.sent[i].due.Before(since) {
				all = append(all, t.sent[i])
			}
		}
		t.mu.Unlock()
	}
	return all
}

// rest calls the REST API.
func rest(ctx context.Context, url string, user chat.UserID, method, path string, body, into any) error {
	var payload io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		payload = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, url+"/api/v1"+path, payload)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+string(user))
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("the server answered %s %s with %s: %s", method, path, resp.Status, b)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(b, into)
}
