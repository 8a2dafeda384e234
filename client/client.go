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

// Client is one user's connection to a chowk server. Its methods may be called
// from any goroutine. Make one with Dial; Close ends it.
type Client struct {
	options Options
	cursors cursors
	events  *queue
	outbox  chan struct{} // a token for each request under way
	ids     atomic.Uint64

	ctx  context.Context // ends with Close, or with a refusal for good
	stop context.CancelCauseFunc
	done chan struct{} // closed when no goroutine is left

	waiting atomic.Int64 // requests whose answer is awaited
	kick    async.Signal // holds a token when one was added

	mu      sync.Mutex    // guards what follows
	conn    *conn         // nil while there is none
	changed chan struct{} // closed when conn changes
	hello   *chat.ConnectionFrame
	watch   *chat.WatchRequest // asked for again on each socket
	refused string             // the token that was refused last
	last    error              // why there is no connection
}

// Dial connects. It tries until there is a connection, the server refuses for
// good (a *chat.Error: the credential, the address), or ctx ends; the client then
// stays connected until Close, whatever becomes of ctx.
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
			c.cursors.m[id] = &cursor{seq: seq, handed: seq}
		}
	}
	c.ctx, c.stop = context.WithCancelCause(context.Background())
	go c.run() // ends when stop is called: by Close, or by a refusal for good
	if _, err := c.connected(ctx); err != nil {
		c.stop(ErrClosed)
		<-c.done
		if ctx.Err() != nil && c.last != nil {
			err = fmt.Errorf("%w; the last attempt: %w", err, c.last)
		}
		return nil, err
	}
	return c, nil
}

// Close ends the connection and waits until nothing of the client is left. What
// was under way ends with ErrClosed, inside an UnknownError where it may have been
// done.
func (c *Client) Close() error {
	c.stop(ErrClosed)
	<-c.done
	return nil
}

// Next waits for the next event. Of each channel it returns every entry of the log
// once, in order. It fails when ctx ends, with ErrClosed after Close, and with
// the *chat.Error that ended the client for good.
func (c *Client) Next(ctx context.Context) (Event, error) {
	for {
		if err := context.Cause(c.ctx); errors.Is(err, ErrClosed) {
			return Event{}, err
		}
		if ev, half, ok := c.events.take(); ok {
			if ev.Seq > 0 {
				c.cursors.handedOut(&ev)
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

// Cursors tells how far each channel has come with what Next returned, for the
// Resume of a later client.
func (c *Client) Cursors() Cursors { return c.cursors.snapshot() }

// URL is where the server is.
func (c *Client) URL() string { return c.options.URL }

// Hello is the first frame of the latest socket: who the server takes the client
// for, what an ack means (durability), and the user's channels.
func (c *Client) Hello() chat.ConnectionFrame {
	c.mu.Lock()
	defer c.mu.Unlock()
	return *c.hello
}

// connected waits for a connection.
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

// run keeps one socket open.
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

// once opens a socket and serves it until it ends. next is when to try again, if
// the server said so, else negative.
func (c *Client) once() (next time.Duration, err error) {
	cn, err := c.dial(c.ctx)
	if err != nil {
		return -1, err
	}
	err = cn.serve()
	return cn.next(), err
}

// final says whether trying again makes no sense, and remembers a token that was
// refused.
func (c *Client) final(err error) bool {
	var refused *handshakeError
	if errors.As(err, &refused) {
		switch {
		case refused.refusal.Code == chat.Unauthorized:
			return false // until the source has no other: see token
		case refused.status == http.StatusForbidden:
			return true
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.hello == nil && refused.status/100 == 4 && refused.status != http.StatusTooManyRequests && refused.status != http.StatusRequestTimeout
	}
	var told *chat.Error
	return errors.As(err, &told) && (told.Code == chat.Unauthorized || told.Code == chat.Forbidden)
}

// token asks the source. One that was refused is not offered again.
func (c *Client) token(ctx context.Context) (string, error) {
	token, err := c.options.Token(ctx)
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refused != "" && token == c.refused {
		return "", chat.Errorf(chat.Unauthorized, "The server refused the token, and the source has no other")
	}
	return token, nil
}

func (c *Client) refuseToken(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused = token
}
