package frame

import (
	"encoding/binary"
	"unicode/utf8"
	"unsafe"
)

// Limits bound what a peer may send. Zero values mean the defaults.
type Limits struct {
	// Frame and Message are the maximum payloads, in bytes. Message defaults to 64 KiB,
	// Frame to Message.
	Frame, Message int
	// Fragments is the maximum number of frames of one message. Default 64.
	Fragments int
	// Client makes a Parser read a server's frames, which are not masked.
	Client bool
	// Deflate allows compressed messages; see Message.Compressed.
	Deflate bool
}

// reservedDeflate is the reserved bit that marks a compressed message (RFC 7692
// section 6).
const reservedDeflate = 0x40

var defaultLimits = Limits{Frame: 64 << 10, Message: 64 << 10, Fragments: 64}

// WithDefaults returns l with its defaults filled in.
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

// Message is a complete message or a control frame. Payload may share memory with the
// bytes passed to Next.
type Message struct {
	Opcode  Opcode
	Payload []byte
	// Code is the code of a close frame, CloseNoStatus if it has none. Payload is then
	// the reason.
	Code uint16
	// Compressed reports that Payload still has to be inflated, and was not checked.
	Compressed bool
}

// Parser reads the frames of one peer from its bytes as they arrive. The zero Parser
// is a server's, with the default limits.
type Parser struct {
	// Limits may be shared by parsers; nil means the defaults.
	Limits *Limits
	Partial
}

// Partial is a partly received frame or message: all that a Parser keeps between two
// calls of Next. An owner of many peers keeps only this for each, and makes a Parser of
// it when there are bytes to read. The zero Partial is empty.
type Partial struct{ state *partial }

