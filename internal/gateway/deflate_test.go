package gateway_test

import (
	"bytes"
	"compress/flate"
	"net/http"
	"testing"

	"github.com/chowk-chat/chowk/internal/frame"
	"github.com/chowk-chat/chowk/internal/netpoll"
)

const offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"

func packed(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\x00\x00\xff\xff")))
}

func compressed(t *testing.T, text string) []byte {
	t.Helper()
	b := masked(frame.OpText, packed(t, text))
	b[0] |= 0x40
	return b
}

func TestCompression(t *testing.T) { each(t, testCompression) }

func testCompression(t *testing.T, driver netpoll.Driver) {
	d := open(t, options{poller: netpoll.Options{Driver: driver}, deflate: 200})
	_, response := d.handshake("ann")
	if got := response.Header.Get("Sec-WebSocket-Extensions"); got != "" {
		t.Errorf("nobody asked, and it answers %q", got)
	}
	p, response := d.handshake("bob", offer)
	if got := response.Header.Get("Sec-WebSocket-Extensions"); response.StatusCode != http.StatusSwitchingProtocols || got != frame.DeflateAnswer {
		t.Fatalf("%s, %q", response.Status, got)
	}
	p.next() // connection
	p.write(compressed(t, ping("1")))
	if a := p.answer(); a.Type != "pong" || a.ID != "1" {
		t.Errorf("got %+v", a)
	}
	p.pings("2") // it need not compress
	p.write(compressed(t, `{"type":"ping","id":"`+long(10<<20)+`"}`))
	p.closedWith(frame.CloseTooBig)
}

// An event is compressed for those who want it so, the same bytes for all of them.
func TestAnEventIsCompressedForThoseWhoWantIt(t *testing.T) {
	d := open(t, options{deflate: 200})
	id := d.channel("ann", "bob", "eve")
	bob, _ := d.handshake("bob", offer)
	bob.parser.Limits.Deflate = true
	eve, ann := d.connect("eve"), d.connect("ann")
	bob.next() // connection
	for _, content := range []string{long(5000), "short"} {
		ann.write(masked(frame.OpText, `{"type":"new_message","id":"m","data":{"channel_id":"`+id+`","content":"`+content+`"}}`))
		if a := ann.answer(); a.Response.Status != "sent" {
			t.Fatalf("got %+v", a)
		}
		small, plain := bob.next(), eve.next()
		if plain.Compressed || !bytes.Contains(plain.Payload, []byte(content)) {
			t.Errorf("without: %v, %d bytes", plain.Compressed, len(plain.Payload))
		}
		if !small.Compressed || len(small.Payload) > len(plain.Payload) {
			t.Errorf("with: %v, %d bytes instead of %d", small.Compressed, len(small.Payload), len(plain.Payload))
		}
		if text, err := frame.Inflate(small.Payload, 1<<20); err != nil || !bytes.Equal(text, plain.Payload) {
			t.Errorf("it says something else: %v, %s", err, text)
		}
	}
}
