// Package frame implements the WebSocket protocol (RFC 6455) on byte slices. It does
// no I/O, keeps no state between messages, and allocates memory for what a peer has
// sent, never for what it announces.
package frame

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// Opcode is the type of a frame (RFC 6455 section 5.2).
type Opcode byte

// Opcodes. OpNone means that there is no frame yet: more bytes are needed.
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

func (o Opcode) startsMessage() bool { return o == OpText || o == OpBinary }

// Close codes (RFC 6455 section 7.4.1).
const (
	CloseNormal      uint16 = 1000
	CloseGoingAway   uint16 = 1001
	CloseProtocol    uint16 = 1002
	CloseUnsupported uint16 = 1003
	CloseNoStatus    uint16 = 1005 // never sent: stands for a close frame without a code
	CloseInvalid     uint16 = 1007
	CloseTooBig      uint16 = 1009
	CloseInternal    uint16 = 1011
)

// MaxControl is the maximum payload of a control frame, in bytes (RFC 6455 section
// 5.5).
const MaxControl = 125

// Error is a violation of the protocol by the peer, and the code to close with.
type Error struct {
	Code   uint16
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("%s (close code %d)", e.Reason, e.Code) }

// Reasons that more than one check refuses with.
const (
	textTooBig  = "the message is too big"
	textNotUTF8 = "the text is not UTF-8"
)

// Text returns a complete, unmasked text frame, as a server sends it.
func Text(payload []byte) []byte { return AppendFrame(nil, OpText, payload) }

// Ping returns a ping frame. A payload beyond MaxControl is cut.
func Ping(payload []byte) []byte {
	return AppendFrame(nil, OpPing, payload[:min(len(payload), MaxControl)])
}

// Pong returns a pong frame, which answers a ping with the ping's payload. A payload
// beyond MaxControl is cut.
func Pong(payload []byte) []byte {
	return AppendFrame(nil, OpPong, payload[:min(len(payload), MaxControl)])
}

// Close returns a close frame. With CloseNoStatus it has no payload. A reason that
// does not fit is cut between characters.
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

// AppendMasked appends a final frame, masked with key, as a client sends it.
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

// mask applies the key to b, which begins at offset at of the payload (RFC 6455
// section 5.3).
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
