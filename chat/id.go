// Package chat defines the types that the server, its clients, the database and the
// wire share: ids, channels, messages, events, requests, replies and error codes. It
// imports no other package of chowk.
package chat

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"github.com/google/uuid"
)

// ID identifies a channel, a message or a change: a UUID (RFC 9562), kept as its 16
// bytes, so that two spellings of an id are equal. chowk creates version 7, which
// sorts by time of creation.
type ID [16]byte

// NewID returns a new version 7 id. Within a process, later ids are greater.
func NewID() ID {
	return ID(uuid.Must(uuid.NewV7()))
}

var errBadID = errors.New("not a UUID such as 0190a5e2-7b1c-7d3e-8f00-0123456789ab")

// ParseID parses the canonical 36 characters, in either case. It accepts neither
// braces nor a urn: prefix nor bare hexadecimal, so that each id has one spelling
// except for case.
func ParseID(s string) (ID, error) {
	if len(s) != 36 {
		return ID{}, errBadID
	}
	id, err := uuid.Parse(s)
	if err != nil {
		return ID{}, errBadID
	}
	return ID(id), nil
}

// MustParseID is ParseID for constants and tests. It panics if the id is not valid.
func MustParseID(s string) ID {
	id, err := ParseID(s)
	if err != nil {
		panic("chat: " + s + ": " + err.Error())
	}
	return id
}

// IDFromClientID derives a message's id from a client_id that is not a version 7 UUID
// itself, so that one unique index on ids makes every send idempotent. The result is
// a version 8 UUID (RFC 9562 section 5.8) over SHA-256.
func IDFromClientID(channel ID, user UserID, clientID string) ID {
	h := sha256.New()
	h.Write(channel[:])
	h.Write([]byte(user))
	h.Write([]byte{0}) // no user id contains a zero byte
	h.Write([]byte(clientID))
	var id ID
	copy(id[:], h.Sum(nil))
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

// Version returns the UUID's version: 7 for ids that chowk created.
func (id ID) Version() int { return int(id[6] >> 4) }

// IsZero reports whether id is the zero ID, which identifies nothing.
func (id ID) IsZero() bool { return id == ID{} }

// Compare orders ids by their bytes, which is the order in which rows are locked.
func (id ID) Compare(other ID) int { return bytes.Compare(id[:], other[:]) }

// String returns the canonical form in lower case.
func (id ID) String() string { return string(id.append(make([]byte, 0, 36))) }

func (id ID) append(b []byte) []byte {
	b = hex.AppendEncode(b, id[0:4])
	for _, part := range [][]byte{id[4:6], id[6:8], id[8:10], id[10:16]} {
		b = append(b, '-')
		b = hex.AppendEncode(b, part)
	}
	return b
}

// AppendText implements [encoding.TextAppender].
func (id ID) AppendText(b []byte) ([]byte, error) { return id.append(b), nil }

// MarshalText implements [encoding.TextMarshaler].
func (id ID) MarshalText() ([]byte, error) { return id.append(make([]byte, 0, 36)), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It accepts what ParseID accepts.
func (id *ID) UnmarshalText(b []byte) error {
	parsed, err := ParseID(string(b))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}

// UserID identifies a user. It is chosen by the application: 1 to 64 characters of
// A-Z a-z 0-9 _ . : -
type UserID string

// MaxUserID is the maximum length of a user id in bytes.
const MaxUserID = 64

// Valid reports whether u has an allowed length and only allowed characters.
func (u UserID) Valid() bool {
	if len(u) == 0 || len(u) > MaxUserID {
		return false
	}
	for i := range len(u) {
		switch c := u[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '_', c == '.', c == ':', c == '-':
		default:
			return false
		}
	}
	return true
}

// Seq numbers the entries of a channel's log: 1, 2, 3 … without a gap. 0 is before the
// first.
type Seq = int64

// Time is a time in microseconds since 1970 UTC, the resolution of the wire and of both
// databases. 0 means "never".
type Time int64

// TimeOf returns t rounded down to the microsecond.
func TimeOf(t time.Time) Time { return Time(t.UnixMicro()) }

// Std returns t as a time.Time in UTC.
func (t Time) Std() time.Time { return time.UnixMicro(int64(t)).UTC() }

const timeLayout = "2006-01-02T15:04:05.000000Z"

// AppendText appends t as RFC 3339 in UTC with microseconds.
func (t Time) AppendText(b []byte) ([]byte, error) { return t.Std().AppendFormat(b, timeLayout), nil }

// MarshalText implements [encoding.TextMarshaler].
func (t Time) MarshalText() ([]byte, error) { return t.AppendText(make([]byte, 0, len(timeLayout))) }

// UnmarshalText parses any RFC 3339 time.
func (t *Time) UnmarshalText(b []byte) error {
	std, err := time.Parse(time.RFC3339Nano, string(b))
	if err != nil {
		return errors.New("not an RFC 3339 time such as 2026-01-02T15:04:05Z")
	}
	*t = TimeOf(std)
	return nil
}

func (t Time) String() string { b, _ := t.MarshalText(); return string(b) }
