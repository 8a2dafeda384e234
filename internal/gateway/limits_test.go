package gateway_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/faultclock"
	"github.com/chowk-chat/chowk/internal/frame"
	"github.com/chowk-chat/chowk/internal/gateway"
	"github.com/chowk-chat/chowk/internal/netpoll"
)

func TestHandshakesOverTheLimitsAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		limits gateway.Limits
		status int
	}{
		"in all":      {gateway.Limits{Sockets: 2}, http.StatusServiceUnavailable},
		"per user":    {gateway.Limits{SocketsPerUser: 2}, http.StatusTooManyRequests},
		"per address": {gateway.Limits{SocketsPerAddress: 2}, http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, options{limits: c.limits})
			first := d.connect("ann")
			d.connect("ann")
			_, response := d.handshake("ann")
			if response.StatusCode != c.status || response.Header.Get("Retry-After") == "" {
				t.Errorf("got %s, Retry-After %q", response.Status, response.Header.Get("Retry-After"))
			}
			first.write(masked(frame.OpClose, ""))
			first.closedWith(frame.CloseNoStatus)
			await(t, "room", func() bool {
				_, response := d.handshake("ann")
				return response.StatusCode == http.StatusSwitchingProtocols
			})
		})
	}
}

func TestMoreHandshakesThanMayBeAreToldToComeBack(t *testing.T) {
	d := open(t, options{limits: gateway.Limits{HandshakesPerSecond: 1}})
	var in, back atomic.Int64
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			_, response := d.handshake(fmt.Sprint("user", i))
			switch after := response.Header.Get("Retry-After"); {
			case response.StatusCode == http.StatusSwitchingProtocols:
				in.Add(1)
			case response.StatusCode == http.StatusServiceUnavailable && after != "":
				back.Add(1)
			default:
				t.Errorf("got %s, Retry-After %q", response.Status, after)
			}
		})
	}
	all.Wait()
	if in.Load() < 2 || back.Load() == 0 {
		t.Errorf("%d were let in, %d told to come back", in.Load(), back.Load())
	}
}

// TestALoopOfOneUserTakesNobodysTurn: who is refused for what he has or did is not
// counted among those who may come in a second.
func TestALoopOfOneUserTakesNobodysTurn(t *testing.T) {
	d := open(t, options{limits: gateway.Limits{HandshakesPerSecond: 20, SocketsPerUser: 1}})
	d.connect("ann")
	for range 200 {
		if _, response := d.handshake("ann"); response.StatusCode != http.StatusTooManyRequests {
			t.Fatal(response.Status)
		}
	}
	d.connect("bob")
}

// Handshakes that come to nothing leave nothing behind.
func TestRefusedHandshakesAreNotCounted(t *testing.T) {
	d := open(t, options{limits: gateway.Limits{Sockets: 1, SocketsPerAddress: 1}})
	for range 5 {
		if _, response := d.handshake("ann", "Authorization: Bearer somebody-else"); response.StatusCode != http.StatusForbidden {
			t.Fatal(response.Status)
		}
	}
	d.connect("ann")
}

func TestOddHandshakes(t *testing.T) {
	d := open(t, options{})
	const key, version = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "Sec-WebSocket-Version: 13\r\n"
	for name, c := range map[string]struct {
		retryQueue, headers string
		status              int
	}{
		"as it should be":              {"GET /ws/ann HTTP/1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\n" + key + version, 101},
		"through a proxy":              {"GET /ws/ann HTTP/1.1", "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n" + key + version, 101},
		"Connection in two lines":      {"GET /ws/ann HTTP/1.1", "Connection: keep-alive\r\nConnection:upgrade\r\nUpgrade: websocket\r\n" + key + version, 101},
		"HTTP/1.0":                     {"GET /ws/ann HTTP/1.0", "Connection: Upgrade\r\nUpgrade: websocket\r\n" + key + version, 400},
		"no upgrade":                   {"GET /ws/ann HTTP/1.1", key + version, 400},
		"Connection says keep-alive":   {"GET /ws/ann HTTP/1.1", "Connection: keep-alive\r\nUpgrade: websocket\r\n" + key + version, 400},
		"Connection says upgrades":     {"GET /ws/ann HTTP/1.1", "Connection: Upgrades\r\nUpgrade: websocket\r\n" + key + version, 400},
		"another protocol":             {"GET /ws/ann HTTP/1.1", "Connection: Upgrade\r\nUpgrade: h2c\r\n" + key + version, 400},
		"POST":                         {"POST /ws/ann HTTP/1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n" + key + version, 400},
		"no key":                       {"GET /ws/ann HTTP/1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\n" + version, 400},
		"two keys":                     {"GET /ws/ann HTTP/1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\n" + key + key + version, 400},
		"a short key":                  {"GET /ws/ann HTTP/1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: c2hvcnQ=\r\n" + version, 400},
		"an old version":               {"GET /ws/ann HTTP/1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\n" + key, 426},
		"a user that cannot be a user": {"GET /ws/a%00b HTTP/1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\n" + key + version, 400},
	} {
		_, response := d.raw(c.retryQueue + "\r\nHost: " + d.address + "\r\n" + c.headers + "\r\n")
		if response.StatusCode != c.status {
			t.Errorf("%s: got %s, want %d", name, response.Status, c.status)
		}
		if c.status == 426 && response.Header.Get("Sec-WebSocket-Version") != "13" {
			t.Errorf("%s: it does not say which version it speaks", name)
		}
	}
}

