package frame_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
	"unsafe"

	"github.com/gobwas/ws"
	"github.com/google/go-cmp/cmp"

	"github.com/chowk-chat/chowk/internal/frame"
)

var key = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// parse feeds b to p in pieces of the given sizes, the last of which repeats, and
// returns all messages.
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

// oracle reads frames strictly, with another implementation, and assembles messages.
// ok is false if b violates the protocol.
func oracle(b []byte, l frame.Limits) (all []frame.Message, ok bool) {
	r := bytes.NewReader(b)
	state := ws.StateServerSide
	var message []byte
	var op ws.OpCode
	fragments := 0
	for {
		h, err := ws.ReadHeader(r)
		if err != nil {
			// A rest that is too short is not a violation; a negative length is.
			return all, errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		}
		if ws.CheckHeader(h, state) != nil {
			return all, false
		}
		received := 0
		if !h.OpCode.IsControl() {
			received = len(message)
			if h.OpCode == ws.OpContinuation && fragments >= l.Fragments {
				return all, false
			}
		}
		if h.Length > int64(l.Frame) || h.Length > int64(l.Message-received) {
			return all, false
		}
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(r, payload); err != nil {
			return all, true
		}
		ws.Cipher(payload, h.Mask, 0)
		if h.OpCode.IsControl() {
			m := frame.Message{Opcode: frame.Opcode(h.OpCode), Payload: payload}
			if h.OpCode == ws.OpClose {
				m.Code = frame.CloseNoStatus
				if len(payload) > 0 {
					code, reason := ws.ParseCloseFrameData(payload)
					// gobwas does not know 1012 to 1014, which were registered later, and
					// accepts 5000 and above, which are not allowed.
					registered := code >= 1012 && code <= 1014 && utf8.ValidString(reason)
					if len(payload) == 1 || code >= 5000 || !registered && ws.CheckCloseFrameData(code, reason) != nil {
						return all, false
					}
					m.Code, m.Payload = uint16(code), payload[2:]
				}
			}
			all = append(all, m)
			continue
		}
		if h.OpCode != ws.OpContinuation {
			op, message, fragments = h.OpCode, nil, 0
		}
		if !h.Fin || h.OpCode == ws.OpContinuation {
			fragments++
		}
		message = append(message, payload...)
		if !h.Fin {
			state = state.Set(ws.StateFragmented)
			continue
		}
		state = state.Clear(ws.StateFragmented)
		if op == ws.OpText && !utf8.Valid(message) {
			return all, false
		}
		all = append(all, frame.Message{Opcode: frame.Opcode(op), Payload: message})
		message, fragments = nil, 0
	}
}

// minimal reports whether every length in b is in its shortest form, which gobwas does
// not check.
func minimal(b []byte) bool {
	for len(b) >= 2 {
		n, head := uint64(b[1]&0x7f), 2
		switch n {
		case 126:
			if len(b) < 4 {
				return true
			}
			if n, head = uint64(binary.BigEndian.Uint16(b[2:])), 4; n < 126 {
				return false
			}
		case 127:
			if len(b) < 10 {
				return true
			}
			if n, head = binary.BigEndian.Uint64(b[2:]), 10; n <= 0xffff {
				return false
			}
		}
		if b[1]&0x80 != 0 {
			head += 4
		}
		if n > uint64(len(b)) || head+int(n) > len(b) {
			return true
		}
		b = b[head+int(n):]
	}
	return true
}

func FuzzParser(f *testing.F) {
	f.Add(masked(frame.OpText, "Hello"), uint64(1))
	f.Add(append(fragment(frame.OpText, false, "He"), masked(frame.OpContinuation, "llo")...), uint64(2))
	f.Add(bytes.Join([][]byte{
		fragment(frame.OpText, false, "\xc3"), masked(frame.OpPing, "x"), masked(frame.OpContinuation, "\xa4"),
	}, nil), uint64(3))
	f.Add(masked(frame.OpClose, "\x03\xe8bye"), uint64(4))
	f.Add(masked(frame.OpText, strings.Repeat("x", 200)), uint64(5))
	f.Add([]byte{0x81, 0xff, 0, 0, 1, 0, 0, 0, 0, 0}, uint64(6))
	f.Fuzz(compareWithOracle)
}

// equal reports whether a and b are the same message. It is much faster than cmp.Equal.
func equal(a, b frame.Message) bool {
	return a.Opcode == b.Opcode && a.Code == b.Code && bytes.Equal(a.Payload, b.Payload)
}

// compareWithOracle parses b in one piece, byte by byte and in random pieces.
func compareWithOracle(t *testing.T, b []byte, seed uint64) {
	if !minimal(b) {
		return // the oracle accepts lengths that are not in their shortest form
	}
	limits := frame.Limits{Frame: 300, Message: 500, Fragments: 4}
	want, wantOK := oracle(b, limits)
	random := rand.New(rand.NewPCG(seed, 1))
	pieces := make([]int, 32)
	for i := range pieces {
		pieces[i] = 1 + random.IntN(20)
	}
	for _, sizes := range [][]int{{len(b) + 1}, {1}, pieces} {
		p := frame.Parser{Limits: &limits}
		got, err := parse(&p, b, sizes...)
		// The parser refuses by a header what the oracle refuses by the whole frame.
		if wantOK && err != nil && !truncated(b) || !wantOK && err == nil {
			t.Fatalf("% x in pieces of %v: got %v, the oracle has ok=%v", b, sizes, err, wantOK)
		}
		if !slices.EqualFunc(want, got, equal) {
			t.Fatalf("% x in pieces of %v (-oracle +parser):\n%s", b, sizes, cmp.Diff(want, got))
		}
	}
}

// TestRandomStreams is a fixed number of fuzzing steps: streams of mostly valid frames,
// some with a few flipped bits.
func TestRandomStreams(t *testing.T) {
	ops := []frame.Opcode{
		frame.OpText, frame.OpText, frame.OpBinary, frame.OpContinuation, frame.OpPing, frame.OpPong, frame.OpClose,
	}
	for seed := range uint64(5_000) {
		r := rand.New(rand.NewPCG(seed, 2))
		var b []byte
		for inMessage := false; len(b) < 400 && r.IntN(8) > 0; {
			op := ops[r.IntN(len(ops))]
			fin := r.IntN(3) > 0
			if op < frame.OpClose && r.IntN(10) > 0 && inMessage {
				op = frame.OpContinuation
			}
			payload := make([]byte, r.IntN(150))
			for i := range payload {
				payload[i] = "aä\xc3€z"[r.IntN(7)]
			}
			if op >= frame.OpClose {
				payload, fin = payload[:min(len(payload), 125)], true
			} else {
				inMessage = !fin
			}
			b = append(b, fragment(op, fin, string(payload))...)
		}
		for range r.IntN(3) {
			if len(b) > 0 {
				b[r.IntN(len(b))] ^= 1 << r.IntN(8)
			}
		}
		compareWithOracle(t, b, seed)
	}
}

// truncated reports whether b ends within a header. The parser may refuse the beginning
// of a header for which the oracle waits.
func truncated(b []byte) bool {
	r := bytes.NewReader(b)
	for {
		h, err := ws.ReadHeader(r)
		if err != nil {
			return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)
		}
		if n, err := io.CopyN(io.Discard, r, h.Length); err != nil || n < h.Length {
			return false
		}
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
