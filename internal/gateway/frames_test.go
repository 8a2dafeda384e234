package gateway_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/frame"
	"github.com/chowk-chat/chowk/internal/gateway"
	"github.com/chowk-chat/chowk/internal/netpoll"
)

func TestFramesInAnyPieces(t *testing.T) { each(t, testFramesInAnyPieces) }

func testFramesInAnyPieces(t *testing.T, d netpoll.Driver) {
	p := open(t, options{poller: netpoll.Options{Driver: d}}).connect("ann")
	// Two events in one segment.
	p.write(append(masked(frame.OpText, ping("1")), masked(frame.OpText, ping("2"))...))
	for _, id := range []string{"1", "2"} {
		if a := p.answer(); a.ID != id {
			t.Errorf("got %+v, want the answer to %s", a, id)
		}
	}
	// A control frame inside of a message in fragments is answered at once.
	p.write(part(frame.OpText, `{"type":"pi`))
	p.write(masked(frame.OpPing, "still there?"))
	if m := p.next(); m.Opcode != frame.OpPong || string(m.Payload) != "still there?" {
		t.Errorf("got %v %q", m.Opcode, m.Payload)
	}
	p.write(part(frame.OpContinuation, ""))
	p.write(masked(frame.OpContinuation, `ng","id":"3"}`))
	if a := p.answer(); a.ID != "3" {
		t.Errorf("got %+v", a)
	}
	// In one-byte segments.
	if err := p.conn.SetNoDelay(true); err != nil {
		t.Fatal(err)
	}
	for _, b := range masked(frame.OpText, `{"type":"ping","id":"4","data":"`+long(20_000)+`"}`) {
		p.write([]byte{b})
	}
	if a := p.answer(); a.ID != "4" {
		t.Errorf("got %+v", a)
	}
}

// What needs the database stops the reading, and what follows is answered in order.
func TestAnswersComeInOrder(t *testing.T) { each(t, testAnswersComeInOrder) }

func testAnswersComeInOrder(t *testing.T, d netpoll.Driver) {
	p := open(t, options{poller: netpoll.Options{Driver: d}}).connect("ann")
	var b []byte
	for _, id := range []string{"a", "b", "c"} {
		b = append(b, masked(frame.OpText, `{"type":"join_channel","id":"`+id+`","data":{"channel_id":"`+chat.NewID().String()+`"}}`)...)
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

func TestBrokenFramesAreClosedWithTheirCode(t *testing.T) {
	each(t, testBrokenFramesAreClosedWithTheirCode)
}

func testBrokenFramesAreClosedWithTheirCode(t *testing.T, d netpoll.Driver) {
	door := open(t, options{poller: netpoll.Options{Driver: d}, limits: gateway.Limits{Frame: frame.Limits{Message: 1000, Frame: 500, Fragments: 4}}})
	closing := func(code uint16, reason string) []byte {
		return masked(frame.OpClose, string(binary.BigEndian.AppendUint16(nil, code))+reason)
	}
	reserved := masked(frame.OpText, "x")
	reserved[0] |= 0x40
	for name, c := range map[string]struct {
		sent []byte
		code uint16
	}{
		"a reserved bit":              {reserved, 1002},
		"an unmasked frame":           {frame.Text([]byte("{}")), 1002},
		"a binary message":            {masked(frame.OpBinary, "x"), 1003},
		"UTF-8 broken over fragments": {append(part(frame.OpText, "\xc3"), masked(frame.OpContinuation, "(")...), 1007},
		"too large a frame":           {masked(frame.OpText, long(501)), 1009},
		"too large a message":         {append(append(part(frame.OpText, long(500)), part(frame.OpContinuation, long(500))...), masked(frame.OpContinuation, "x")...), 1009},
		"too many fragments":          {append(append(append(append(part(frame.OpText, ""), part(frame.OpContinuation, "")...), part(frame.OpContinuation, "")...), part(frame.OpContinuation, "")...), part(frame.OpContinuation, "")...), 1009},
		"a normal close":              {closing(1000, "bye"), 1000},
		"going away":                  {closing(1001, ""), 1001},
		"an application's close":      {closing(4123, "why not"), 4123},
		"a close without a code":      {masked(frame.OpClose, ""), 1005},
		"a code that is nobody's":     {closing(1005, ""), 1002},
		"a reason that is not UTF-8":  {closing(1000, "\xff"), 1007},
	} {
		t.Run(name, func(t *testing.T) {
			p := door.connect("ann")
			p.t = t
			p.write(c.sent)
			p.closedWith(c.code)
		})
	}
	await(t, "all sockets to be gone", func() bool { return door.gateway.Sockets() == 0 })
}

func TestHalfAFrameAndThenSilence(t *testing.T) { each(t, testHalfAFrameAndThenSilence) }

func testHalfAFrameAndThenSilence(t *testing.T, d netpoll.Driver) {
	door := open(t, options{poller: netpoll.Options{Driver: d, Partial: 50 * time.Millisecond}})
	for name, half := range map[string][]byte{
		"a byte of a header": {0x81},
		"half a payload":     masked(frame.OpText, ping("1"))[:12],
		"half a message":     part(frame.OpText, "x"),
	} {
		p := door.connect("ann")
		p.write(half)
		p.closedWith(chat.CloseAbuse)
		t.Log(name)
	}
}

func TestASilentSocketIsPingedAndClosed(t *testing.T) { each(t, testASilentSocketIsPingedAndClosed) }

func testASilentSocketIsPingedAndClosed(t *testing.T, d netpoll.Driver) {
	door := open(t, options{poller: netpoll.Options{Driver: d, Heartbeat: 400 * time.Millisecond}})
	p := door.connect("ann")
	if m := p.next(); m.Opcode != frame.OpPing {
		t.Fatalf("got %v", m.Opcode)
	}
	p.write(masked(frame.OpPong, ""))
	if m := p.next(); m.Opcode != frame.OpPing {
		t.Fatalf("got %v", m.Opcode)
	}
	// No answer this time.
	if m, err := p.read(); err == nil {
		t.Errorf("got %v", m.Opcode)
	}
	await(t, "the socket to be gone", func() bool { return door.gateway.Sockets() == 0 })
}
