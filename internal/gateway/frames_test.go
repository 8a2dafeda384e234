package gateway_test

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/frame"
	"github.com/chowk-chat/chowk/internal/gateway"
	"github.com/chowk-chat/chowk/internal/netpoll"
)

func TestFramesArriveInAnyPieces(t *testing.T) { each(t, testFramesArriveInAnyPieces) }

func testFramesArriveInAnyPieces(t *testing.T, d netpoll.Driver) {
	p := start(t, options{poller: netpoll.Options{Driver: d}}).connect("ann")
	// Two commands in one segment.
	p.write(append(masked(frame.OpText, ping("1")), masked(frame.OpText, ping("2"))...))
	p.wantAnswer(pong("1"))
	p.wantAnswer(pong("2"))
	// A control frame between the fragments of a message is answered at once.
	p.write(fragment(frame.OpText, `{"type":"pi`))
	p.write(masked(frame.OpPing, "still there?"))
	if m := p.next(); m.Opcode != frame.OpPong || string(m.Payload) != "still there?" {
		t.Errorf("got opcode %v with %q, want a pong with %q", m.Opcode, m.Payload, "still there?")
	}
	p.write(fragment(frame.OpContinuation, ""))
	p.write(masked(frame.OpContinuation, `ng","id":"3"}`))
	p.wantAnswer(pong("3"))
	// Segments of one byte.
	if err := p.conn.SetNoDelay(true); err != nil {
		t.Fatal(err)
	}
	for _, b := range masked(frame.OpText, `{"type":"ping","id":"4","data":"`+long(20_000)+`"}`) {
		p.write([]byte{b})
	}
	p.wantAnswer(pong("4"))
}

// A command that needs the database pauses reading, so what follows is answered later.
func TestAnswersAreInOrder(t *testing.T) { each(t, testAnswersAreInOrder) }

func testAnswersAreInOrder(t *testing.T, d netpoll.Driver) {
	p := start(t, options{poller: netpoll.Options{Driver: d}}).connect("ann")
	var b []byte
	for _, id := range []string{"a", "b", "c"} {
		join := `{"type":"join_channel","id":"` + id + `","data":{"channel_id":"` + chat.NewID().String() + `"}}`
		b = append(b, masked(frame.OpText, join)...)
		b = append(b, masked(frame.OpText, ping("after "+id))...)
	}
	p.write(b[:len(b)-5])
	p.write(b[len(b)-5:])
	for _, id := range []string{"a", "after a", "b", "after b", "c", "after c"} {
		if a := p.answer(); a.ID != id {
			t.Errorf("got the answer to %q, want %q", a.ID, id)
		}
	}
}

func TestCloseCodes(t *testing.T) { each(t, testCloseCodes) }

func testCloseCodes(t *testing.T, d netpoll.Driver) {
	limits := gateway.Limits{Frame: frame.Limits{Message: 1000, Frame: 500, Fragments: 4}}
	s := start(t, options{poller: netpoll.Options{Driver: d}, limits: limits})
	closing := func(code uint16, reason string) []byte {
		return masked(frame.OpClose, string(binary.BigEndian.AppendUint16(nil, code))+reason)
	}
	join := func(frames ...[]byte) []byte { return bytes.Join(frames, nil) }
	reserved := masked(frame.OpText, "x")
	reserved[0] |= 0x40
	more := fragment(frame.OpContinuation, "")
	for name, c := range map[string]struct {
		sent []byte
		code uint16
	}{
		"a reserved bit":              {reserved, 1002},
		"an unmasked frame":           {frame.Text([]byte("{}")), 1002},
		"a binary message":            {masked(frame.OpBinary, "x"), 1003},
		"UTF-8 broken over fragments": {join(fragment(frame.OpText, "\xc3"), masked(frame.OpContinuation, "(")), 1007},
		"a frame that is too big":     {masked(frame.OpText, long(501)), 1009},
		"a message that is too big": {
			join(
				fragment(frame.OpText, long(500)), fragment(frame.OpContinuation, long(500)),
				masked(frame.OpContinuation, "x"),
			), 1009,
		},
		"too many fragments":         {join(fragment(frame.OpText, ""), more, more, more, more), 1009},
		"a normal close":             {closing(1000, "bye"), 1000},
		"going away":                 {closing(1001, ""), 1001},
		"an application's close":     {closing(4123, "why not"), 4123},
		"a close without a code":     {masked(frame.OpClose, ""), 1005},
		"a reserved code":            {closing(1005, ""), 1002},
		"a reason that is not UTF-8": {closing(1000, "\xff"), 1007},
	} {
		t.Run(name, func(t *testing.T) {
			p := s.connect("ann")
			p.t = t
			p.write(c.sent)
			p.wantClose(c.code)
		})
	}
	await(t, "all sockets are closed", func() bool { return s.gateway.Sockets() == 0 })
}

func TestPartialMessageTimesOut(t *testing.T) { each(t, testPartialMessageTimesOut) }

func testPartialMessageTimesOut(t *testing.T, d netpoll.Driver) {
	s := start(t, options{poller: netpoll.Options{Driver: d, PartialTimeout: 50 * time.Millisecond}})
	for name, sent := range map[string][]byte{
		"a byte of a header": {0x81},
		"half a payload":     masked(frame.OpText, ping("1"))[:12],
		"half a message":     fragment(frame.OpText, "x"),
	} {
		t.Run(name, func(t *testing.T) {
			p := s.connect("ann")
			p.t = t
			p.write(sent)
			p.wantClose(chat.CloseAbuse)
		})
	}
}

func TestSilentSocketIsPingedAndClosed(t *testing.T) { each(t, testSilentSocketIsPingedAndClosed) }

func testSilentSocketIsPingedAndClosed(t *testing.T, d netpoll.Driver) {
	s := start(t, options{poller: netpoll.Options{Driver: d, Heartbeat: 400 * time.Millisecond}})
	p := s.connect("ann")
	wantPing := func() {
		t.Helper()
		if m := p.next(); m.Opcode != frame.OpPing {
			t.Fatalf("got opcode %v, want a ping", m.Opcode)
		}
	}
	wantPing()
	p.write(masked(frame.OpPong, ""))
	wantPing()
	// This ping is not answered.
	if m, err := p.read(); err == nil {
		t.Errorf("got opcode %v, want the end of the connection", m.Opcode)
	}
	await(t, "the socket is closed", func() bool { return s.gateway.Sockets() == 0 })
}
