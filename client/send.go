package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/chowk-chat/chowk/chat"
)

// Message is what to send. ChannelID and Content are needed.
type Message struct {
	ChannelID chat.ID
	Content   string
	// ClientID makes the send idempotent; Send makes one when it is empty. To try
	// again what ended in an UnknownError, give its ClientID and the same content.
	ClientID        string
	Type            chat.MessageType
	ParentMessageID *chat.ID
	Mentions        []chat.UserID
}

// Sent is the server's word that a message is stored. Duplicate says that an
// earlier attempt had stored it.
type Sent struct {
	MessageID chat.ID
	Seq       chat.Seq
	CreatedAt chat.Time
	Duplicate bool
}

// Send sends a message and waits until the server has stored it, across any number
// of connections. The error is
//   - a *chat.Error when the server refused it: nothing was stored;
//   - an *UnknownError when ctx ended, or the client, while it may have been stored;
//   - the context's error, or ErrClosed, when it certainly was not.
//
// Messages that one goroutine sends one after the other are stored in that order.
func (c *Client) Send(ctx context.Context, m Message) (Sent, error) {
	if m.ClientID == "" {
		m.ClientID = chat.NewID().String()
	}
	var reply chat.SendReply
	err := c.request(ctx, "new_message", chat.SendRequest{
		ChannelID: m.ChannelID, Content: m.Content, ClientID: m.ClientID, MessageType: m.Type,
		ParentMessageID: m.ParentMessageID, MentionedUserIDs: m.Mentions,
	}, &reply)
	var unknown *UnknownError
	if errors.As(err, &unknown) {
		unknown.ClientID = m.ClientID
	}
	return Sent{reply.MessageID, reply.Seq, reply.CreatedAt, reply.Duplicate}, err
}

// What follows waits as Send does and fails as Send does. Trying again is safe: the
// second attempt finds nothing left to do. The seq that it returns is the change's
// place in the channel's log, 0 when there was nothing to do (any more).

// Edit gives a message of the user's new content.
func (c *Client) Edit(ctx context.Context, channel, message chat.ID, content string) (chat.Seq, error) {
	return c.change(ctx, "edit_message", chat.EditRequest{ChannelID: channel, MessageID: message, Content: content})
}

// Delete deletes a message.
func (c *Client) Delete(ctx context.Context, channel, message chat.ID) (chat.Seq, error) {
	seq, err := c.change(ctx, "delete_message", chat.MessageRequest{ChannelID: channel, MessageID: message})
	var unknown *UnknownError
	if refused := asRefusal(err); errors.As(err, &unknown) && refused != nil && refused.Code == chat.NotFound {
		return 0, nil // the attempt whose answer was lost had deleted it
	}
	return seq, err
}

// React puts an emoji on a message.
func (c *Client) React(ctx context.Context, channel, message chat.ID, emoji string) (chat.Seq, error) {
	return c.change(ctx, "message_reaction", chat.ReactionRequest{ChannelID: channel, MessageID: message, Emoji: emoji})
}

// Unreact takes the user's emoji off a message.
func (c *Client) Unreact(ctx context.Context, channel, message chat.ID, emoji string) (chat.Seq, error) {
	return c.change(ctx, "remove_reaction", chat.ReactionRequest{ChannelID: channel, MessageID: message, Emoji: emoji})
}

func (c *Client) change(ctx context.Context, kind string, data any) (chat.Seq, error) {
	var reply chat.StatusReply
	err := c.request(ctx, kind, data, &reply)
	return reply.Seq, err
}

// MarkRead says that the user has read the channel up to seq; 0 means what Next
// has returned of it. A read cursor never moves backwards: LastReadSeq of the reply
// may be beyond seq.
func (c *Client) MarkRead(ctx context.Context, channel chat.ID, seq chat.Seq) (chat.ReadReply, error) {
	if seq == 0 {
		seq = c.cursors.snapshot().Channels[channel]
	}
	var reply chat.ReadReply
	err := c.request(ctx, "read_receipt", chat.ReadRequest{ChannelID: channel, Seq: seq}, &reply)
	return reply, err
}

// Typing tells the channel that the user types, or stopped. It is sent if there is
// a connection at this moment, and not waited for.
func (c *Client) Typing(channel chat.ID, isTyping bool) {
	c.mu.Lock()
	cn := c.conn
	c.mu.Unlock()
	if cn == nil {
		return
	}
	select {
	case cn.out <- envelope("typing", "", chat.TypingRequest{ChannelID: channel, IsTyping: &isTyping}):
	default: // it will be told soon enough that he types
	}
}

// Leave stops the events of a channel until Join. The membership stays.
func (c *Client) Leave(ctx context.Context, channel chat.ID) error {
	c.cursors.unsubscribe(channel) // first, so that a new connection leaves as well
	err := c.request(ctx, "leave_channel", chat.ChannelRequest{ChannelID: channel}, nil)
	return err
}

