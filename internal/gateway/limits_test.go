package gateway_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/faultclock"
	"github.com/chowk-chat/chowk/internal/frame"
	"github.com/chowk-chat/chowk/internal/gateway"
	"github.com/chowk-chat/chowk/internal/netpoll"
)

func TestSocketsBeyondALimitAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		limits gateway.Limits
		status int
	}{
		"in total":    {gateway.Limits{Sockets: 2}, http.StatusServiceUnavailable},
		"per user":    {gateway.Limits{SocketsPerUser: 2}, http.StatusTooManyRequests},
		"per address": {gateway.Limits{SocketsPerAddress: 2}, http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, options{limits: c.limits})
			first := s.connect("ann")
			s.connect("ann")
			s.wantStatus("ann", c.status)
			first.write(masked(frame.OpClose, ""))
			first.wantClose(frame.CloseNoStatus)
			await(t, "a socket can be opened", func() bool {
				_, response := s.handshake("ann")
				return response.StatusCode == http.StatusSwitchingProtocols
			})
		})
	}
}

func TestHandshakesBeyondTheRateAreRefused(t *testing.T) {
	s := start(t, options{limits: gateway.Limits{HandshakesPerSecond: 1}})
	var admitted, refused atomic.Int64
	var handshakes sync.WaitGroup
	for i := range 6 {
		handshakes.Go(func() {
			_, response := s.handshake(fmt.Sprint("user", i))
			switch retry := response.Header.Get("Retry-After"); {
			case response.StatusCode == http.StatusSwitchingProtocols:
				admitted.Add(1)
			case response.StatusCode == http.StatusServiceUnavailable && retry != "":
				refused.Add(1)
			default:
				t.Errorf("got %s, Retry-After %q", response.Status, retry)
			}
		})
	}
	handshakes.Wait()
	if admitted.Load() < 2 || refused.Load() == 0 {
		t.Errorf("%d handshakes were admitted and %d refused, want at least 2 and 1", admitted.Load(), refused.Load())
	}
}

// Handshakes that are refused because of their user do not count against the rate.
func TestUserInALoopDelaysNoOneElse(t *testing.T) {
	s := start(t, options{limits: gateway.Limits{HandshakesPerSecond: 20, SocketsPerUser: 1}})
	s.connect("ann")
	for range 200 {
		s.wantStatus("ann", http.StatusTooManyRequests)
	}
	s.connect("bob")
}

func TestRefusedHandshakesAreNotCounted(t *testing.T) {
	s := start(t, options{limits: gateway.Limits{Sockets: 1, SocketsPerAddress: 1}})
	for range 5 {
		s.wantStatus("ann", http.StatusForbidden, "Authorization: Bearer someone-else")
	}
	s.connect("ann")
}

func TestHandshakesAreValidated(t *testing.T) {
	s := start(t, options{})
	const (
		get        = "GET /ws/ann HTTP/1.1"
		post       = "POST /ws/ann HTTP/1.1"
		connection = "Connection: Upgrade\r\n"
		keepAlive  = "Connection: keep-alive\r\n"
		upgrade    = "Upgrade: websocket\r\n"
		mixedCase  = "Upgrade: WebSocket\r\n"
		key        = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
		version    = "Sec-WebSocket-Version: 13\r\n"
		shortKey   = "Sec-WebSocket-Key: c2hvcnQ=\r\n"
		oldVersion = "Sec-WebSocket-Version: 8\r\n"
		ok         = http.StatusSwitchingProtocols
		bad        = http.StatusBadRequest
	)
	for name, c := range map[string]struct {
		line, headers string
		status        int
	}{
		"valid":                        {get, connection + upgrade + key + version, ok},
		"through a proxy":              {get, "Connection: keep-alive, Upgrade\r\n" + mixedCase + key + version, ok},
		"two headers Connection":       {get, keepAlive + "Connection:upgrade\r\n" + upgrade + key + version, ok},
		"HTTP/1.0":                     {"GET /ws/ann HTTP/1.0", connection + upgrade + key + version, bad},
		"no upgrade":                   {get, key + version, bad},
		"Connection: keep-alive":       {get, keepAlive + upgrade + key + version, bad},
		"Connection: Upgrades":         {get, "Connection: Upgrades\r\n" + upgrade + key + version, bad},
		"another protocol":             {get, connection + "Upgrade: h2c\r\n" + key + version, bad},
		"POST":                         {post, connection + upgrade + "Content-Length: 0\r\n" + key + version, bad},
		"no key":                       {get, connection + upgrade + version, bad},
		"two keys":                     {get, connection + upgrade + key + key + version, bad},
		"a short key":                  {get, connection + upgrade + shortKey + version, bad},
		"an old version":               {get, connection + upgrade + oldVersion + key, http.StatusUpgradeRequired},
		"a user that cannot be a user": {"GET /ws/a%00b HTTP/1.1", connection + upgrade + key + version, bad},
	} {
		_, response := s.raw(c.line + "\r\nHost: " + s.address + "\r\n" + c.headers + "\r\n")
		if response.StatusCode != c.status {
			t.Errorf("%s: got %s, want %d", name, response.Status, c.status)
		}
		got := response.Header.Get("Sec-WebSocket-Version")
		if c.status == http.StatusUpgradeRequired && got != "13" {
			t.Errorf("%s: got Sec-WebSocket-Version %q, want 13", name, got)
		}
	}
}

