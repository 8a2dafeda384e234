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

// Message is a message to send. ChannelID and Content are required.
type Message struct {
	ChannelID chat.ID
	Content   string
	// ClientID makes the send idempotent; Send creates one if it is empty. To repeat a
	// send that ended in an UnknownError, use its ClientID and the same content.
	ClientID        string
	Type            chat.MessageType
	ParentMessageID *chat.ID
	Mentions        []chat.UserID
}

// Sent confirms that a message is stored. Duplicate reports that an earlier attempt
// stored it.
type Sent struct {
	MessageID chat.ID
	Seq       chat.Seq
	CreatedAt chat.Time
	Duplicate bool
}

// Send sends a message and waits until the server has stored it, across any number of
// connections. The error is
//   - a *chat.Error if the server refused the message: nothing is stored;
//   - an *UnknownError if ctx ended, or the client was closed, and it may be stored;
//   - the context's error, or ErrClosed, if it is certainly not stored.
//
// Messages that one goroutine sends one after the other are stored in that order.
func (c *Client) Send(ctx context.Context, m Message) (Sent, error) {
	if m.ClientID == "" {
		m.ClientID = chat.NewID().String()
	}
	var reply chat.SendReply
	err := c.request(ctx, "new_message", chat.SendRequest{
		ChannelID: m.ChannelID, MessageBody: chat.MessageBody{
			Content: m.Content, ClientID: m.ClientID, MessageType: m.Type,
			ParentMessageID: m.ParentMessageID, MentionedUserIDs: m.Mentions,
		},
	}, &reply)
	var unknown *UnknownError
	if errors.As(err, &unknown) {
		unknown.ClientID = m.ClientID
	}
	return Sent{reply.MessageID, reply.Seq, reply.CreatedAt, reply.Duplicate}, err
}

// The following methods wait and fail like Send. Repeating them is safe: the second
// attempt changes nothing. They return the seq of the change in the channel's log, 0 if
// nothing had to be changed.

// Edit replaces the content of a message of the user.
func (c *Client) Edit(ctx context.Context, channel, message chat.ID, content string) (chat.Seq, error) {
	return c.change(ctx, "edit_message", chat.EditRequest{ChannelID: channel, MessageID: message, Content: content})
}

// Delete deletes a message.
func (c *Client) Delete(ctx context.Context, channel, message chat.ID) (chat.Seq, error) {
	seq, err := c.change(ctx, "delete_message", chat.MessageRequest{ChannelID: channel, MessageID: message})
	var unknown *UnknownError
	if refused := asRefusal(err); errors.As(err, &unknown) && refused != nil && refused.Code == chat.NotFound {
		return 0, nil // the attempt whose answer was lost deleted it
	}
	return seq, err
}

// React adds the user's emoji to a message.
func (c *Client) React(ctx context.Context, channel, message chat.ID, emoji string) (chat.Seq, error) {
	return c.change(ctx, "message_reaction", chat.ReactionRequest{ChannelID: channel, MessageID: message, Emoji: emoji})
}

// Unreact removes the user's emoji from a message.
func (c *Client) Unreact(ctx context.Context, channel, message chat.ID, emoji string) (chat.Seq, error) {
	return c.change(ctx, "remove_reaction", chat.ReactionRequest{ChannelID: channel, MessageID: message, Emoji: emoji})
}

// Pin pins a message. The channel's owner and admins may.
func (c *Client) Pin(ctx context.Context, channel, message chat.ID) (chat.Seq, error) {
	return c.change(ctx, "pin_message", chat.MessageRequest{ChannelID: channel, MessageID: message})
}

// Unpin unpins a message.
func (c *Client) Unpin(ctx context.Context, channel, message chat.ID) (chat.Seq, error) {
	return c.change(ctx, "unpin_message", chat.MessageRequest{ChannelID: channel, MessageID: message})
}

func (c *Client) change(ctx context.Context, kind string, data any) (chat.Seq, error) {
	var reply chat.StatusReply
	err := c.request(ctx, kind, data, &reply)
	return reply.Seq, err
}

// MarkRead marks the channel as read up to seq; 0 means the last entry that Next
// returned. A read cursor never moves backwards: LastReadSeq of the reply may be beyond
// seq.
func (c *Client) MarkRead(ctx context.Context, channel chat.ID, seq chat.Seq) (chat.ReadReply, error) {
	if seq == 0 {
		seq = c.cursors.snapshot().Channels[channel]
	}
	var reply chat.ReadReply
	err := c.request(ctx, "read_receipt", chat.ReadRequest{ChannelID: channel, Seq: seq}, &reply)
	return reply, err
}

// Typing notifies the channel that the user is typing or has stopped. It sends only if
// there is a connection now, and does not wait.
func (c *Client) Typing(channel chat.ID, isTyping bool) {
	c.mu.Lock()
	cn := c.conn
	c.mu.Unlock()
	if cn == nil {
		return
	}
	select {
	case cn.out <- envelope("typing", "", chat.TypingRequest{ChannelID: channel, IsTyping: &isTyping}):
	default: // the next call will send it
	}
}

// Leave stops the events of a channel until Join. The user stays a member.
func (c *Client) Leave(ctx context.Context, channel chat.ID) error {
	c.cursors.unsubscribe(channel) // first, so that a new connection leaves it as well
	err := c.request(ctx, "leave_channel", chat.ChannelRequest{ChannelID: channel}, nil)
	return err
}

// Join reverses Leave: the events after the returned seq follow. The server joins all
// channels of the user automatically.
func (c *Client) Join(ctx context.Context, channel chat.ID) (chat.Seq, error) {
	c.cursors.unmute(channel)
	var reply chat.JoinReply
	err := c.request(ctx, "join_channel", chat.ChannelRequest{ChannelID: channel}, &reply)
	if err != nil {
		return 0, err
	}
	c.cursors.joined(channel, reply.LastSeq)
	return reply.LastSeq, nil
}

// Watch subscribes to the presence of these users, at most 500, in place of those
// watched before, and returns the ones who are online. It covers only users who share a
// channel with this user. The client repeats it on every new connection.
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

// request sends a request until it gets a final answer.
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
		// After an attempt with an unknown outcome, a refusal says nothing about that
		// attempt: the membership may have ended in between.
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

// persist repeats attempts. With an error, maybe reports whether one of them may have
// been executed.
func (c *Client) persist(ctx context.Context, kind string, data any) (response jsontext.Value, maybe bool, err error) {
	for attempt, faults := 0, 0; ; attempt++ {
		a, sent, err := c.attempt(ctx, kind, data)
		switch {
		case err == nil && a.err == nil:
			return a.response, false, nil
		case err == nil && !isTemporary(a.err.Code):
			return nil, maybe, a.err
		case err == nil:
			sent = a.err.Code != chat.RateLimited // this limit is checked before anything else
		}
		maybe = maybe || sent
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

// pauseBefore waits before another attempt: as long as the server asked for and a
// random time more, so that refused clients do not retry at the same moments. After a
// lost connection, attempt waits for the next one.
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

var errNoAnswer = errors.New("the server did not answer a request in time")

// attempt sends the request once. sent reports whether it reached a connection.
func (c *Client) attempt(ctx context.Context, kind string, data any) (a answer, sent bool, err error) {
	cn, err := c.connected(ctx)
	if err != nil {
		return answer{}, false, err
	}
	id, got := cn.register()
	defer cn.unregister(id)
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
		case a := <-got: // it arrived just before the end
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

// lost returns why the connection ended: the end of the client, or errLost.
func (c *Client) lost() error {
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	return errLost
}
