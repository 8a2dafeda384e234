package bench

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// serverFrame is the relevant content of a frame from the server.
type serverFrame struct {
	kind string
	// Of an answer:
	refusal string // its code; "refused" if it has none
	after   time.Duration
	event   string
	// Of an entry of a channel's log:
	seq chat.Seq
	// Of a message of this run:
	due time.Time
	// Of the connection frame:
	epoch    string
	channels []chat.ChannelState
}

// marker precedes the time in the content of a message.
const marker = "chowkbench:"

// appendContent appends a message's content of size bytes, with the time when it was
// due.
func appendContent(b []byte, due time.Time, size int) []byte {
	start := len(b)
	b = append(b, marker...)
	b = strconv.AppendInt(b, due.UnixNano(), 10)
	b = append(b, ':')
	for len(b)-start < size {
		b = append(b, "chowk is a place where roads meet. "[:min(35, size-(len(b)-start))]...)
	}
	return b
}

// parseFrame parses a frame. Frequent ones are searched instead of decoded.
func parseFrame(b []byte) serverFrame {
	kind := kindOf(b)
	switch kind {
	case "message":
		return serverFrame{kind: kind, seq: number(b, `"seq":`), due: dueOf(b)}
	case "ack":
		if !bytes.Contains(b, []byte(`"error"`)) {
			return serverFrame{kind: kind}
		}
	case "typing", "presence", "pong", "read_receipt":
		return serverFrame{kind: kind}
	}
	return parseJSON(b)
}

// kindOf returns the type of a frame that begins with it.
func kindOf(b []byte) string {
	rest, ok := bytes.CutPrefix(b, []byte(`{"type":`))
	if !ok {
		return ""
	}
	rest, ok = bytes.CutPrefix(bytes.TrimLeft(rest, " "), []byte(`"`))
	end := bytes.IndexByte(rest, '"')
	if !ok || end < 0 {
		return ""
	}
	return string(rest[:end])
}

// number returns the number that follows the first occurrence of a key, 0 if there is
// none.
func number(b []byte, key string) int64 {
	at := bytes.Index(b, []byte(key))
	if at < 0 {
		return 0
	}
	var n int64
	for _, c := range bytes.TrimLeft(b[at+len(key):], " ") {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + int64(c-'0')
	}
	return n
}

func dueOf(b []byte) time.Time {
	if n := number(b, marker); n > 0 {
		return time.Unix(0, n)
	}
	return time.Time{}
}

func parseJSON(b []byte) serverFrame {
	var f struct {
		Type       string              `json:"type"`
		Code       string              `json:"code"`
		Event      string              `json:"event"`
		Seq        chat.Seq            `json:"seq"`
		RetryAfter int64               `json:"retry_after_ms"`
		Epoch      string              `json:"epoch"`
		Channels   []chat.ChannelState `json:"channels"`
		Response   struct {
			Error      string `json:"error"`
			Code       string `json:"code"`
			RetryAfter int64  `json:"retry_after_ms"`
		} `json:"response"`
	}
	if json.Unmarshal(b, &f) != nil {
		return serverFrame{kind: "not understood"}
	}
	h := serverFrame{kind: f.Type, event: f.Event, seq: f.Seq, epoch: f.Epoch, channels: f.Channels}
	switch {
	case f.Type == "error":
		h.refusal, h.after = or(f.Code, "refused"), time.Duration(f.RetryAfter)*time.Millisecond
	case f.Type == "ack" && f.Response.Error != "":
		h.refusal, h.after = or(f.Response.Code, "refused"), time.Duration(f.Response.RetryAfter)*time.Millisecond
	case f.Type == "message":
		h.due = dueOf(b)
	}
	return h
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
