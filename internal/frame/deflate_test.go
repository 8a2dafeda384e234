package frame_test

import (
	"bytes"
	"compress/flate"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"

	"github.com/chowk-chat/chowk/internal/frame"
)

func TestVectorOfRFC7692(t *testing.T) { // section 7.2.3.1
	limits := &frame.Limits{Frame: 100, Message: 100, Fragments: 4, Deflate: true}
	hello := []byte{0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00}
	complete := masked(frame.OpText, string(hello))
	complete[0] |= 0x40
	first := fragment(frame.OpText, false, string(hello[:3]))
	first[0] |= 0x40
	second := fragment(frame.OpContinuation, true, string(hello[3:]))
	for name, b := range map[string][]byte{"one frame": complete, "two fragments": append(first, second...)} {
		p := frame.Parser{Limits: limits}
		all, err := parse(&p, b, 3)
		if err != nil || len(all) != 1 || !all[0].Compressed {
			t.Fatalf("%s: got %v, %v, want one compressed message", name, all, err)
		}
		if text, err := frame.Inflate(all[0].Payload, 100); err != nil || string(text) != "Hello" {
			t.Errorf("%s: got %q, %v, want Hello", name, text, err)
		}
	}
}

func TestCompressedBitIsRefusedWhereNotAllowed(t *testing.T) {
	bit := func(b []byte, bits byte) []byte { b[0] |= bits; return b }
	for name, c := range map[string]struct {
		deflate bool
		sent    []byte
	}{
		"not negotiated": {false, bit(masked(frame.OpText, "x"), 0x40)},
		"a ping":         {true, bit(masked(frame.OpPing, "x"), 0x40)},
		"a continuation": {
			true, append(fragment(frame.OpText, false, "x"), bit(masked(frame.OpContinuation, "x"), 0x40)...),
		},
		"another bit": {true, bit(masked(frame.OpText, "x"), 0x20)},
		"both bits":   {true, bit(masked(frame.OpText, "x"), 0x60)},
	} {
		p := frame.Parser{Limits: &frame.Limits{Frame: 100, Message: 100, Fragments: 4, Deflate: c.deflate}}
		if _, err := parse(&p, c.sent, 100); closeCode(err) != frame.CloseProtocol {
			t.Errorf("%s: got %v, want close code %d", name, err, frame.CloseProtocol)
		}
	}
}

func TestDeflatedTextIsReadByAnotherImplementation(t *testing.T) {
	for _, text := range []string{strings.Repeat("hello ", 50), strings.Repeat("x", 100_000)} {
		deflated := frame.DeflatedText([]byte(text))
		if deflated == nil || len(deflated) >= len(text) {
			t.Fatalf("%d bytes became %d", len(text), len(deflated))
		}
		h, err := ws.ReadHeader(bytes.NewReader(deflated))
		if err != nil {
			t.Fatal(err)
		}
		f := ws.Frame{Header: h, Payload: frame.Payload(deflated)}
		if f, err = wsflate.DecompressFrame(f); err != nil || string(f.Payload) != text {
			t.Errorf("it returns %d bytes, %v, want the %d bytes of the text", len(f.Payload), err, len(text))
		}
		got, err := frame.Inflate(frame.Payload(deflated), len(text))
		if err != nil || string(got) != text {
			t.Errorf("Inflate returns %d bytes, %v, want the %d bytes of the text", len(got), err, len(text))
		}
	}
	if b := frame.DeflatedText([]byte("x")); b != nil {
		t.Errorf("DeflatedText returns %d bytes for a text that compression makes larger, want nil", len(b))
	}
}

func deflated(t *testing.T, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\x00\x00\xff\xff"))
}

func TestBombIsNotInflated(t *testing.T) {
	bomb := deflated(t, make([]byte, 40<<20)) // 40 KB
	allocated := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := frame.Inflate(bomb, 64<<10); closeCode(err) != frame.CloseTooBig {
				b.Fatalf("got %v, want close code %d", err, frame.CloseTooBig)
			}
		}
	}).AllocedBytesPerOp()
	if allocated > 1<<20 {
		t.Errorf("a bomb allocated %d bytes", allocated)
	}
	for name, payload := range map[string][]byte{
		"garbage":   []byte("\xff\xff\xff"),
		"not UTF-8": deflated(t, []byte("\xff")),
	} {
		if _, err := frame.Inflate(payload, 100); closeCode(err) != frame.CloseInvalid {
			t.Errorf("%s: got %v, want close code %d", name, err, frame.CloseInvalid)
		}
	}
	if text, err := frame.Inflate(deflated(t, []byte("fine")), 4); err != nil || string(text) != "fine" {
		t.Errorf("a message of exactly the maximum size: got %q, %v, want fine", text, err)
	}
}

func TestOffersDeflate(t *testing.T) {
	for offer, want := range map[string]bool{
		"permessage-deflate":                                                         true,
		"permessage-deflate; client_max_window_bits":                                 true,
		"permessage-deflate; client_max_window_bits=10":                              true,
		"permessage-deflate; server_no_context_takeover; client_no_context_takeover": true,
		"permessage-deflate; server_max_window_bits=10, permessage-deflate":          true, // the second
		"x-webkit-deflate-frame, permessage-deflate":                                 true,
		"permessage-deflate; server_max_window_bits=10":                              false,
		"permessage-deflate; server_max_window_bits=\"15\"":                          true,
		"permessage-deflate; client_max_window_bits=16":                              false,
		"permessage-deflate; server_no_context_takeover=1":                           false,
		"permessage-deflate; server_no_context_takeover; server_no_context_takeover": false,
		"permessage-deflate; something":                                              false,
		"permessage-deflates":                                                        false,
		"":                                                                           false,
	} {
		if got := frame.OffersDeflate([]string{offer}); got != want {
			t.Errorf("OffersDeflate(%q) = %v, want %v", offer, got, want)
		}
	}
}
