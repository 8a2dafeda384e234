package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/client"
)

func TestAHoleIsAskedForOnceAndRepeatsAreDropped(t *testing.T) {
	f := newFake(t, func(s *talk) {
		s.hello("e", 10)
		s.say(message(11), message(11), message(10), message(14), message(15))
		r, ok := s.hearOf("resume")
		if !ok {
			return
		}
		if r.Data.Epoch != "e" || r.Data.Cursors[room] != 11 {
			t.Errorf("resume from %v", r.Data)
		}
		s.say(message(16)) // live, on its way before the resume was seen
		s.ack(r, `{"status":"resumed","channels":{}}`)
		s.say(message(12), message(13), message(14), message(15), message(16), message(17))
		if r, ok := s.hear(); ok {
			t.Errorf("the client also asked for %+v", r)
		}
	})
	expectSeqs(t, dialFake(t, f), 11, 12, 13, 14, 15, 16, 17)
}

func TestAReconnectGoesOnFromTheCursor(t *testing.T) {
	f := newFake(t,
		func(s *talk) { s.hello("e", 10); s.say(message(11), message(12)) },
		func(s *talk) {
			s.hello("e", 15)
			r, _ := s.hearOf("resume")
			if r.Data.Cursors[room] != 12 {
				t.Errorf("resume from %v", r.Data)
			}
			s.refuse(r, "overloaded", 5) // it is asked for again
			if r, _ = s.hearOf("resume"); r.Data.Cursors[room] != 12 {
				t.Errorf("resume again from %v", r.Data)
			}
			s.say(message(13)) // and the socket ends in the middle
		},
		func(s *talk) {
			s.hello("e", 15)
			r, _ := s.hearOf("resume")
			if r.Data.Cursors[room] != 13 {
				t.Errorf("resume from %v", r.Data)
			}
			s.ack(r, `{"status":"resumed","channels":{}}`)
			s.say(message(14), message(15), message(16))
			s.linger()
		})
	level := make(chan struct{}, 10)
	c := dialFake(t, f, func(o *client.Options) { o.Trace.CaughtUp = func() { level <- struct{}{} } })
	expectSeqs(t, c, 11, 12, 13, 14, 15, 16)
	if len(level) != 2 { // at first, and when 15 had come
		t.Errorf("level %d times", len(level))
	}
}

// TestAHoleThatTheServerDoesNotFill is asked for a few times, and then told.
func TestAHoleThatTheServerDoesNotFill(t *testing.T) {
	f := newFake(t, func(s *talk) {
		s.hello("e", 10)
		s.say(message(12))
		for asked := 1; ; asked++ {
			r, ok := s.hearOf("resume")
			if !ok {
				return
			}
			if asked > 10 {
				t.Error("the client asks and asks")
			}
			s.ack(r, `{"status":"resumed","channels":{}}`)
			if s.say(message(12)); asked == 4 {
				s.say(message(13))
			}
		}
	})
	c := dialFake(t, f)
	if ev := next(t, c); ev.Type != client.Resync || ev.Seq != 12 || ev.Reason != client.ReasonHistory {
		t.Errorf("got %+v", ev)
	}
	expectSeqs(t, c, 13)
}

// TestAReconnectCostsOneRoundTrip when the server takes the cursors with the
// handshake.
func TestAReconnectCostsOneRoundTrip(t *testing.T) {
	f := newFake(t,
		func(s *talk) { s.hello("e", 10); s.say(message(11), message(12)) },
		func(s *talk) {
			epoch, cursors, err := chat.ParseCursors(s.resume)
			if err != nil || epoch != "e" || len(cursors) != 1 || cursors[room] != 12 {
				t.Errorf("resume %q: %v, %v", s.resume, cursors, err)
			}
			s.say(
				fmt.Sprintf(
					`{"type":"connection","epoch":"e","heartbeat_s":30,"channels":[{"id":%q,"last_seq":14}],`+
						`"resumed":{%[1]q:{"from":12,"to":14}}}`,
					room,
				),
			)
			s.say(message(13), message(14), message(15))
			if r, ok := s.hear(); ok {
				t.Errorf("the client also asked for %+v", r)
			}
		})
	expectSeqs(t, dialFake(t, f), 11, 12, 13, 14, 15)
}

