package client_test

import (
	"context"
	"errors"
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

func TestWhatASendsEndSays(t *testing.T) {
	silent := func(s *talk) { s.hello("e", 1); s.linger() }
	refusing := func(code string) func(s *talk) {
		return func(s *talk) {
			s.hello("e", 1)
			for {
				r, ok := s.hearOf("new_message")
				if !ok {
					return
				}
				s.refuse(r, code, 1)
			}
		}
	}
	losing := func(s *talk) { s.hello("e", 1); s.hearOf("new_message") }
	for _, c := range []struct {
		name    string
		script  []func(s *talk)
		code    chat.Code // of the refusal inside, "" for none
		unknown bool
	}{
		{"a refusal is final", []func(*talk){refusing("forbidden")}, chat.Forbidden, false},
		{"a refusal after a lost answer proves nothing", []func(*talk){losing, refusing("forbidden")}, chat.Forbidden, true},
		{"faults of the server end some time", []func(*talk){refusing("internal")}, chat.Internal, true},
		{"no answer by the deadline", []func(*talk){silent}, "", true},
		{"too fast until the deadline", []func(*talk){refusing("rate_limited")}, "", false},
		{"too busy until the deadline", []func(*talk){refusing("unavailable")}, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cl := dialFake(t, newFake(t, c.script...))
			patience := 300 * time.Millisecond
			if c.code != "" {
				patience = 20 * time.Second
			}
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			_, err := cl.Send(ctx, client.Message{ChannelID: room, Content: "x", ClientID: "mine"})
			var unknown *client.UnknownError
			if errors.As(err, &unknown) != c.unknown || c.unknown && unknown.ClientID != "mine" {
				t.Errorf("got %v", err)
			}
			if r := refusal(err); c.code == "" && !errors.Is(err, context.DeadlineExceeded) || c.code != "" && (r == nil || r.Code != c.code) {
				t.Errorf("got %v", err)
			}
		})
	}
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