// Join undoes Leave: the events after the seq that it returns follow. All channels
// of the user are joined without asking.
func (c *Client) Join(ctx context.Context, channel chat.ID) (chat.Seq, error) {
	c.cursors.unmute(channel)
	var reply chat.JoinReply
	err := c.request(ctx, "join_channel", chat.ChannelRequest{ChannelID: channel}, &reply)
	if err != nil || reply.LastSeq == nil {
		return 0, err
	}
	c.cursors.joined(channel, *reply.LastSeq)
	return *reply.LastSeq, nil
}

// Watch asks for the presence of these users, at most 500, instead of those it
// asked for before, and returns who of them is online. Only those who share a
// channel with the user are told of. It is asked again on every new connection.
func (c *Client) Watch(ctx context.Context, users []chat.UserID) (online []chat.UserID, err error) {
	watch := &chat.WatchRequest{UserIDs: users}
	c.mu.Lock()
	c.watch = watch
	c.mu.Unlock()
	var reply chat.WatchReply
	err = c.request(ctx, "subscribe_presence", watch, &reply)
	return reply.Online, err
}

func asRefusal(err error) *chat.Error {
	var e *chat.Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// request asks until there is an answer for good.
func (c *Client) request(ctx context.Context, kind string, data, reply any) error {
	select {
	case c.outbox <- struct{}{}:
		defer func() { <-c.outbox }()
	case <-ctx.Done():
		return ctx.Err()
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	}
	response, maybe, err := c.persist(ctx, kind, data)
	switch {
	case err != nil && maybe:
		// After an attempt whose outcome is not known, a refusal says nothing about
		// that attempt: the membership may have ended in between.
		return &UnknownError{Err: err}
	case err != nil:
		return err
	case reply == nil:
		return nil
	}
	if err := json.Unmarshal(response, reply); err != nil {
		return fmt.Errorf("read the answer to %s: %w", kind, err)
	}
	return nil
}

// persist makes attempts. With an error, maybe says whether one of them may have
// been carried out.
func (c *Client) persist(ctx context.Context, kind string, data any) (response jsontext.Value, maybe bool, err error) {
	for attempt, faults := 0, 0; ; attempt++ {
		a, handed, err := c.attempt(ctx, kind, data)
		switch {
		case err == nil && a.err == nil:
			return a.response, false, nil
		case err == nil && !passes(a.err.Code):
			return nil, maybe, a.err
		case err == nil:
			handed = a.err.Code != chat.RateLimited // which is looked at before anything else
		}
		maybe = maybe || handed
		if err != nil && !errors.Is(err, errLost) {
			return nil, maybe, err
		}
		if a.err != nil && a.err.Code == chat.Internal {
			if faults++; faults == maxInternal {
				return nil, maybe, a.err
			}
		}
		if err := c.pauseBefore(ctx, attempt, a.err); err != nil {
			return nil, maybe, err
		}
	}
}

// pauseBefore waits before another attempt, as the server asked for and a bit more,
// so that those whom it refused do not come back in step. After a lost connection
// there is nothing to wait for but the next one.
func (c *Client) pauseBefore(ctx context.Context, attempt int, refused *chat.Error) error {
	if refused == nil {
		return nil
	}
	t := time.NewTimer(refused.RetryAfter + Backoff{Base: 50 * time.Millisecond, Cap: 5 * time.Second}.delay(attempt))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	}
}

var errNoAnswer = errors.New("a request was not answered in time")

// attempt asks once. handed says whether the request left for the server.
func (c *Client) attempt(ctx context.Context, kind string, data any) (a answer, handed bool, err error) {
	cn, err := c.connected(ctx)
	if err != nil {
		return answer{}, false, err
	}
	id, got := cn.register()
	defer cn.forget(id)
	c.waiting.Add(1)
	defer c.waiting.Add(-1)
	c.kick.Notify()
	select {
	case cn.out <- envelope(kind, id, data):
	case <-cn.done:
		return answer{}, false, errLost
	case <-ctx.Done():
		return answer{}, false, ctx.Err()
	}
	late := time.NewTimer(answerTimeout)
	defer late.Stop()
	select {
	case a := <-got:
		return a, true, nil
	case <-cn.done:
		select {
		case a := <-got: // it came just before the end
			return a, true, nil
		default:
			return answer{}, true, c.lost()
		}
	case <-late.C:
		cn.fail(errNoAnswer)
		return answer{}, true, errLost
	case <-ctx.Done():
		return answer{}, true, ctx.Err()
	}
}

// lost tells a connection that ended from a client that did.
func (c *Client) lost() error {
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	return errLost
}
