// Package frame is the WebSocket protocol (RFC 6455) over byte slices. It does no
// input or output, keeps nothing while nothing is half received, and never
// allocates by what a peer announces, only by what it has sent.
package frame

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// Opcode says what a frame is (RFC 6455 section 5.2).
type Opcode byte

// The opcodes. OpNone is no frame: more bytes are needed.
const (
	OpNone         Opcode = 0xff
	OpContinuation Opcode = 0x0
	OpText         Opcode = 0x1
	OpBinary       Opcode = 0x2
	OpClose        Opcode = 0x8
	OpPing         Opcode = 0x9
	OpPong         Opcode = 0xa
)

func (o Opcode) control() bool { return o&0x8 != 0 }

// Close codes (RFC 6455 section 7.4.1).
const (
	CloseNormal      uint16 = 1000
	CloseGoingAway   uint16 = 1001
	CloseProtocol    uint16 = 1002
	CloseUnsupported uint16 = 1003
	CloseNoStatus    uint16 = 1005 // never sent: a close frame without a code
	CloseInvalid     uint16 = 1007
	CloseTooBig      uint16 = 1009
	CloseInternal    uint16 = 1011
)

// MaxControl is the largest payload of a control frame (section 5.5).
const MaxControl = 125

// Error says how a peer broke the protocol, and the code to close with.
type Error struct {
	Code   uint16
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("%s (close code %d)", e.Reason, e.Code) }

// Text is a whole unmasked text frame, as a server sends it.
func Text(payload []byte) []byte { return AppendFrame(nil, OpText, payload) }

// Ping and Pong are control frames; what is beyond MaxControl is cut.
func Ping(payload []byte) []byte {
	return AppendFrame(nil, OpPing, payload[:min(len(payload), MaxControl)])
}

// Pong answers a ping with the ping's payload.
func Pong(payload []byte) []byte {
	return AppendFrame(nil, OpPong, payload[:min(len(payload), MaxControl)])
}

// Close is a close frame. With CloseNoStatus it has no payload; a reason that does
// not fit is cut between characters.
func Close(code uint16, reason string) []byte {
	if code == CloseNoStatus {
		return AppendFrame(nil, OpClose, nil)
	}
	for len(reason) > MaxControl-2 || !utf8.ValidString(reason) {
		reason = reason[:min(len(reason)-1, MaxControl-2)]
	}
	return AppendFrame(nil, OpClose, append(binary.BigEndian.AppendUint16(nil, code), reason...))
}

// AppendFrame appends a final, unmasked frame.
func AppendFrame(b []byte, op Opcode, payload []byte) []byte {
	if b == nil {
		b = make([]byte, 0, len(payload)+10)
	}
	return append(appendHeader(b, op, len(payload), 0), payload...)
}

// AppendMasked appends a final frame as a client sends it, masked with key.
func AppendMasked(b []byte, op Opcode, payload []byte, key [4]byte) []byte {
	b = appendHeader(b, op, len(payload), 0x80)
	b = append(b, key[:]...)
	start := len(b)
	b = append(b, payload...)
	mask(b[start:], key, 0)
	return b
}

func appendHeader(b []byte, op Opcode, n int, masked byte) []byte {
	b = append(b, 0x80|byte(op))
	switch {
	case n <= 125:
		return append(b, masked|byte(n))
	case n <= 0xffff:
		return binary.BigEndian.AppendUint16(append(b, masked|126), uint16(n))
	default:
		return binary.BigEndian.AppendUint64(append(b, masked|127), uint64(n))
	}
}

// mask applies the key to b (section 5.3), whose first byte is at offset at of the
// payload.
func mask(b []byte, key [4]byte, at int) {
	if at &= 3; at != 0 {
		key = [4]byte{key[at], key[(at+1)&3], key[(at+2)&3], key[(at+3)&3]}
	}
	k := uint64(binary.LittleEndian.Uint32(key[:]))
	k |= k << 32
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^k)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= key[i&3]
	}
}
