package frame

import (
	"encoding/binary"
	"unicode/utf8"
	"unsafe"
)

// Limits bound what a peer may send. Zero values mean the defaults.
type Limits struct {
	// Frame and Message are the largest payloads, in bytes. Default 64 KiB each.
	Frame, Message int
	// Fragments is the most frames of one message. Default 64.
	Fragments int
	// Client makes a Parser read a server's frames, which are not masked.
	Client bool
	// Deflate lets messages be compressed; see Message.Compressed.
	Deflate bool
}

// reservedDeflate is the reserved bit that says so (RFC 7692 section 6).
const reservedDeflate = 0x40

var defaultLimits = Limits{Frame: 64 << 10, Message: 64 << 10, Fragments: 64}

// WithDefaults fills in what is zero.
func (l Limits) WithDefaults() Limits {
	if l.Message == 0 {
		l.Message = defaultLimits.Message
	}
	if l.Frame == 0 {
		l.Frame = l.Message
	}
	if l.Fragments == 0 {
		l.Fragments = defaultLimits.Fragments
	}
	return l
}

// Message is a whole message, or a control frame. Payload may be a part of the
// bytes given to Next.
type Message struct {
	Opcode  Opcode
	Payload []byte
	// Code is a close frame's, CloseNoStatus when it had none; Payload is then the
	// reason.
	Code uint16
	// Compressed says that Payload is to be inflated, and was not looked at.
	Compressed bool
}

// Parser reads the frames of one peer from bytes as they come. The zero Parser is
// that of a server, with the default limits; it holds nothing but while something
// is half received.
type Parser struct {
	// Limits are shared by all parsers; nil means the defaults.
	Limits *Limits
	Half
}

// Half is what is half received: all that a Parser has to keep between one Next and
// another. Whoever has many peers keeps that alone, and makes a Parser of it when
// there is something to read.
type Half struct{ part *partial }

// partial is what has come of a frame and of a message in fragments.
type partial struct {
	header  [14]byte // as far as it has come, when payload is not expected yet
	have    int      // bytes in header
	frame   header   // valid when inFrame
	inFrame bool
	payload []byte // of the frame, unmasked

	message    []byte // fragments so far
	opcode     Opcode // of the message in fragments, OpNone when there is none
	fragments  int
	compressed bool // the message in fragments is compressed
}

type header struct {
	fin        bool
	compressed bool
	opcode     Opcode
	masked     bool
	key        [4]byte
	length     int
}

// Holds reports whether something is half received.
func (h Half) Holds() bool { return h.part != nil }

// Held is how many bytes are kept of what is half received.
func (h Half) Held() int {
	if h.part == nil {
		return 0
	}
	return int(unsafe.Sizeof(partial{})) + cap(h.part.payload) + cap(h.part.message)
}

// Next reads from b, which it may change. It returns how many bytes it has
// consumed and the message or control frame that they complete; OpNone when they
// complete none, and then all of b is consumed. An error is an *Error, and final.
func (p *Parser) Next(b []byte) (n int, m Message, err error) {
	for n < len(b) {
		used, done, m, err := p.step(b[n:])
		n += used
		if err != nil || done {
			return n, m, err
		}
	}
	return n, Message{Opcode: OpNone}, nil
}

// step takes at most one frame.
func (p *Parser) step(b []byte) (n int, done bool, m Message, err error) {
	h, n, err := p.header(b)
	if err != nil || n < 0 {
		return len(b), false, Message{Opcode: OpNone}, err
	}
	payload, used := p.payload(h, b[n:])
	n += used
	if payload == nil {
		return n, false, Message{Opcode: OpNone}, nil
	}
	m, done, err = p.frame(h, payload)
	return n, done, m, err
}

// header gives the header of the frame under way and how many bytes of b belong to
// it; -1 when it is not complete, and kept.
func (p *Parser) header(b []byte) (header, int, error) {
	part := p.part
	if part != nil && part.inFrame {
		return part.frame, 0, nil
	}
	if part == nil || part.have == 0 {
		h, n, err := p.parse(b)
		if n < 0 && err == nil {
			p.keep().have = copy(p.part.header[:], b)
		}
		return h, n, err
	}
	for i := range b {
		part.header[part.have] = b[i]
		part.have++
		h, n, err := p.parse(part.header[:part.have])
		if err != nil || n > 0 {
			part.have = 0
			return h, i + 1, err
		}
	}
	return header{}, -1, nil
}

func (p *Parser) keep() *partial {
	if p.part == nil {
		p.part = &partial{opcode: OpNone}
	}
	return p.part
}

// parse reads a header (section 5.2), and refuses by it what can be refused before
// the payload has come.
func (p *Parser) parse(b []byte) (h header, n int, err error) {
	if len(b) < 1 {
		return h, -1, nil
	}
	h.fin, h.opcode = b[0]&0x80 != 0, Opcode(b[0]&0x0f)
	h.compressed = p.limits().Deflate && b[0]&reservedDeflate != 0
	if err := p.allowed(b[0], h); err != nil {
		return h, 0, err
	}
	if len(b) < 2 {
		return h, -1, nil
	}
	h.masked = b[1]&0x80 != 0
	if h.masked == p.limits().Client {
		return h, 0, &Error{CloseProtocol, "a client must mask its frames, and a server must not"}
	}
	length, n := uint64(b[1]&0x7f), 2
	switch {
	case h.opcode.control() && length > MaxControl:
		return h, 0, &Error{CloseProtocol, "a control frame has at most 125 bytes"}
	case length == 126:
		if len(b) < 4 {
			return h, -1, nil
		}
		length, n = uint64(binary.BigEndian.Uint16(b[2:])), 4
		if length < 126 {
			return h, 0, &Error{CloseProtocol, "a length is not in its shortest form"}
		}
	case length == 127:
		if len(b) < 10 {
			return h, -1, nil
		}
		length, n = binary.BigEndian.Uint64(b[2:]), 10
		if length>>63 != 0 || length <= 0xffff {
			return h, 0, &Error{CloseProtocol, "a length is not in its shortest form, or negative"}
		}
	}
	if err := p.checkLimits(h, length); err != nil {
		return h, 0, err
	}
	h.length = int(length)
	if h.masked {
		if len(b) < n+4 {
			return h, -1, nil
		}
		copy(h.key[:], b[n:])
		n += 4
	}
	return h, n, nil
}

