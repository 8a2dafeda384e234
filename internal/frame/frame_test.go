package frame_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/chowk-chat/chowk/internal/frame"
)

var key = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// parse feeds b to p in pieces of the given sizes and returns all messages. The last
// size repeats.
func parse(p *frame.Parser, b []byte, pieces ...int) (all []frame.Message, err error) {
	b = bytes.Clone(b)
	for i := 0; len(b) > 0; i++ {
		n := min(max(pieces[min(i, len(pieces)-1)], 1), len(b))
		piece := b[:n]
		b = b[n:]
		for len(piece) > 0 {
			used, m, err := p.Next(piece)
			if err != nil {
				return all, err
			}
			if piece = piece[used:]; m.Opcode != frame.OpNone {
				m.Payload = bytes.Clone(m.Payload)
				all = append(all, m)
			}
		}
	}
	return all, nil
}

// closeCode returns the code of a *frame.Error, 0 for any other error.
func closeCode(err error) uint16 {
	var e *frame.Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Code
}

func masked(op frame.Opcode, payload string) []byte {
	return frame.AppendMasked(nil, op, []byte(payload), key)
}

// fragment returns a frame with the FIN bit as given.
func fragment(op frame.Opcode, fin bool, payload string) []byte {
	b := masked(op, payload)
	if !fin {
		b[0] &^= 0x80
	}
	return b
}

func TestVectorsOfRFC6455(t *testing.T) { // section 5.7
	text := []byte{0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f}
	if diff := cmp.Diff(text, frame.Text([]byte("Hello"))); diff != "" {
		t.Errorf("unmasked (-want +got):\n%s", diff)
	}
	hello := []byte{0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58}
	if diff := cmp.Diff(hello, masked(frame.OpText, "Hello")); diff != "" {
		t.Errorf("masked (-want +got):\n%s", diff)
	}
	var p frame.Parser
	got, err := parse(&p, hello, 100)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]frame.Message{{Opcode: frame.OpText, Payload: []byte("Hello")}}, got); diff != "" {
		t.Errorf("parsed (-want +got):\n%s", diff)
	}
	for n, want := range map[int]int{125: 2, 126: 4, 0xffff: 4, 0x10000: 10} {
		if got := len(frame.Text(make([]byte, n))) - n; got != want {
			t.Errorf("a payload of %d bytes has a header of %d bytes, want %d", n, got, want)
		}
	}
}

func TestMessagesArriveInAnyPieces(t *testing.T) {
	long := strings.Repeat("ä long text ", 4000)
	var b []byte
	b = append(b, masked(frame.OpText, "one")...)
	b = append(b, masked(frame.OpText, "")...)
	b = append(b, fragment(frame.OpText, false, long[:1001])...) // within a character
	b = append(b, masked(frame.OpPing, "are you there")...)
	b = append(b, fragment(frame.OpContinuation, false, "")...)
	b = append(b, fragment(frame.OpContinuation, true, long[1001:])...)
	b = append(b, masked(frame.OpBinary, "\xff")...)
	b = append(b, masked(frame.OpClose, "\x03\xe8bye")...)
	want := []frame.Message{
		{Opcode: frame.OpText, Payload: []byte("one")},
		{Opcode: frame.OpText, Payload: []byte{}},
		{Opcode: frame.OpPing, Payload: []byte("are you there")},
		{Opcode: frame.OpText, Payload: []byte(long)},
		{Opcode: frame.OpBinary, Payload: []byte("\xff")},
		{Opcode: frame.OpClose, Payload: []byte("bye"), Code: 1000},
	}
	for _, pieces := range [][]int{{len(b)}, {1}, {2}, {3, 1}, {16384}, {5, 70, 1, 9000}} {
		var p frame.Parser
		all, err := parse(&p, b, pieces...)
		if err != nil {
			t.Fatalf("in pieces of %v: %v", pieces, err)
		}
		if diff := cmp.Diff(want, all); diff != "" {
			t.Fatalf("in pieces of %v (-want +got):\n%s", pieces, diff)
		}
		if p.Pending() {
			t.Errorf("in pieces of %v: the parser keeps state after the last message", pieces)
		}
	}
}

