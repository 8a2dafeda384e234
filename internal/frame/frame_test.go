package frame_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
	"unsafe"

	"github.com/gobwas/ws"

	"github.com/chowk-chat/chowk/internal/frame"
)

var key = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// parse feeds b in pieces of the given sizes (the last repeated) and collects what
// comes out.
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

func masked(op frame.Opcode, payload string) []byte {
	return frame.AppendMasked(nil, op, []byte(payload), key)
}

// fragment is a frame with FIN as given.
func fragment(op frame.Opcode, fin bool, payload string) []byte {
	b := masked(op, payload)
	if !fin {
		b[0] &^= 0x80
	}
	return b
}

func TestTheVectorsOfRFC6455(t *testing.T) { // section 5.7
	if got := frame.Text([]byte("Hello")); !bytes.Equal(got, []byte{0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f}) {
		t.Errorf("text: % x", got)
	}
	hello := []byte{0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58}
	if got := masked(frame.OpText, "Hello"); !bytes.Equal(got, hello) {
		t.Errorf("masked: % x", got)
	}
	var p frame.Parser
	all, err := parse(&p, hello, 100)
	if err != nil || len(all) != 1 || string(all[0].Payload) != "Hello" {
		t.Errorf("got %v, %v", all, err)
	}
	for n, length := range map[int]int{125: 2, 126: 4, 0xffff: 4, 0x10000: 10} {
		if got := len(frame.Text(make([]byte, n))) - n; got != length {
			t.Errorf("the header of %d bytes has %d", n, got)
		}
	}
}

func TestMessagesInAnyPieces(t *testing.T) {
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
	for _, pieces := range [][]int{{len(b)}, {1}, {2}, {3, 1}, {16384}, {5, 70, 1, 9000}} {
		var p frame.Parser
		all, err := parse(&p, b, pieces...)
		if err != nil {
			t.Fatalf("in pieces of %v: %v", pieces, err)
		}
		var got []string
		for _, m := range all {
			got = append(got, string(m.Payload))
		}
		want := []string{"one", "", "are you there", long, "\xff", "bye"}
		if strings.Join(got, "|") != strings.Join(want, "|") || all[5].Code != 1000 || all[2].Opcode != frame.OpPing {
			t.Fatalf("in pieces of %v: got %d messages", pieces, len(got))
		}
		if p.Holds() {
			t.Errorf("in pieces of %v: something is kept of nothing", pieces)
		}
	}
}

func TestViolationsAreClosedWithTheirCode(t *testing.T) {
	huge := func(n uint64) []byte {
		return binary.BigEndian.AppendUint64([]byte{0x81, 0xff}, n)
	}
	for name, c := range map[string]struct {
		sent []byte
		code uint16
	}{
		"a reserved bit (5.2)":                      {[]byte{0xc1, 0x80}, 1002},
		"an unknown opcode (5.2)":                   {[]byte{0x83, 0x80}, 1002},
		"an unknown control opcode (5.2)":           {[]byte{0x8b, 0x80}, 1002},
		"an unmasked frame (5.1)":                   {frame.Text([]byte("x")), 1002},
		"a ping in fragments (5.5)":                 {fragment(frame.OpPing, false, ""), 1002},
		"a long ping (5.5)":                         {masked(frame.OpPing, strings.Repeat("x", 126)), 1002},
		"a continuation of nothing (5.4)":           {masked(frame.OpContinuation, "x"), 1002},
		"a message within a message (5.4)":          {append(fragment(frame.OpText, false, "a"), masked(frame.OpText, "b")...), 1002},
		"a length of two bytes for one (5.2)":       {[]byte{0x81, 0xfe, 0, 125, 1, 2, 3, 4}, 1002},
		"a length of eight bytes for two (5.2)":     {huge(0xffff), 1002},
		"a negative length (5.2)":                   {huge(1 << 63), 1002},
		"2^40 bytes announced":                      {huge(1 << 40), 1009},
		"2^62 bytes announced":                      {huge(1 << 62), 1009},
		"a byte too many":                           {masked(frame.OpText, strings.Repeat("x", 64<<10+1)), 1009},
		"a byte too many in fragments":              {append(fragment(frame.OpText, false, strings.Repeat("x", 64<<10)), fragment(frame.OpContinuation, false, "x")...), 1009},
		"too many empty fragments":                  {append(fragment(frame.OpText, false, ""), bytes.Repeat(fragment(frame.OpContinuation, false, ""), 64)...), 1009},
		"a text that is not UTF-8 (8.1)":            {masked(frame.OpText, "\xc0\xaf"), 1007},
		"a surrogate (8.1)":                         {masked(frame.OpText, "\xed\xa0\x80"), 1007},
		"UTF-8 broken over fragments (8.1)":         {append(fragment(frame.OpText, false, "\xc3"), masked(frame.OpContinuation, "x")...), 1007},
		"a close frame of one byte (5.5.1)":         {masked(frame.OpClose, "\x03"), 1002},
		"a close code that may not be sent (7.4.1)": {masked(frame.OpClose, "\x03\xed"), 1002}, // 1005
		"a close code of nobody's (7.4.2)":          {masked(frame.OpClose, "\x07\xd0"), 1002}, // 2000
		"a close code beyond all (7.4.2)":           {masked(frame.OpClose, "\x13\x88"), 1002}, // 5000
		"a close reason that is not UTF-8 (5.5.1)":  {masked(frame.OpClose, "\x03\xe8\xff"), 1007},
	} {
		for _, piece := range []int{1 << 20, 1} {
			var p frame.Parser
			_, err := parse(&p, c.sent, piece)
			var e *frame.Error
			if !errors.As(err, &e) || e.Code != c.code {
				t.Errorf("%s, in pieces of %d: got %v, want %d", name, piece, err, c.code)
			}
		}
	}
}