// TestWhatTheServerSaysTooIsToldOnce: of cursors in the handshake it says itself
// that they lead nowhere.
func TestWhatTheServerSaysTooIsToldOnce(t *testing.T) {
	resync := fmt.Sprintf(
		`{"type":"error","code":"resync","event":"resume","channel_id":%q,"channel_ids":[%[1]q],"message":"load it"}`, room,
	)
	f := newFake(t,
		func(s *talk) { s.hello("e", 10); s.say(message(11)) },
		func(s *talk) { s.hello("other", 5); s.say(resync, message(6), resync, message(7)); s.linger() })
	c := dialFake(t, f)
	expectSeqs(t, c, 11)
	for _, want := range []client.Event{
		{Entry: chat.Entry{Type: client.Resync, Seq: 5}, Reason: client.ReasonEpoch},
		{Entry: chat.Entry{Type: chat.EventMessage, Seq: 6}},
		{Entry: chat.Entry{Type: client.Resync, Seq: 6}, Reason: client.ReasonHistory},
		{Entry: chat.Entry{Type: chat.EventMessage, Seq: 7}},
	} {
		if ev := next(t, c); ev.Type != want.Type || ev.Seq != want.Seq || ev.Reason != want.Reason {
			t.Errorf("got %s %d %s, want %s %d %s", ev.Type, ev.Seq, ev.Reason, want.Type, want.Seq, want.Reason)
		}
	}
}

// TestWhoWasRemovedAndTakenBackWhileAway: a user who was removed and added again while
// away receives the entry that added them.
func TestWhoWasRemovedAndTakenBackWhileAway(t *testing.T) {
	f := newFake(t,
		func(s *talk) { s.hello("e", 10); s.say(message(11)) },
		func(s *talk) {
			s.hello("e", 21)
			r, _ := s.hearOf("resume")
			s.ack(r, `{"status":"resumed","channels":{}}`)
			s.say(fmt.Sprintf(`{"type":"channel_joined","channel_id":%q,"seq":20}`, room), message(21), message(22))
			if r, ok := s.hear(); ok {
				t.Errorf("the client also asked for %+v", r)
			}
		})
	c := dialFake(t, f)
	expectSeqs(t, c, 11)
	if ev := next(t, c); ev.Type != chat.EventChannelJoined || ev.Seq != 20 {
		t.Errorf("got %s %d", ev.Type, ev.Seq)
	}
	expectSeqs(t, c, 21, 22)
}

func TestWhatCannotBeResumedIsTold(t *testing.T) {
	resyncs := func(s *talk) {
		s.hello("e", 20)
		if r, ok := s.hearOf("resume"); ok {
			s.say(message(21))
			s.say(fmt.Sprintf(`{"type":"error","code":"resync","event":"resume","channel_id":%q,"message":"load it"}`, room))
			s.ack(r, `{"status":"resumed","channels":{}}`)
			s.say(message(22))
			s.linger()
		}
	}
	after := func(epoch string, last int) func(s *talk) {
		return func(s *talk) {
			s.hello(epoch, last)
			s.say(message(last + 1))
			s.linger()
		}
	}
	for _, c := range []struct {
		name   string
		second func(s *talk)
		reason client.Reason
		seq    chat.Seq
	}{
		{"another epoch", after("other", 5), client.ReasonEpoch, 5},
		{"another epoch that is longer", after("other", 50), client.ReasonEpoch, 50},
		{"a tail that is lost", after("e", 5), client.ReasonAhead, 5},
		{"a history that is not kept", resyncs, client.ReasonHistory, 21},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t, func(s *talk) { s.hello("e", 10); s.say(message(11)) }, c.second)
			cl := dialFake(t, f)
			expectSeqs(t, cl, 11)
			if ev := next(t, cl); ev.Type != client.Resync || ev.ChannelID != room || ev.Reason != c.reason || ev.Seq != c.seq {
				t.Fatalf("got %+v", ev)
			}
			expectSeqs(t, cl, c.seq+1)
			if got := cl.Cursors().Channels[room]; got != c.seq+1 {
				t.Errorf("the cursor is %d", got)
			}
		})
	}
}

// TestASilentServerIsLeft: one that is half-open says nothing and takes everything.
func TestASilentServerIsLeft(t *testing.T) {
	f := newFake(t,
		func(s *talk) { s.hello("e", 1); <-s.ctx.Done() },
		func(s *talk) { s.hello("e", 1); s.say(message(2)); s.linger() })
	c := dialFake(t, f, func(o *client.Options) { o.PingAfter, o.PongWithin = 20*time.Millisecond, 20*time.Millisecond })
	expectSeqs(t, c, 2)
}

