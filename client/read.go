package client

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json"

	"github.com/chowk-chat/chowk/chat"
)

// read handles frames until the socket ends.
func (cn *conn) read() {
	for {
		_, b, err := cn.ws.Read(cn.client.ctx)
		if err != nil {
			cn.fail(cn.closeReason(err))
			return
		}
		cn.received()
		var f incoming
		if err := json.Unmarshal(b, &f); err != nil {
			cn.fail(fmt.Errorf("read a frame: %w", err))
			return
		}
		cn.handle(&f)
	}
}

// closeReason returns the error for the end of a socket.
func (cn *conn) closeReason(err error) error {
	var closed websocket.CloseError
	if !errors.As(err, &closed) {
		return fmt.Errorf("read: %w", err)
	}
	switch uint16(closed.Code) {
	case chat.CloseTokenExpired:
		cn.client.refuseToken(cn.token)
	case chat.CloseUserDisabled:
		return chat.Errorf(chat.Forbidden, "The user is disabled")
	}
	return closed
}

func (cn *conn) handle(f *incoming) {
	switch f.Type {
	case chat.EventAck:
		cn.answer(f.ID, answer{response: f.Response})
	case chat.EventError:
		cn.refusal(f)
	case chat.EventNotice:
		cn.notice(f)
	case chat.EventPong, chat.EventConnection:
	default:
		f.Received()
		cn.event(&f.Event)
	}
}

// answer passes an answer to the request that waits for it.
func (cn *conn) answer(id string, a answer) {
	cn.mu.Lock()
	waiter := cn.pending[id]
	delete(cn.pending, id)
	asked := cn.resumes[id]
	delete(cn.resumes, id)
	if a.err != nil && asked != nil {
		wait := max(a.err.RetryAfter, time.Second)
		cn.notBefore = time.Now().Add(wait)
		cn.wakeAfter(wait + time.Millisecond)
	}
	cn.mu.Unlock()
	switch {
	case waiter != nil:
		waiter <- a // it has room for one answer
	case asked == nil:
	case a.err == nil || isTemporary(a.err.Code):
		cn.client.cursors.answered(asked, a.err != nil)
	default:
		for channel := range asked {
			cn.resync(channel)
		}
	}
}

func (cn *conn) refusal(f *incoming) {
	err := &chat.Error{
		Code: chat.Code(f.Code), Message: f.Text, Field: f.Field,
		RetryAfter: time.Duration(f.RetryAfterMS) * time.Millisecond,
	}
	switch {
	case f.ID != "":
		cn.answer(f.ID, answer{err: err})
	case f.About == "resume":
		channels := f.ChannelIDs
		if len(channels) == 0 && !f.ChannelID.IsZero() {
			channels = []chat.ID{f.ChannelID}
		}
		for _, id := range channels {
			if err.Code == chat.Resync {
				cn.resync(id)
			} else {
				cn.denied(id, f.At)
			}
		}
	}
}

// denied delivers the end of a membership to the application.
func (cn *conn) denied(channel chat.ID, at chat.Time) {
	caughtUp, isNew := cn.client.cursors.deny(channel)
	if isNew {
		cn.client.events.put(leftEvent(channel, at), true)
	}
	if caughtUp {
		cn.caughtUp()
	}
}

// resync delivers a Resync of a channel to the application.
func (cn *conn) resync(channel chat.ID) {
	seq, caughtUp, ok := cn.client.cursors.lose(channel)
	if ok {
		cn.client.events.put(resyncEvent(channel, seq, chat.TimeOf(time.Now()), ReasonHistory), true)
	}
	if caughtUp {
		cn.caughtUp()
	}
}

func (cn *conn) notice(f *incoming) {
	if f.Code != string(chat.NoticeDraining) {
		return
	}
	cn.mu.Lock()
	defer cn.mu.Unlock()
	if cn.goAt.IsZero() {
		wait := time.Duration(f.ReconnectAfterMS) * time.Millisecond
		cn.goAt = time.Now().Add(wait)
		cn.wakeAfter(wait + time.Millisecond)
	}
}

func (cn *conn) event(ev *Event) {
	c := cn.client
	if f := c.options.Trace.Received; f != nil {
		f(*ev)
	}
	if ev.Seq == 0 {
		c.events.put(*ev, false)
		return
	}
	switch c.cursors.classify(ev) {
	case ask:
		cn.wake.Notify()
	case giveUp:
		cn.resync(ev.ChannelID)
	case deliver:
		if !cn.push(ev) {
			c.cursors.skipped(ev)
		} else if c.cursors.delivered(ev) {
			cn.caughtUp()
		}
	}
}

// push adds ev to the queue, and waits for room. It stops waiting while a request waits
// for its answer, which may come after this event on the wire: then the client
// requests the event again later.
func (cn *conn) push(ev *Event) bool {
	c := cn.client
	if c.events.put(*ev, false) {
		return true
	}
	cn.paused.Store(true)
	defer cn.paused.Store(false)
	defer cn.received()
	for c.waiting.Load() == 0 {
		select {
		case <-c.events.room:
		case <-c.kick:
		case <-cn.done:
			return false
		}
		if c.events.put(*ev, false) {
			return true
		}
	}
	return false
}

// register returns an id for a request, and the channel for its answer.
func (cn *conn) register() (id string, got <-chan answer) {
	c := make(chan answer, 1)
	id = "c-" + strconv.FormatUint(cn.client.ids.Add(1), 10)
	cn.mu.Lock()
	defer cn.mu.Unlock()
	cn.pending[id] = c
	return id, c
}

func (cn *conn) unregister(id string) {
	cn.mu.Lock()
	defer cn.mu.Unlock()
	delete(cn.pending, id)
}