func TestAServersFramesAreNotMasked(t *testing.T) {
	p := frame.Parser{Limits: &frame.Limits{Frame: 64 << 10, Message: 64 << 10, Fragments: 64, Client: true}}
	var e *frame.Error
	if _, err := parse(&p, masked(frame.OpText, "x"), 100); !errors.As(err, &e) || e.Code != 1002 {
		t.Errorf("got %v", err)
	}
}

func TestNothingIsKeptWhileNothingIsHalfReceived(t *testing.T) {
	if size := unsafe.Sizeof(frame.Parser{}); size > 32 {
		t.Errorf("an idle parser has %d bytes", size)
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
		t.Errorf("a whole message costs %v allocations", allocs)
	}
}

func TestALongCloseReasonIsCutBetweenCharacters(t *testing.T) {
	b := frame.Close(1000, strings.Repeat("ä", 100))
	p := frame.Parser{Limits: &frame.Limits{Frame: 64 << 10, Message: 64 << 10, Fragments: 64, Client: true}}
	_, m, err := p.Next(b)
	if err != nil || m.Code != 1000 || len(m.Payload) != 122 {
		t.Errorf("got %d bytes, %v", len(m.Payload), err)
	}
}

// oracle reads frames with another implementation, strictly, and assembles them.
func oracle(b []byte, l frame.Limits) (all []frame.Message, ok bool) {
	r := bytes.NewReader(b)
	state := ws.StateServerSide
	var message []byte
	var op ws.OpCode
	fragments := 0
	for {
		h, err := ws.ReadHeader(r)
		if err != nil {
			// Too short a rest is no violation; a negative length is.
			return all, errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		}
		if ws.CheckHeader(h, state) != nil {
			return all, false
		}
		so := 0
		if !h.OpCode.IsControl() {
			so = len(message)
			if h.OpCode == ws.OpContinuation && fragments >= l.Fragments {
				return all, false
			}
		}
		if h.Length > int64(l.Frame) || h.Length > int64(l.Message-so) {
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
					// It does not know 1012 to 1014, registered since, and takes 5000 and
					// above, which nobody may use.
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

// minimal says whether every length in b is in its shortest form: gobwas does not
// look.
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
	f.Add(append(fragment(frame.OpText, false, "\xc3"), append(masked(frame.OpPing, "x"), masked(frame.OpContinuation, "\xa4")...)...), uint64(3))
	f.Add(masked(frame.OpClose, "\x03\xe8bye"), uint64(4))
	f.Add(masked(frame.OpText, strings.Repeat("x", 200)), uint64(5))
	f.Add([]byte{0x81, 0xff, 0, 0, 1, 0, 0, 0, 0, 0}, uint64(6))
	f.Fuzz(againstTheOracle)
}

// againstTheOracle compares in one piece, byte by byte and in random pieces.
func againstTheOracle(t *testing.T, b []byte, seed uint64) {
	if !minimal(b) {
		return // the oracle takes lengths that are not in their shortest form
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
		// A header that promises what is refused later is refused at once here.
		if wantOK && err != nil && !truncated(b) || !wantOK && err == nil {
			t.Fatalf("% x in pieces %v: %v, the oracle says ok=%v", b, sizes, err, wantOK)
		}
		if len(got) != len(want) {
			t.Fatalf("% x in pieces %v: %d messages, the oracle has %d", b, sizes, len(got), len(want))
		}
		for i := range got {
			if got[i].Opcode != want[i].Opcode || !bytes.Equal(got[i].Payload, want[i].Payload) || got[i].Code != want[i].Code {
				t.Fatalf("message %d: %+v, the oracle has %+v", i, got[i], want[i])
			}
		}
	}
}

// TestRandomStreams is a fixed number of fuzzing steps: streams of frames that are
// mostly right, some with a few bits turned.
func TestRandomStreams(t *testing.T) {
	ops := []frame.Opcode{frame.OpText, frame.OpText, frame.OpBinary, frame.OpContinuation, frame.OpPing, frame.OpPong, frame.OpClose}
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
		againstTheOracle(t, b, seed)
	}
}

// truncated says whether b ends within a header, of which the parser may refuse
// what has come while the oracle waits for the rest.
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