func TestAUserHasOneRateForAllSockets(t *testing.T) {
	d := open(t, options{limits: gateway.Limits{EventsPerSecond: 1, EventsBurst: 10, UserEventsPerSecond: 1, UserEventsBurst: 15}})
	one, two, other := d.connect("ann"), d.connect("ann"), d.connect("bob")
	refused := 0
	for i := range 20 {
		p := one
		if i%2 == 1 {
			p = two
		}
		p.write(masked(frame.OpText, ping("x")))
		if a := p.answer(); a.Type == "error" && a.Code == string(chat.RateLimited) {
			refused++
		}
	}
	if refused < 4 || refused > 5 { // a second may have passed
		t.Errorf("%d of 20 events were refused", refused)
	}
	other.pings("not mine")
}

// A server whose clock is set back, by hand or by a machine that wakes up, goes on
// taking events, and counts as before.
func TestRatesDoNotFollowWhenTheClockIsSet(t *testing.T) {
	for _, seconds := range []int64{-3600, 3600} {
		start, elapsed, set := time.Now(), new(atomic.Int64), new(atomic.Int64)
		d := open(t, options{
			limits: gateway.Limits{EventsPerSecond: 1, EventsBurst: 2},
			now:    func() time.Time { return faultclock.Step(start.Add(time.Duration(elapsed.Load())), int(set.Load())) },
		})
		p := d.connect("ann")
		p.pings("1")
		p.pings("2")
		set.Store(seconds)
		p.write(masked(frame.OpText, ping("3")))
		if a := p.answer(); a.Code != string(chat.RateLimited) {
			t.Errorf("set by %d s, one too many was answered %+v", seconds, a)
		}
		elapsed.Store(int64(time.Second))
		p.pings("4")
		if open := d.gateway.Debug(1).Sockets[0].OpenForS; open != 1 {
			t.Errorf("set by %d s, a socket of a second is %v s old", seconds, open)
		}
	}
}

func TestWhoWasThrownOutIsNotLetInAtOnce(t *testing.T) {
	d := open(t, options{})
	stays, p := d.connect("ann"), d.connect("ann")
	var b []byte
	for range 200 {
		b = append(b, masked(frame.OpText, "nonsense")...)
	}
	p.write(b)
	p.closedWith(chat.CloseAbuse)
	if _, response := d.handshake("ann"); response.StatusCode != http.StatusTooManyRequests || response.Header.Get("Retry-After") == "" {
		t.Errorf("got %s, Retry-After %q", response.Status, response.Header.Get("Retry-After"))
	}
	stays.pings("what was open stays open")
	d.connect("bob")
}

func TestControlFramesHaveARate(t *testing.T) {
	for _, op := range []frame.Opcode{frame.OpPing, frame.OpPong} {
		d := open(t, options{limits: gateway.Limits{ControlFramesPerSecond: 5}})
		p := d.connect("ann")
		var b []byte
		for range 20 {
			b = append(b, masked(op, "flood")...)
		}
		p.write(b)
		p.closedWith(chat.CloseAbuse)
	}
}

func TestHalfReceivedMessagesHaveABudget(t *testing.T) { each(t, testHalfReceivedMessagesHaveABudget) }

func testHalfReceivedMessagesHaveABudget(t *testing.T, driver netpoll.Driver) {
	d := open(t, options{poller: netpoll.Options{Driver: driver}, limits: gateway.Limits{PartialBytes: 100_000}})
	half := masked(frame.OpText, long(60_000))[:50_000]
	first := d.connect("ann")
	first.write(half)
	await(t, "the first half to be held", func() bool { return d.gateway.Partial() >= 40_000 })
	second := d.connect("bob")
	second.write(half)
	second.write(half)
	second.closedWith(chat.CloseTryAgainLater)
	// The first goes on, and what was held is given back.
	first.write([]byte(long(10_000 + 8)))
	if a := first.answer(); a.Type != "error" || a.Code != string(chat.BadJSON) {
		t.Errorf("got %+v", a)
	}
	await(t, "nothing to be held", func() bool { return d.gateway.Partial() == 0 })
	third := d.connect("eve")
	third.write(half)
	await(t, "the third half to be held", func() bool { return d.gateway.Partial() > 0 })
	third.conn.Close()
	await(t, "nothing to be held", func() bool { return d.gateway.Partial() == 0 })
}

// What a flooder does is his own affair: another's events are answered meanwhile.
func TestAFloodIsEnded(t *testing.T) {
	d := open(t, options{limits: gateway.Limits{EventsPerSecond: 10, EventsBurst: 10}})
	flooder, other := d.connect("ann"), d.connect("bob")
	var b []byte
	for range 200 {
		b = append(b, masked(frame.OpText, ping("x"))...)
	}
	flooder.write(b)
	flooder.closedWith(chat.CloseAbuse)
	other.pings("1")
}