func TestViolationsHaveTheirCloseCode(t *testing.T) {
	huge := func(n uint64) []byte {
		return binary.BigEndian.AppendUint64([]byte{0x81, 0xff}, n)
	}
	full := fragment(frame.OpText, false, strings.Repeat("x", 64<<10))
	first, more := fragment(frame.OpText, false, ""), fragment(frame.OpContinuation, false, "")
	for name, c := range map[string]struct {
		sent []byte
		code uint16
	}{
		"a reserved bit (5.2)":                  {[]byte{0xc1, 0x80}, 1002},
		"an unknown opcode (5.2)":               {[]byte{0x83, 0x80}, 1002},
		"an unknown control opcode (5.2)":       {[]byte{0x8b, 0x80}, 1002},
		"an unmasked frame (5.1)":               {frame.Text([]byte("x")), 1002},
		"a ping in fragments (5.5)":             {fragment(frame.OpPing, false, ""), 1002},
		"a long ping (5.5)":                     {masked(frame.OpPing, strings.Repeat("x", 126)), 1002},
		"a continuation without message (5.4)":  {masked(frame.OpContinuation, "x"), 1002},
		"a message within a message (5.4)":      {bytes.Join([][]byte{first, masked(frame.OpText, "b")}, nil), 1002},
		"two bytes for a length of one (5.2)":   {[]byte{0x81, 0xfe, 0, 125, 1, 2, 3, 4}, 1002},
		"eight bytes for a length of two (5.2)": {huge(0xffff), 1002},
		"a negative length (5.2)":               {huge(1 << 63), 1002},
		"2^40 bytes announced":                  {huge(1 << 40), 1009},
		"2^62 bytes announced":                  {huge(1 << 62), 1009},
		"a byte too many":                       {masked(frame.OpText, strings.Repeat("x", 64<<10+1)), 1009},
		"a byte too many in fragments":          {append(full, fragment(frame.OpContinuation, false, "x")...), 1009},
		"too many empty fragments":              {bytes.Join([][]byte{first, bytes.Repeat(more, 64)}, nil), 1009},
		"a text that is not UTF-8 (8.1)":        {masked(frame.OpText, "\xc0\xaf"), 1007},
		"a surrogate (8.1)":                     {masked(frame.OpText, "\xed\xa0\x80"), 1007},
		"UTF-8 broken over fragments (8.1)": {
			append(fragment(frame.OpText, false, "\xc3"), masked(frame.OpContinuation, "x")...), 1007,
		},
		"a close frame of one byte (5.5.1)":        {masked(frame.OpClose, "\x03"), 1002},
		"a reserved close code (7.4.1)":            {masked(frame.OpClose, "\x03\xed"), 1002}, // 1005
		"an unassigned close code (7.4.2)":         {masked(frame.OpClose, "\x07\xd0"), 1002}, // 2000
		"a close code above 4999 (7.4.2)":          {masked(frame.OpClose, "\x13\x88"), 1002}, // 5000
		"a close reason that is not UTF-8 (5.5.1)": {masked(frame.OpClose, "\x03\xe8\xff"), 1007},
	} {
		for _, piece := range []int{1 << 20, 1} {
			var p frame.Parser
			_, err := parse(&p, c.sent, piece)
			if got := closeCode(err); got != c.code {
				t.Errorf("%s, in pieces of %d: got %v, want close code %d", name, piece, err, c.code)
			}
		}
	}
}

func TestMaskedFrameOfAServerIsRefused(t *testing.T) {
	p := frame.Parser{Limits: &frame.Limits{Frame: 64 << 10, Message: 64 << 10, Fragments: 64, Client: true}}
	if _, err := parse(&p, masked(frame.OpText, "x"), 100); closeCode(err) != 1002 {
		t.Errorf("got %v, want close code 1002", err)
	}
}

func TestCompleteMessagesNeedNoMemory(t *testing.T) {
	if size := unsafe.Sizeof(frame.Parser{}); size > 32 {
		t.Errorf("an idle parser has %d bytes, want 32 at most", size)
	}
	msg := masked(frame.OpText, "a small message")
	b := make([]byte, len(msg))
	var p frame.Parser
	allocs := testing.AllocsPerRun(100, func() {
		copy(b, msg)
		if _, m, err := p.Next(b); err != nil || m.Opcode != frame.OpText {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("a complete message costs %v allocations, want none", allocs)
	}
}

func TestLongCloseReasonIsCutBetweenCharacters(t *testing.T) {
	b := frame.Close(1000, strings.Repeat("ä", 100))
	p := frame.Parser{Limits: &frame.Limits{Frame: 64 << 10, Message: 64 << 10, Fragments: 64, Client: true}}
	_, m, err := p.Next(b)
	if err != nil || m.Code != 1000 || len(m.Payload) != 122 {
		t.Errorf("got code %d, a reason of %d bytes, %v, want 1000 and 122 bytes", m.Code, len(m.Payload), err)
	}
}

func BenchmarkSmallMessage(b *testing.B) {
	msg := masked(frame.OpText, `{"type":"typing","data":{"channel_id":"0190a5e2-7b1c-7d3e-8f00-0123456789ab"}}`)
	buffer := make([]byte, len(msg))
	var p frame.Parser
	b.ReportAllocs()
	for b.Loop() {
		copy(buffer, msg)
		if _, _, err := p.Next(buffer); err != nil {
			b.Fatal(err)
		}
	}
}
