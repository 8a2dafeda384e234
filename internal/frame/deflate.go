package frame

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"strings"
	"sync"
	"unicode/utf8"
)

// What follows is permessage-deflate (RFC 7692) without context takeover: each
// message is compressed by itself, so sockets keep nothing for it, and many can
// share one compressed frame.

// DeflateAnswer is the Sec-WebSocket-Extensions of a handshake in which an offer
// was taken up.
const DeflateAnswer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

// OffersDeflate says whether one of the offers in Sec-WebSocket-Extensions headers
// can be taken up with DeflateAnswer: it must not ask for a smaller window than ours
// (section 7.1).
func OffersDeflate(headers []string) bool {
	for _, h := range headers {
		for offer := range strings.SplitSeq(h, ",") {
			if acceptable(offer) {
				return true
			}
		}
	}
	return false
}

func acceptable(offer string) bool {
	name, params, _ := strings.Cut(offer, ";")
	if strings.TrimSpace(name) != "permessage-deflate" {
		return false
	}
	seen := make(map[string]bool)
	for param := range strings.SplitSeq(params, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		key, value = strings.TrimSpace(key), strings.Trim(strings.TrimSpace(value), `"`)
		if key == "" && params == "" {
			continue
		}
		ok := false
		switch key {
		case "server_no_context_takeover", "client_no_context_takeover":
			ok = value == ""
		case "client_max_window_bits": // we take any, and ask for none
			ok = value == "" || windowBits(value)
		case "server_max_window_bits":
			ok = value == "15"
		}
		if !ok || seen[key] {
			return false
		}
		seen[key] = true
	}
	return true
}

func windowBits(s string) bool {
	return s == "8" || s == "9" || len(s) == 2 && s >= "10" && s <= "15"
}

// Payload is what a whole unmasked frame carries, as Text makes it.
func Payload(whole []byte) []byte {
	switch whole[1] & 0x7f {
	case 126:
		return whole[4:]
	case 127:
		return whole[10:]
	}
	return whole[2:]
}

// tail ends each compressed message, and is not sent (section 7.2.1). The empty last
// block after it lets a reader see the end.
const (
	tail    = "\x00\x00\xff\xff"
	readEnd = tail + "\x01\x00\x00\xff\xff"
)

var deflaters = sync.Pool{New: func() any {
	w, err := flate.NewWriter(io.Discard, flate.BestSpeed)
	if err != nil {
		panic("frame: " + err.Error()) // the level is a constant
	}
	return w
}}

// DeflatedText is Text with the payload compressed, nil when that would not make it
// smaller.
func DeflatedText(payload []byte) []byte {
	var b bytes.Buffer
	w := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(w)
	w.Reset(&b)
	if _, err := w.Write(payload); err != nil {
		return nil // a buffer takes everything
	}
	if err := w.Flush(); err != nil {
		return nil
	}
	compressed := bytes.TrimSuffix(b.Bytes(), []byte(tail))
	if len(compressed) >= len(payload) {
		return nil
	}
	whole := AppendFrame(nil, OpText, compressed)
	whole[0] |= reservedDeflate
	return whole
}

var inflaters = sync.Pool{New: func() any { return flate.NewReader(strings.NewReader("")) }}

// Inflate gives a compressed text message. One that would be larger than most is an
// *Error before more than that has been inflated.
func Inflate(payload []byte, most int) ([]byte, error) {
	r := inflaters.Get().(io.ReadCloser)
	defer inflaters.Put(r)
	in := io.MultiReader(bytes.NewReader(payload), strings.NewReader(readEnd))
	if err := r.(flate.Resetter).Reset(in, nil); err != nil {
		return nil, &Error{CloseInternal, "a message could not be inflated"}
	}
	text, err := io.ReadAll(io.LimitReader(r, int64(most)+1))
	switch {
	case len(text) > most:
		return nil, &Error{CloseTooBig, "a message that is too big"}
	case err != nil && !errors.Is(err, io.EOF):
		return nil, &Error{CloseInvalid, "a message that cannot be inflated"}
	case !utf8.Valid(text):
		return nil, &Error{CloseInvalid, "a text that is not UTF-8"}
	}
	return text, nil
}
