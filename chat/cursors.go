package chat

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"
)

// The handshake's query parameter resume has a compact form: the epoch, a dot, and in
// base64url without padding, for each channel, the 16 bytes of its id and its cursor
// as an unsigned varint.

var errBadCursors = errors.New("not an epoch, a dot, and cursors in base64url " +
	"(the 16 bytes of a channel's id, then the seq as a varint)")

// FormatCursors returns the compact form of a resume.
func FormatCursors(epoch string, cursors map[ID]Seq) string {
	ids := make([]ID, 0, len(cursors))
	for id := range cursors {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, ID.Compare)
	b := make([]byte, 0, 19*len(ids))
	for _, id := range ids {
		b = append(b, id[:]...)
		b = binary.AppendUvarint(b, uint64(max(cursors[id], 0)))
	}
	return epoch + "." + base64.RawURLEncoding.EncodeToString(b)
}

// ParseCursors parses the compact form of a resume. It accepts at most MaxCursors
// channels.
func ParseCursors(s string) (epoch string, cursors map[ID]Seq, err error) {
	epoch, text, found := strings.Cut(s, ".")
	b, err := base64.RawURLEncoding.DecodeString(text)
	if !found || err != nil {
		return "", nil, errBadCursors
	}
	cursors = make(map[ID]Seq, len(b)/17)
	for len(b) > 0 {
		if len(b) < len(ID{})+1 || len(cursors) == MaxCursors {
			return "", nil, errBadCursors
		}
		id := ID(b[:len(ID{})])
		seq, n := binary.Uvarint(b[len(id):])
		if n <= 0 || seq > math.MaxInt64 {
			return "", nil, errBadCursors
		}
		if _, twice := cursors[id]; twice {
			return "", nil, errBadCursors
		}
		cursors[id] = Seq(seq)
		b = b[len(id)+n:]
	}
	return epoch, cursors, nil
}
