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

// This file is permessage-deflate (RFC 7692) without context takeover: each message
// is compressed separately, so that sockets keep no state for it and can share one
// compressed frame.

// DeflateAnswer is the Sec-WebSocket-Extensions header of a handshake that accepts an
// offer.
const DeflateAnswer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

// OffersDeflate reports whether DeflateAnswer accepts one of the offers in the
// Sec-WebSocket-Extensions headers. An offer that asks for a smaller window than ours
// is not accepted (RFC 7692 section 7.1).
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
		case "client_max_window_bits": // any is fine, and the answer asks for none
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

// Payload returns the payload of a complete, unmasked frame, such as Text returns.
func Payload(frame []byte) []byte {
	switch frame[1] & 0x7f {
	case 126:
		return frame[4:]
	case 127:
		return frame[10:]
	}
	return frame[2:]
}

// tail ends each compressed message and is not sent (RFC 7692 section 7.2.1). The
// empty final block after it lets an inflater detect the end.
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

// DeflatedText is Text with a compressed payload. It returns nil if the compressed
// payload is not smaller.
func DeflatedText(payload []byte) []byte {
	var b bytes.Buffer
	w := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(w)
	w.Reset(&b)
	if _, err := w.Write(payload); err != nil {
		return nil // cannot happen: a bytes.Buffer accepts every write
	}
	if err := w.Flush(); err != nil {
		return nil
	}
	compressed := bytes.TrimSuffix(b.Bytes(), []byte(tail))
	if len(compressed) >= len(payload) {
		return nil
	}
	frame := AppendFrame(nil, OpText, compressed)
	frame[0] |= reservedDeflate
	return frame
}

var inflaters = sync.Pool{New: func() any { return flate.NewReader(strings.NewReader("")) }}

// Inflate returns the text of a compressed message. It inflates no more than maxSize
// bytes: a larger message is an *Error.
func Inflate(payload []byte, maxSize int) ([]byte, error) {
	r := inflaters.Get().(io.ReadCloser)
	defer inflaters.Put(r)
	in := io.MultiReader(bytes.NewReader(payload), strings.NewReader(readEnd))
	if err := r.(flate.Resetter).Reset(in, nil); err != nil {
		return nil, &Error{CloseInternal, "cannot inflate the message"}
	}
	text, err := io.ReadAll(io.LimitReader(r, int64(maxSize)+1))
	switch {
	case len(text) > maxSize:
		return nil, &Error{CloseTooBig, textTooBig}
	case err != nil && !errors.Is(err, io.EOF):
		return nil, &Error{CloseInvalid, "the message is not valid DEFLATE data"}
	case !utf8.Valid(text):
		return nil, &Error{CloseInvalid, textNotUTF8}
	}
	return text, nil
}
