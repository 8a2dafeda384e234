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

// compressed returns a compressed text frame.
func compressed(t *testing.T, text string) []byte {
	t.Helper()
	var payload bytes.Buffer
	w, err := flate.NewWriter(&payload, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	b := masked(frame.OpText, string(bytes.TrimSuffix(payload.Bytes(), []byte("\x00\x00\xff\xff"))))
	b[0] |= 0x40
	return b
}

func TestCompressedCommands(t *testing.T) { each(t, testCompressedCommands) }

func testCompressedCommands(t *testing.T, driver netpoll.Driver) {
	s := start(t, options{poller: netpoll.Options{Driver: driver}, deflate: 200})
	const header = "Sec-WebSocket-Extensions"
	_, response := s.handshake("ann")
	if got := response.Header.Get(header); got != "" {
		t.Errorf("%s is %q without an offer, want none", header, got)
	}
	p, response := s.handshake("bob", offer)
	if response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the handshake was answered with %s", response.Status)
	}
	if got := response.Header.Get(header); got != frame.DeflateAnswer {
		t.Fatalf("%s is %q, want %q", header, got, frame.DeflateAnswer)
	}
	p.next() // connection
	p.write(compressed(t, ping("1")))
	p.wantAnswer(pong("1"))
	p.ping("2") // compression is optional
	p.write(compressed(t, `{"type":"ping","id":"`+long(10<<20)+`"}`))
	p.wantClose(frame.CloseTooBig)
}

func TestEventsAreCompressedForClientsThatAcceptIt(t *testing.T) {
	s := start(t, options{deflate: 200})
	id := s.channel("ann", "bob", "eve")
	bob, _ := s.handshake("bob", offer)
	bob.parser.Limits.Deflate = true
	eve, ann := s.connect("eve"), s.connect("ann")
	bob.next() // connection
	for _, content := range []string{long(5000), "short"} {
		send := `{"type":"new_message","id":"m","data":{"channel_id":"` + id + `","content":"` + content + `"}}`
		ann.write(masked(frame.OpText, send))
		if a := ann.answer(); a.Response.Status != "sent" {
			t.Fatalf("got the answer %+v, want status sent", a)
		}
		small, plain := bob.next(), eve.next()
		if plain.Compressed || !bytes.Contains(plain.Payload, []byte(content)) {
			t.Errorf("without an offer: compressed %v, got %s, want the message", plain.Compressed, plain.Payload)
		}
		if !small.Compressed || len(small.Payload) > len(plain.Payload) {
			t.Errorf("with an offer: compressed %v, %d bytes, want at most %d compressed ones",
				small.Compressed, len(small.Payload), len(plain.Payload))
		}
		if text, err := frame.Inflate(small.Payload, 1<<20); err != nil || !bytes.Equal(text, plain.Payload) {
			t.Errorf("inflated: got %s, %v, want %s", text, err, plain.Payload)
		}
	}
}