func TestSocketsOfAUserShareARate(t *testing.T) {
	s := start(t, options{limits: gateway.Limits{
		CommandsPerSecond: 1, CommandsBurst: 10, UserCommandsPerSecond: 1, UserCommandsBurst: 15,
	}})
	one, two, other := s.connect("ann"), s.connect("ann"), s.connect("bob")
	limited := 0
	for i := range 20 {
		p := one
		if i%2 == 1 {
			p = two
		}
		p.write(masked(frame.OpText, ping("x")))
		if a := p.answer(); a.Type == "error" && a.Code == string(chat.RateLimited) {
			limited++
		}
	}
	if limited < 4 || limited > 5 { // a second may have passed
		t.Errorf("%d of 20 commands were refused, want 4 or 5", limited)
	}
	other.ping("another user's")
}

// The clock is set back or forward, by hand or because the machine was suspended.
func TestRatesDoNotFollowWhenTheClockIsSet(t *testing.T) {
	for _, seconds := range []int64{-3600, 3600} {
		t.Run(fmt.Sprint(seconds, " s"), func(t *testing.T) {
			begin, elapsed, set := time.Now(), new(atomic.Int64), new(atomic.Int64)
			s := start(t, options{
				limits: gateway.Limits{CommandsPerSecond: 1, CommandsBurst: 2},
				now: func() time.Time {
					return faultclock.Step(begin.Add(time.Duration(elapsed.Load())), int(set.Load()))
				},
			})
			p := s.connect("ann")
			p.ping("1")
			p.ping("2")
			set.Store(seconds)
			p.write(masked(frame.OpText, ping("3")))
			p.wantAnswer(refused("3", chat.RateLimited))
			elapsed.Store(int64(time.Second))
			p.ping("4")
			if open := s.gateway.Debug(1).Sockets[0].OpenForS; open != 1 {
				t.Errorf("the socket is open for %v s, want 1", open)
			}
		})
	}
}

func TestAbuseBlocksNewSocketsOfItsUser(t *testing.T) {
	s := start(t, options{})
	open, abusive := s.connect("ann"), s.connect("ann")
	var b []byte
	for range 200 {
		b = append(b, masked(frame.OpText, "nonsense")...)
	}
	abusive.write(b)
	abusive.wantClose(chat.CloseAbuse)
	s.wantStatus("ann", http.StatusTooManyRequests)
	open.ping("open sockets stay open")
	s.connect("bob")
}

func TestControlFramesHaveARate(t *testing.T) {
	for _, op := range []frame.Opcode{frame.OpPing, frame.OpPong} {
		s := start(t, options{limits: gateway.Limits{ControlFramesPerSecond: 5}})
		p := s.connect("ann")
		var b []byte
		for range 20 {
			b = append(b, masked(op, "flood")...)
		}
		p.write(b)
		p.wantClose(chat.CloseAbuse)
	}
}

func TestPartialMessagesHaveABudget(t *testing.T) { each(t, testPartialMessagesHaveABudget) }

func testPartialMessagesHaveABudget(t *testing.T, driver netpoll.Driver) {
	s := start(t, options{
		poller: netpoll.Options{Driver: driver}, limits: gateway.Limits{PartialBytes: 100_000},
	})
	partial := masked(frame.OpText, long(60_000))[:50_000]
	empty := func() bool { return s.gateway.PartialBytes() == 0 }
	first := s.connect("ann")
	first.write(partial)
	await(t, "the first message is counted", func() bool { return s.gateway.PartialBytes() >= 40_000 })
	second := s.connect("bob")
	second.write(partial)
	second.write(partial)
	second.wantClose(chat.CloseTryAgainLater)
	// The first socket is not affected, and its memory is released.
	first.write([]byte(long(10_000 + 8)))
	first.wantAnswer(refused("", chat.BadJSON))
	await(t, "no memory is counted", empty)
	third := s.connect("eve")
	third.write(partial)
	await(t, "the third message is counted", func() bool { return s.gateway.PartialBytes() > 0 })
	third.conn.Close()
	await(t, "no memory is counted", empty)
}

func TestFloodIsClosedAndDelaysNoOneElse(t *testing.T) {
	s := start(t, options{limits: gateway.Limits{CommandsPerSecond: 10, CommandsBurst: 10}})
	flooding, other := s.connect("ann"), s.connect("bob")
	var b []byte
	for range 200 {
		b = append(b, masked(frame.OpText, ping("x"))...)
	}
	flooding.write(b)
	flooding.wantClose(chat.CloseAbuse)
	other.ping("1")
}

func TestHandshakesAreRefusedWhileDraining(t *testing.T) {
	s := start(t, options{})
	p := s.connect("ann")
	p.ping("it is registered")
	drained := make(chan struct{})
	go func() { // ends when the socket is closed
		defer close(drained)
		s.gateway.Drain(t.Context(), 100*time.Millisecond)
	}()
	p.wantClose(chat.CloseRestart)
	<-drained
	s.wantStatus("ann", http.StatusServiceUnavailable)
	open, backlogged := s.gateway.Count()
	if diff := cmp.Diff([]int{0, 0}, []int{open, backlogged}); diff != "" {
		t.Errorf("open and backlogged sockets after draining (-want +got):\n%s", diff)
	}
}