// allowed checks a header's first byte against the message under way.
func (p *Parser) allowed(first byte, h header) error {
	inMessage := p.part != nil && p.part.opcode != OpNone
	switch {
	case first&0x70 != 0 && !(h.compressed && first&0x70 == reservedDeflate && (h.opcode == OpText || h.opcode == OpBinary)):
		return &Error{CloseProtocol, "a reserved bit is set"}
	case h.opcode.control():
		if h.opcode > OpPong {
			return &Error{CloseProtocol, "an unknown opcode"}
		}
		if !h.fin {
			return &Error{CloseProtocol, "a control frame in fragments"}
		}
	case h.opcode > OpBinary:
		return &Error{CloseProtocol, "an unknown opcode"}
	case h.opcode == OpContinuation && !inMessage:
		return &Error{CloseProtocol, "a continuation of nothing"}
	case h.opcode != OpContinuation && inMessage:
		return &Error{CloseProtocol, "a new message within a message in fragments"}
	}
	return nil
}

func (p *Parser) limits() *Limits {
	if p.Limits != nil {
		return p.Limits
	}
	return &defaultLimits
}

func (p *Parser) checkLimits(h header, length uint64) error {
	l := p.limits()
	so := 0
	if p.part != nil && !h.opcode.control() {
		so = len(p.part.message)
		if h.opcode == OpContinuation && p.part.fragments >= l.Fragments {
			return &Error{CloseTooBig, "a message in too many fragments"}
		}
	}
	if length > uint64(l.Frame) || length > uint64(l.Message-so) {
		return &Error{CloseTooBig, "a message that is too big"}
	}
	return nil
}

// payload gives the frame's payload when it is complete, unmasked, and how many
// bytes of b belong to it. What has come of an incomplete one is kept.
func (p *Parser) payload(h header, b []byte) (payload []byte, n int) {
	part := p.part
	if part == nil || !part.inFrame {
		if len(b) >= h.length {
			payload = b[:h.length:h.length]
			if h.masked {
				mask(payload, h.key, 0)
			}
			return payload, h.length
		}
		part = p.keep()
		part.frame, part.inFrame = h, true
	}
	have := len(part.payload)
	n = min(len(b), h.length-have)
	part.payload = append(part.payload, b[:n]...)
	if h.masked {
		mask(part.payload[have:], h.key, have)
	}
	if len(part.payload) < h.length {
		return nil, n
	}
	payload = part.payload
	part.payload, part.inFrame = nil, false
	return payload, n
}

// frame takes a complete frame; done is false when a message goes on.
func (p *Parser) frame(h header, payload []byte) (m Message, done bool, err error) {
	if payload == nil {
		payload = []byte{}
	}
	if h.opcode.control() {
		p.letGo()
		m = Message{Opcode: h.opcode, Payload: payload}
		if h.opcode == OpClose {
			m, err = closing(payload)
		}
		return m, true, err
	}
	opcode, compressed := h.opcode, h.compressed
	if opcode == OpContinuation || !h.fin {
		part := p.keep()
		if opcode != OpContinuation {
			part.opcode, part.compressed = opcode, compressed
		}
		part.fragments++
		part.message = append(part.message, payload...)
		if !h.fin {
			return m, false, nil
		}
		opcode, payload, compressed = part.opcode, part.message, part.compressed
		part.opcode, part.message, part.fragments = OpNone, nil, 0
	}
	p.letGo()
	if opcode == OpText && !compressed && !utf8.Valid(payload) {
		return m, true, &Error{CloseInvalid, "a text that is not UTF-8"}
	}
	return Message{Opcode: opcode, Payload: payload, Compressed: compressed}, true, nil
}

// letGo forgets what is kept when nothing is half received any more.
func (p *Parser) letGo() {
	if part := p.part; part != nil && part.opcode == OpNone && !part.inFrame && part.have == 0 {
		p.part = nil
	}
}

// closing reads a close frame's payload (sections 5.5.1 and 7.4).
func closing(payload []byte) (Message, error) {
	m := Message{Opcode: OpClose, Code: CloseNoStatus}
	if len(payload) == 0 {
		return m, nil
	}
	if len(payload) == 1 {
		return m, &Error{CloseProtocol, "a close frame of one byte"}
	}
	m.Code, m.Payload = binary.BigEndian.Uint16(payload), payload[2:]
	switch c := m.Code; {
	case c < 1000, c >= 1004 && c <= 1006, c > 1014 && c < 3000, c >= 5000:
		return m, &Error{CloseProtocol, "a close code that may not be sent"}
	case !utf8.Valid(m.Payload):
		return m, &Error{CloseInvalid, "a close reason that is not UTF-8"}
	}
	return m, nil
}
