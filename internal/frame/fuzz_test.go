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

	"github.com/gobwas/ws"
	"github.com/google/go-cmp/cmp"

	"github.com/chowk-chat/chowk/internal/frame"
)

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
