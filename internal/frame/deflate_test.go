package frame_test

import (
	"bytes"
	"compress/flate"
	"errors"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"

	"github.com/chowk-chat/chowk/internal/frame"
)

func TestTheVectorOfRFC7692(t *testing.T) { // section 7.2.3.1
	limits := &frame.Limits{Frame: 100, Message: 100, Fragments: 4, Deflate: true}
	hello := []byte{0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00}
	whole := masked(frame.OpText, string(hello))
	whole[0] |= 0x40
	first, second := fragment(frame.OpText, false, string(hello[:3])), fragment(frame.OpContinuation, true, string(hello[3:]))
	first[0] |= 0x40
	for name, b := range map[string][]byte{"whole": whole, "in fragments": append(first, second...)} {
		p := frame.Parser{Limits: limits}
		all, err := parse(&p, b, 3)
		if err != nil || len(all) != 1 || !all[0].Compressed {
			t.Fatalf("%s: %v, %v", name, all, err)
		}
		if text, err := frame.Inflate(all[0].Payload, 100); err != nil || string(text) != "Hello" {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}

func TestTheCompressedBitIsRefusedWhereItMayNotBe(t *testing.T) {
	bit := func(b []byte, bits byte) []byte { b[0] |= bits; return b }
	for name, c := range map[string]struct {
		deflate bool
		sent    []byte
	}{
		"not agreed upon":   {false, bit(masked(frame.OpText, "x"), 0x40)},
		"a ping":            {true, bit(masked(frame.OpPing, "x"), 0x40)},
		"a continuation":    {true, append(fragment(frame.OpText, false, "x"), bit(masked(frame.OpContinuation, "x"), 0x40)...)},
		"another bit":       {true, bit(masked(frame.OpText, "x"), 0x20)},
		"another bit, both": {true, bit(masked(frame.OpText, "x"), 0x60)},
	} {
		p := frame.Parser{Limits: &frame.Limits{Frame: 100, Message: 100, Fragments: 4, Deflate: c.deflate}}
		var e *frame.Error
		if _, err := parse(&p, c.sent, 100); !errors.As(err, &e) || e.Code != frame.CloseProtocol {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnotherImplementationInflatesOurs(t *testing.T) {
	for _, text := range []string{strings.Repeat("hello ", 50), strings.Repeat("x", 100_000)} {
		whole := frame.DeflatedText([]byte(text))
		if whole == nil || len(whole) >= len(text) {
			t.Fatalf("%d bytes became %d", len(text), len(whole))
		}
		h, err := ws.ReadHeader(bytes.NewReader(whole))
		if err != nil {
			t.Fatal(err)
		}
		f := ws.Frame{Header: h, Payload: frame.Payload(whole)}
		if f, err = wsflate.DecompressFrame(f); err != nil || string(f.Payload) != text {
			t.Errorf("%d bytes, %v", len(f.Payload), err)
		}
		got, err := frame.Inflate(frame.Payload(whole), len(text))
		if err != nil || string(got) != text {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
	if frame.DeflatedText([]byte("x")) != nil {
		t.Error("what becomes larger is compressed")
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

func TestABombIsNotInflated(t *testing.T) {
	bomb := deflated(t, make([]byte, 40<<20)) // 40 KB
	var e *frame.Error
	allocated := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := frame.Inflate(bomb, 64<<10); !errors.As(err, &e) || e.Code != frame.CloseTooBig {
				b.Fatalf("got %v", err)
			}
		}
	}).AllocedBytesPerOp()
	if allocated > 1<<20 {
		t.Errorf("%d bytes were allocated for it", allocated)
	}
	for name, c := range map[string]struct {
		payload []byte
		code    uint16
	}{
		"garbage":   {[]byte("\xff\xff\xff"), frame.CloseInvalid},
		"not UTF-8": {deflated(t, []byte("\xff")), frame.CloseInvalid},
	} {
		if _, err := frame.Inflate(c.payload, 100); !errors.As(err, &e) || e.Code != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	if text, err := frame.Inflate(deflated(t, []byte("fine")), 4); err != nil || string(text) != "fine" {
		t.Errorf("what is just not too big: %q, %v", text, err)
	}
}

func TestOffersOfCompression(t *testing.T) {
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
			t.Errorf("%q: %v", offer, got)
		}
	}
}