func TestAQuietServerIsKept(t *testing.T) {
	pings := make(chan struct{}, 100)
	f := newFake(t, func(s *talk) {
		s.hello("e", 1)
		for {
			if _, _, err := s.conn.Read(s.ctx); err != nil {
				return
			}
			pings <- struct{}{}
			s.say(`{"type":"pong"}`)
		}
	})
	dialFake(t, f, func(o *client.Options) { o.PingAfter, o.PongWithin = 5*time.Millisecond, 5*time.Second })
	for range 5 {
		<-pings
	}
	if n := f.dials.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TestNobodyTakesTheEvents, so the client stops reading; nothing is lost.
func TestNobodyTakesTheEvents(t *testing.T) {
	const n = 20_000 // more than the kernel keeps
	f := newFake(t, func(s *talk) {
		s.hello("e", 0)
		for i := 1; i <= n && s.say(message(i)); i++ {
		}
		s.linger()
	})
	var received atomic.Int64
	c := dialFake(t, f, func(o *client.Options) {
		o.Buffer, o.PingAfter, o.PongWithin = 4, 50*time.Millisecond, 250*time.Millisecond
		o.Trace.Received = func(client.Event) { received.Add(1) }
	})
	expectSeqs(t, c, 1)
	time.Sleep(500 * time.Millisecond)   // its own silence is no reason to give the server up
	if got := received.Load(); got > 6 { // taken, waiting, and one in the hand
		t.Errorf("%d events were read although Next was not called", got)
	}
	for i := 2; i <= n; i++ {
		expectSeqs(t, c, chat.Seq(i))
	}
	if f.dials.Load() != 1 {
		t.Errorf("%d connections", f.dials.Load())
	}
}

func TestTheServerAsksTheClientToComeBackLater(t *testing.T) {
	f := newFake(t,
		func(s *talk) {
			s.hello("e", 1)
			s.say(`{"type":"notice","code":"draining","reconnect_after_ms":50}`)
			start := time.Now()
			s.linger()
			if time.Since(start) < 50*time.Millisecond {
				t.Error("the client went before it was asked to")
			}
		},
		func(s *talk) { s.hello("e", 1); s.say(message(2)); s.linger() })
	var next atomic.Int64
	c := dialFake(t, f, func(o *client.Options) {
		o.Backoff = client.Backoff{Base: time.Hour, Cap: time.Hour}
		o.Trace.Disconnected = func(_ error, d time.Duration) { next.Store(int64(d)) }
	})
	expectSeqs(t, c, 2)
	if next.Load() != 0 {
		t.Errorf("the client waited %v more", time.Duration(next.Load()))
	}
}

func TestCloseEndsEverything(t *testing.T) {
	f := newFake(t, func(s *talk) { s.hello("e", 1); s.linger() })
	c := dialFake(t, f, func(o *client.Options) { o.Outbox = 1 })
	var all sync.WaitGroup
	sending := make(chan struct{})
	all.Go(func() {
		close(sending)
		var unknown *client.UnknownError
		if _, err := c.Send(context.Background(), client.Message{
			ChannelID: room, Content: "x",
		}); !errors.Is(err, client.ErrClosed) && !errors.As(err, &unknown) {
			t.Errorf("send: %v", err)
		}
	})
	<-sending
	time.Sleep(10 * time.Millisecond) // so that it is under way, most times
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	var unknown *client.UnknownError
	if _, err := c.Send(ctx, client.Message{
		ChannelID: room, Content: "no room in the outbox",
	}); !errors.Is(err, context.DeadlineExceeded) || errors.As(err, &unknown) {
		t.Errorf("a send for which there was no room: %v", err)
	}
	cancel()
	all.Go(func() {
		if _, err := c.Next(context.Background()); !errors.Is(err, client.ErrClosed) {
			t.Errorf("next: %v", err)
		}
	})
	_ = c.Close()
	_ = c.Close()
	all.Wait()
	if _, err := c.Send(context.Background(), client.Message{}); !errors.Is(err, client.ErrClosed) {
		t.Errorf("send after close: %v", err)
	}
}

// TestAQuestionIsAskedAgain when its connection breaks or the server is busy; what
// changes something is not.
func TestAQuestionIsAskedAgain(t *testing.T) {
	f := newFake(t, func(s *talk) { s.hello("e", 1); s.linger() })
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/ws") {
			f.Config.Handler.ServeHTTP(w, r)
			return
		}
		switch asked.Add(1) {
		case 1, 4:
			panic(http.ErrAbortHandler)
		case 2:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			fmt.Fprint(w, `[{"name":"one"}]`)
		}
	}))
	t.Cleanup(s.Close)
	c := dial(t, s.URL, "ada")
	if all, err := c.Channels(within(t)); err != nil || len(all) != 1 || asked.Load() != 3 {
		t.Errorf("%v, %v after %d calls", all, err, asked.Load())
	}
	if err := c.AddMembers(within(t), room, "bob"); err == nil || asked.Load() != 4 {
		t.Errorf("a change: %v after %d calls", err, asked.Load())
	}
}
