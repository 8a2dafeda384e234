// Package chat is chowk's vocabulary: the ids, nouns, events, requests, replies
// and error codes that the server, the clients, the database and the wire share.
// It imports nothing of chowk's own.
package chat

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"github.com/google/uuid"
)

// ID names a channel, a message or a change: a UUID (RFC 9562), kept as its 16
// bytes so that two spellings of one id are one id. chowk makes version 7, whose
// order is the order of making.
type ID [16]byte

// NewID returns a new version 7 id. Ids made later in one process are greater.
func NewID() ID {
	return ID(uuid.Must(uuid.NewV7()))
}

var errBadID = errors.New("not a UUID such as 0190a5e2-7b1c-7d3e-8f00-0123456789ab")

// ParseID reads the canonical 36 characters, in either case. It takes no braces,
// no urn: prefix and no bare hexadecimal, so that each id has one spelling but
// for case.
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

// MustParseID is ParseID for constants and tests; it panics on a bad id.
func MustParseID(s string) ID {
	id, err := ParseID(s)
	if err != nil {
		panic("chat: " + s + ": " + err.Error())
	}
	return id
}

// IDFromClientID derives the id of a message from a client_id that is not itself a
// version 7 UUID, so that one UNIQUE(id) makes every send idempotent. The result
// is a version 8 UUID (RFC 9562 section 5.8) over SHA-256.
func IDFromClientID(channel ID, user UserID, clientID string) ID {
	h := sha256.New()
	h.Write(channel[:])
	h.Write([]byte(user))
	h.Write([]byte{0}) // no user id holds a zero byte
	h.Write([]byte(clientID))
	var id ID
	copy(id[:], h.Sum(nil))
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

// Version is the UUID's version field: 7 for ids that chowk made.
func (id ID) Version() int { return int(id[6] >> 4) }

// IsZero reports whether id names nothing.
func (id ID) IsZero() bool { return id == ID{} }

// Compare orders ids by their bytes, the order in which rows are locked.
func (id ID) Compare(other ID) int { return bytes.Compare(id[:], other[:]) }

// String is the canonical lower-case form.
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

// UnmarshalText implements [encoding.TextUnmarshaler] by the rules of ParseID.
func (id *ID) UnmarshalText(b []byte) error {
	parsed, err := ParseID(string(b))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}

// UserID names a user. It belongs to the host application: 1 to 64 characters out
// of A-Z a-z 0-9 _ . : -
type UserID string

// MaxUserID is the longest user id, in bytes.
const MaxUserID = 64

// Valid reports whether u keeps to the alphabet and the length.
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

// Seq is a change's place in its channel: 1, 2, 3 … without a hole. 0 is before
// the first.
type Seq = int64

// Time is an instant in microseconds since 1970 UTC, the resolution that the wire
// and both databases keep. 0 means "never".
type Time int64

// TimeOf rounds t down to the microsecond.
func TimeOf(t time.Time) Time { return Time(t.UnixMicro()) }

// Std is t for the standard library, in UTC.
func (t Time) Std() time.Time { return time.UnixMicro(int64(t)).UTC() }

const timeLayout = "2006-01-02T15:04:05.000000Z"

// AppendText writes RFC 3339 in UTC with microseconds.
func (t Time) AppendText(b []byte) ([]byte, error) { return t.Std().AppendFormat(b, timeLayout), nil }

// MarshalText implements [encoding.TextMarshaler].
func (t Time) MarshalText() ([]byte, error) { return t.AppendText(make([]byte, 0, len(timeLayout))) }

// UnmarshalText reads any RFC 3339 time.
func (t *Time) UnmarshalText(b []byte) error {
	std, err := time.Parse(time.RFC3339Nano, string(b))
	if err != nil {
		return errors.New("not an RFC 3339 time such as 2026-01-02T15:04:05Z")
	}
	*t = TimeOf(std)
	return nil
}

func (t Time) String() string { b, _ := t.MarshalText(); return string(b) }