// partial is what has arrived of a frame, and of a message in fragments.
type partial struct {
	header  [14]byte // its first bytes, until it is complete
	have    int      // number of bytes in header
	frame   header   // valid if inFrame
	inFrame bool     // the header is complete, the payload is not
	payload []byte   // of the frame, unmasked

	message    []byte // the fragments so far
	opcode     Opcode // of the message in fragments; OpNone if there is none
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

// Pending reports whether a frame or message is partly received.
func (p Partial) Pending() bool { return p.state != nil }

// Size returns how many bytes of memory p occupies.
func (p Partial) Size() int {
	if p.state == nil {
		return 0
	}
	return int(unsafe.Sizeof(partial{})) + cap(p.state.payload) + cap(p.state.message)
}

// Next reads from b, which it may change. It returns the number of bytes consumed and
// the message or control frame that they complete. If they complete none, the opcode is
// OpNone and all of b is consumed. An error is an *Error, and final.
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

// step consumes at most one frame. done reports whether m is complete.
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

// header returns the header of the current frame and how many bytes of b belong to it;
// -1 if it is incomplete, and then kept.
func (p *Parser) header(b []byte) (header, int, error) {
	state := p.state
	if state != nil && state.inFrame {
		return state.frame, 0, nil
	}
	if state == nil || state.have == 0 {
		h, n, err := p.parse(b)
		if n < 0 && err == nil {
			p.keep().have = copy(p.state.header[:], b)
		}
		return h, n, err
	}
	for i := range b {
		state.header[state.have] = b[i]
		state.have++
		h, n, err := p.parse(state.header[:state.have])
		if err != nil || n > 0 {
			state.have = 0
			return h, i + 1, err
		}
	}
	return header{}, -1, nil
}

func (p *Parser) keep() *partial {
	if p.state == nil {
		p.state = &partial{opcode: OpNone}
	}
	return p.state
}

// parse reads a header (RFC 6455 section 5.2) and refuses what can be refused before
// the payload arrives. n is -1 if b is too short.
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
		return h, 0, &Error{CloseProtocol, "clients must mask frames and servers must not"}
	}
	length, n, err := parseLength(b, h.opcode)
	if err != nil || n < 0 {
		return h, n, err
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

// parseLength reads the length in a header of two bytes or more, without the masking
// key. n is where it ends; -1 if b is too short.
func parseLength(b []byte, op Opcode) (length uint64, n int, err error) {
	length = uint64(b[1] & 0x7f)
	switch {
	case op.control() && length > MaxControl:
		return 0, 0, &Error{CloseProtocol, "a control frame has more than 125 bytes"}
	case length < 126:
		return length, 2, nil
	case length == 126 && len(b) >= 4:
		if length = uint64(binary.BigEndian.Uint16(b[2:])); length < 126 {
			return 0, 0, &Error{CloseProtocol, "a length is not in its shortest form"}
		}
		return length, 4, nil
	case length == 127 && len(b) >= 10:
		if length = binary.BigEndian.Uint64(b[2:]); length>>63 != 0 || length <= 0xffff {
			return 0, 0, &Error{CloseProtocol, "a length is negative or not in its shortest form"}
		}
		return length, 10, nil
	}
	return 0, -1, nil
}

// allowed checks the first byte of a header against the message that is being received.
func (p *Parser) allowed(first byte, h header) error {
	inMessage := p.state != nil && p.state.opcode != OpNone
	switch {
	case first&0x70 != 0 && !(h.compressed && first&0x70 == reservedDeflate && h.opcode.startsMessage()):
		return &Error{CloseProtocol, "a reserved bit is set"}
	case h.opcode.control():
		if h.opcode > OpPong {
			return &Error{CloseProtocol, "unknown opcode"}
		}
		if !h.fin {
			return &Error{CloseProtocol, "a control frame is fragmented"}
		}
	case h.opcode > OpBinary:
		return &Error{CloseProtocol, "unknown opcode"}
	case h.opcode == OpContinuation && !inMessage:
		return &Error{CloseProtocol, "a continuation frame without a message"}
	case h.opcode != OpContinuation && inMessage:
		return &Error{CloseProtocol, "a new message begins within a fragmented message"}
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
	received := 0
	if p.state != nil && !h.opcode.control() {
		received = len(p.state.message)
		if h.opcode == OpContinuation && p.state.fragments >= l.Fragments {
			return &Error{CloseTooBig, "the message has too many fragments"}
		}
	}
	if length > uint64(l.Frame) || length > uint64(l.Message-received) {
		return &Error{CloseTooBig, textTooBig}
	}
	return nil
}

// payload returns the unmasked payload of the frame, if it is complete, and how many
// bytes of b belong to it. An incomplete payload is kept, and nil returned.
func (p *Parser) payload(h header, b []byte) (payload []byte, n int) {
	state := p.state
	if state == nil || !state.inFrame {
		if len(b) >= h.length {
			payload = b[:h.length:h.length]
			if h.masked {
				mask(payload, h.key, 0)
			}
			return payload, h.length
		}
		state = p.keep()
		state.frame, state.inFrame = h, true
	}
	have := len(state.payload)
	n = min(len(b), h.length-have)
	state.payload = append(state.payload, b[:n]...)
	if h.masked {
		mask(state.payload[have:], h.key, have)
	}
	if len(state.payload) < h.length {
		return nil, n
	}
	payload = state.payload
	state.payload, state.inFrame = nil, false
	return payload, n
}

// frame handles a complete frame. done is false while its message is incomplete.
func (p *Parser) frame(h header, payload []byte) (m Message, done bool, err error) {
	if payload == nil {
		payload = []byte{}
	}
	if h.opcode.control() {
		p.release()
		m = Message{Opcode: h.opcode, Payload: payload}
		if h.opcode == OpClose {
			m, err = parseClose(payload)
		}
		return m, true, err
	}
	opcode, compressed := h.opcode, h.compressed
	if opcode == OpContinuation || !h.fin {
		state := p.keep()
		if opcode != OpContinuation {
			state.opcode, state.compressed = opcode, compressed
		}
		state.fragments++
		state.message = append(state.message, payload...)
		if !h.fin {
			return m, false, nil
		}
		opcode, payload, compressed = state.opcode, state.message, state.compressed
		state.opcode, state.message, state.fragments = OpNone, nil, 0
	}
	p.release()
	if opcode == OpText && !compressed && !utf8.Valid(payload) {
		return m, true, &Error{CloseInvalid, textNotUTF8}
	}
	return Message{Opcode: opcode, Payload: payload, Compressed: compressed}, true, nil
}

// release drops the state once nothing is partly received.
func (p *Parser) release() {
	if state := p.state; state != nil && state.opcode == OpNone && !state.inFrame && state.have == 0 {
		p.state = nil
	}
}

// parseClose reads the payload of a close frame (RFC 6455 sections 5.5.1 and 7.4).
func parseClose(payload []byte) (Message, error) {
	m := Message{Opcode: OpClose, Code: CloseNoStatus}
	if len(payload) == 0 {
		return m, nil
	}
	if len(payload) == 1 {
		return m, &Error{CloseProtocol, "a close frame has one byte of payload"}
	}
	m.Code, m.Payload = binary.BigEndian.Uint16(payload), payload[2:]
	switch c := m.Code; {
	case c < 1000, c >= 1004 && c <= 1006, c > 1014 && c < 3000, c >= 5000:
		return m, &Error{CloseProtocol, "invalid close code"}
	case !utf8.Valid(m.Payload):
		return m, &Error{CloseInvalid, "the close reason is not UTF-8"}
	}
	return m, nil
}
