package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/async"
)

// Client is one user's connection to a chowk server. Its methods may be called from
// any goroutine. Create one with Dial; Close ends it.
type Client struct {
	options Options
	cursors cursors
	events  *queue
	outbox  chan struct{} // holds a token for each request in progress
	ids     atomic.Uint64

	ctx  context.Context // ends with Close, or with a permanent refusal
	stop context.CancelCauseFunc
	done chan struct{} // closed when no goroutine is left

	waiting atomic.Int64 // requests that wait for their answer
	kick    async.Signal // holds a token when one was added

	mu      sync.Mutex    // guards what follows
	conn    *conn         // nil while disconnected
	changed chan struct{} // closed when conn changes
	hello   *chat.ConnectionFrame
	watch   *chat.WatchRequest // requested again on each socket
	refused string             // the last token that the server refused
	last    error              // the last reason for being disconnected
}

// Dial connects. It retries until it is connected, the server refuses permanently (a
// *chat.Error, for example about the credential or the URL), or ctx ends. The client
// then stays connected until Close, even after ctx ends.
func Dial(ctx context.Context, o Options) (*Client, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Client{
		options: o, events: newQueue(o.Buffer), outbox: make(chan struct{}, o.Outbox),
		done: make(chan struct{}), kick: async.NewSignal(), changed: make(chan struct{}),
	}
	c.cursors.m = make(map[chat.ID]*cursor)
	if o.Resume != nil {
		c.cursors.epoch = o.Resume.Epoch
		for id, seq := range o.Resume.Channels {
			c.cursors.m[id] = &cursor{seq: seq, returned: seq}
		}
	}
	c.ctx, c.stop = context.WithCancelCause(context.Background())
	go c.run() // ends when stop is called: by Close, or after a permanent refusal
	if _, err := c.connected(ctx); err != nil {
		c.stop(ErrClosed)
		<-c.done
		if ctx.Err() != nil && c.last != nil {
			err = fmt.Errorf("%w; last attempt: %w", err, c.last)
		}
		return nil, err
	}
	return c, nil
}

// Close closes the connection and waits for the client's goroutines. Requests in
// progress end with ErrClosed, inside an UnknownError if they may have been executed.
func (c *Client) Close() error {
	c.stop(ErrClosed)
	<-c.done
	return nil
}

// Next returns the next event. It returns each entry of a channel's log once, in
// order. It returns an error when ctx ends, ErrClosed after Close, and the *chat.Error
// of a permanent refusal.
func (c *Client) Next(ctx context.Context) (Event, error) {
	for {
		if err := context.Cause(c.ctx); errors.Is(err, ErrClosed) {
			return Event{}, err
		}
		if ev, half, ok := c.events.take(); ok {
			if ev.Seq > 0 {
				c.cursors.markReturned(&ev)
			}
			if half && c.cursors.anyNeed() {
				c.wakeWriter()
			}
			return ev, nil
		}
		select {
		case <-c.events.ready:
		case <-ctx.Done():
			return Event{}, ctx.Err()
		case <-c.ctx.Done():
			if err := context.Cause(c.ctx); c.empty() {
				return Event{}, err
			}
		}
	}
}

func (c *Client) empty() bool {
	c.events.mu.Lock()
	defer c.events.mu.Unlock()
	return len(c.events.items) == 0
}

// Cursors returns, for each channel, the seq of the last entry that Next returned. Use
// it as Options.Resume of a later client.
func (c *Client) Cursors() Cursors { return c.cursors.snapshot() }

// URL returns the URL of the server.
func (c *Client) URL() string { return c.options.URL }

// Hello returns the first frame of the latest socket: the authenticated user, what an
// acknowledgement means (durability), and the user's channels.
func (c *Client) Hello() chat.ConnectionFrame {
	c.mu.Lock()
	defer c.mu.Unlock()
	return *c.hello
}

// connected returns the connection, and waits for one if there is none.
func (c *Client) connected(ctx context.Context) (*conn, error) {
	for {
		c.mu.Lock()
		cn, changed := c.conn, c.changed
		c.mu.Unlock()
		if cn != nil {
			return cn, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-c.ctx.Done():
			return nil, context.Cause(c.ctx)
		}
	}
}

func (c *Client) setConn(cn *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = cn
	if cn != nil {
		c.hello = cn.hello
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *Client) wakeWriter() {
	c.mu.Lock()
	cn := c.conn
	c.mu.Unlock()
	if cn != nil {
		cn.wake.Notify()
	}
}

// run keeps a socket open.
func (c *Client) run() {
	defer close(c.done)
	for attempt := 0; c.ctx.Err() == nil; attempt++ {
		opened := time.Now()
		next, err := c.once()
		if c.ctx.Err() != nil {
			return
		}
		c.mu.Lock()
		c.last = err
		c.mu.Unlock()
		if c.final(err) {
			c.stop(err)
			return
		}
		if time.Since(opened) > stableAfter {
			attempt = 0
		}
		if next < 0 {
			next = c.options.Backoff.delay(attempt)
		}
		var refused *handshakeError
		if errors.As(err, &refused) {
			next += refused.retryAfter
		}
		if f := c.options.Trace.Disconnected; f != nil {
			f(err, next)
		}
		async.Sleep(c.ctx, next)
	}
}

// once opens a socket and serves it until it ends. next is the time until the next
// attempt, negative if the server did not specify one.
func (c *Client) once() (next time.Duration, err error) {
	cn, err := c.dial(c.ctx)
	if err != nil {
		return -1, err
	}
	err = cn.serve()
	return cn.next(), err
}

// final reports whether err is permanent, so that retrying makes no sense.
func (c *Client) final(err error) bool {
	var refused *handshakeError
	if errors.As(err, &refused) {
		switch {
		case refused.refusal.Code == chat.Unauthorized:
			return false // the source may have another token: see token
		case refused.status == http.StatusForbidden:
			return true
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.hello == nil && refused.status/100 == 4 && refused.status != http.StatusTooManyRequests &&
			refused.status != http.StatusRequestTimeout
	}
	var refusal *chat.Error
	return errors.As(err, &refusal) && (refusal.Code == chat.Unauthorized || refusal.Code == chat.Forbidden)
}

// token returns a token from the source, or an error if the server has refused it.
func (c *Client) token(ctx context.Context) (string, error) {
	token, err := c.options.Token(ctx)
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refused != "" && token == c.refused {
		return "", chat.Errorf(chat.Unauthorized, "The server refused the token, and Options.Token returned no other")
	}
	return token, nil
}

func (c *Client) refuseToken(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused = token
}
