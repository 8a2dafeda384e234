package hub

import (
	"sync"

	"github.com/go-json-experiment/json"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/frame"
)

// entry is an encoded entry: a whole WebSocket frame that any number of sockets share.
type entry struct {
	seq        chat.Seq
	shared     []byte
	recipient  chat.UserID // the user who is sent personal instead of shared, "" for none
	personal   []byte
	joins      chat.UserID // the user whose membership begins here, "" for none
	leaves     chat.UserID // the user whose membership ends here, "" for none
	kind       chat.EventType
	compressed *compressed // nil when shared is too small to be compressed
}

// compressed is an entry's shared frame, compressed when a socket first needs it.
type compressed struct {
	once  sync.Once
	frame []byte // nil when compression does not make it smaller
}

// sharedFrame returns the frame for all users except the recipient.
func (e *entry) sharedFrame(deflate bool) []byte {
	if !deflate || e.compressed == nil {
		return e.shared
	}
	e.compressed.once.Do(func() { e.compressed.frame = frame.DeflatedText(frame.Payload(e.shared)) })
	if e.compressed.frame == nil {
		return e.shared
	}
	return e.compressed.frame
}

// frameFor returns the frame that a socket is sent.
func (e *entry) frameFor(s *Socket) []byte {
	if e.recipient == s.user.id && e.recipient != "" {
		return e.personal
	}
	return e.sharedFrame(s.Deflates())
}

// size returns the bytes that the entry may take in memory.
func (e *entry) size() int64 {
	n := int64(len(e.shared)+len(e.personal)) + 128
	if e.compressed != nil {
		n += int64(len(e.shared)) // at most
	}
	return n
}

// encode builds an entry's frames.
func (h *Hub) encode(ev *chat.Entry) entry {
	e := entry{seq: ev.Seq, shared: frame.Text(ev.AppendShared(nil)), kind: ev.Type, leaves: ev.LeftUser()}
	if e.recipient = ev.PersonalRecipient(); e.recipient != "" {
		e.personal = frame.Text(ev.AppendPersonal(nil))
	}
	if ev.Type == chat.EventMemberJoined {
		e.joins = ev.Subject
	}
	if minSize := h.config.Deflate; minSize > 0 && len(e.shared) >= minSize {
		e.compressed = new(compressed)
	}
	return e
}

// encodeFrame encodes one of the structs in chat, which cannot fail.
func encodeFrame(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("hub: encode a frame: " + err.Error())
	}
	return frame.Text(b)
}
