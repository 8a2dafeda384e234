package client_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/client"
)

// TestASendSurvivesItsSocket: it is sent again under the same client_id.
func TestASendSurvivesItsSocket(t *testing.T) {
	var ids sync.Map
	f := newFake(t,
		func(s *talk) { s.hello("e", 1); r, _ := s.hearOf("new_message"); ids.Store(r.Data.ClientID, 1) },
		func(s *talk) {
			s.hello("e", 1)
			r, _ := s.hearOf("new_message")
			ids.Store(r.Data.ClientID, 2)
			s.refuse(r, "rate_limited", 1)
			r, _ = s.hearOf("new_message")
			ids.Store(r.Data.ClientID, 3)
			s.ack(r, sent(7))
			s.linger()
		})
	c := dialFake(t, f)
	got, err := c.Send(within(t), client.Message{ChannelID: room, Content: "x"})
	if err != nil || got.Seq != 7 {
		t.Errorf("%+v, %v", got, err)
	}
	n := 0
	ids.Range(func(id, times any) bool {
		if parsed, err := chat.ParseID(id.(string)); err != nil || parsed.Version() != 7 {
			t.Errorf("client_id %v", id)
		}
		n++
		return true
	})
	if n != 1 {
		t.Errorf("%d client_ids for one message", n)
	}
}

// refusing answers every message with a code; retryMS is when it may be sent again.
func refusing(code string, retryMS int) func(s *talk) {
	return func(s *talk) {
		s.hello("e", 1)
		for {
			r, ok := s.hearOf("new_message")
			if !ok {
				return
			}
			s.refuse(r, code, retryMS)
		}
	}
}

func TestTheErrorOfASend(t *testing.T) {
	losing := func(s *talk) { s.hello("e", 1); s.hearOf("new_message") }
	for _, c := range []struct {
		name    string
		script  []func(s *talk)
		code    chat.Code // of the refusal inside
		unknown bool
	}{
		{"a refusal is final", []func(*talk){refusing("forbidden", 1)}, chat.Forbidden, false},
		{
			"a refusal after a lost answer proves nothing",
			[]func(*talk){losing, refusing("forbidden", 1)},
			chat.Forbidden,
			true,
		},
		{"the client gives up after several internal errors", []func(*talk){refusing("internal", 1)}, chat.Internal, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cl := dialFake(t, newFake(t, c.script...))
			_, err := cl.Send(within(t), client.Message{ChannelID: room, Content: "x", ClientID: "mine"})
			expectUnknown(t, err, c.unknown)
			if r := refusal(err); r == nil || r.Code != c.code {
				t.Errorf("got %v, want a refusal with %s", err, c.code)
			}
		})
	}
}

// expectUnknown checks whether an error says that the outcome is unknown.
func expectUnknown(t *testing.T, err error, want bool) {
	t.Helper()
	var unknown *client.UnknownError
	if errors.As(err, &unknown) != want || want && unknown.ClientID != "mine" {
		t.Errorf("got %v; the outcome should be unknown: %v", err, want)
	}
}

// deadline is a context that expires when the test says so.
type deadline struct {
	context.Context
	expired chan struct{}
}

func (d deadline) Done() <-chan struct{} { return d.expired }

func (d deadline) Err() error {
	select {
	case <-d.expired:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// TestTheErrorOfASendAtItsDeadline: a message that a server refused as too many was
// certainly not stored; any other that was sent may have been.
func TestTheErrorOfASendAtItsDeadline(t *testing.T) {
	for _, c := range []struct {
		name    string
		code    string // of the refusal, "" for no answer
		unknown bool
	}{
		{"no answer", "", true},
		{"rate limited", "rate_limited", false},
		{"unavailable", "unavailable", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			received := make(chan struct{})
			cl := dialFake(t, newFake(t, func(s *talk) {
				s.hello("e", 1)
				r, _ := s.hearOf("new_message")
				close(received)
				if c.code != "" {
					s.refuse(r, c.code, 3_600_000)
				}
				s.linger()
			}))
			d := deadline{t.Context(), make(chan struct{})}
			sent := make(chan error, 1)
			go func() { // ends at the deadline
				_, err := cl.Send(d, client.Message{ChannelID: room, Content: "x", ClientID: "mine"})
				sent <- err
			}()
			<-received
			if c.code != "" {
				untilWaiting(t, "client.(*Client).pauseBefore")
			}
			close(d.expired)
			err := <-sent
			expectUnknown(t, err, c.unknown)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want the deadline", err)
			}
		})
	}
}

// untilWaiting returns when a goroutine is in a function.
func untilWaiting(t *testing.T, function string) {
	t.Helper()
	for ctx := within(t); !strings.Contains(stacks(), function); time.Sleep(time.Millisecond) {
		if ctx.Err() != nil {
			t.Fatalf("nothing waits in %s", function)
		}
	}
}

// stacks returns the stacks of all goroutines.
func stacks() string {
	b := make([]byte, 1<<20)
	return string(b[:runtime.Stack(b, true)])
}

func TestADeletionWhoseAnswerWasLost(t *testing.T) {
	f := newFake(t,
		func(s *talk) { s.hello("e", 1); s.hearOf("delete_message") },
		func(s *talk) {
			s.hello("e", 1)
			r, _ := s.hearOf("delete_message")
			s.refuse(r, "not_found", 0)
			s.linger()
		})
	if seq, err := dialFake(t, f).Delete(within(t), room, chat.NewID()); err != nil || seq != 0 {
		t.Errorf("%d, %v", seq, err)
	}
}

// TestASenderThatConsumesDoesNotLockItselfUp: while its own answer is behind events
// for which there is no room, they pass, and are asked for again.
func TestASenderThatConsumesDoesNotLockItselfUp(t *testing.T) {
	f := newFake(t, func(s *talk) {
		s.hello("e", 0)
		for i := 1; i <= 100; i++ {
			s.say(message(i))
		}
		for {
			r, ok := s.hear()
			switch {
			case !ok:
				return
			case r.Type == "new_message":
				s.ack(r, sent(101))
			case r.Type == "resume":
				s.ack(r, `{"status":"resumed","channels":{}}`)
				for i := int(r.Data.Cursors[room]) + 1; i <= 100; i++ {
					s.say(message(i))
				}
			}
		}
	})
	c := dialFake(t, f, func(o *client.Options) { o.Buffer = 4 })
	for i := 1; i <= 100; i++ {
		expectSeqs(t, c, chat.Seq(i))
		if i%10 == 1 {
			send(t, c, room, "x")
		}
	}
}
