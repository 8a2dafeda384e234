package relay

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/chowk-chat/chowk/chat"
)

// A message between nodes is a version, a kind, the sender, the sender's time, and
// JSON. A later version of chowk may send more: unknown fields are skipped, and so are
// whole messages of an unknown kind or version. What they contain is in the database.

// wireVersion is the version of the header and of the meaning of the kinds.
const wireVersion = 1

// kind is the kind of a message.
type kind byte

const (
	kindEvents   kind = 'e' // entries of one channel, in order
	kindHead     kind = 'h' // an entry may have been committed to a channel
	kindJoins    kind = 'j' // an entry by which memberships begin
	kindTyping   kind = 't'
	kindRead     kind = 'r'
	kindPresence kind = 'p' // a user has come online or gone offline
	kindAsk      kind = 'a' // a query: which users are online?
	kindAnswer   kind = 'w' // the response to a query
	kindRevoke   kind = 'v' // access ended, or was given back
	kindUser     kind = 'u' // a user has changed
	kindBeat     kind = 'b' // a heartbeat
	kindLeaving  kind = 'y' // this node ends
	kindLost     kind = 'x' // this node could not send everything
)

// kindNames are the kinds' names in the metrics.
var kindNames = map[kind]string{
	kindEvents: "events", kindHead: "head", kindJoins: "joins", kindTyping: "typing", kindRead: "read",
	kindPresence: "presence", kindAsk: "ask", kindAnswer: "answer", kindRevoke: "revoke", kindUser: "user",
	kindBeat: "beat", kindLeaving: "bye", kindLost: "lost",
}

// Subjects, after the prefix of the cluster.
const (
	toAll     = "all"
	toNode    = "n." // and a node's id
	toChannel = "c." // and a channel's id
	toUser    = "u." // and a user's id, see userToken
)

// clusterID identifies the nodes of one database. Those of others may use the same
// NATS.
type clusterID string

// subject returns the NATS subject of one of the cluster's subjects.
func (c clusterID) subject(to string) string { return "chowk." + string(c) + "." + to }

// userToken returns a user's id as a part of a subject, in which a dot would separate
// parts. An id has no tilde.
func userToken(user chat.UserID) string { return strings.ReplaceAll(string(user), ".", "~") }

// userOf is the inverse of userToken.
func userOf(token string) chat.UserID { return chat.UserID(strings.ReplaceAll(token, "~", ".")) }

type headNote struct {
	Channel chat.ID `json:"channel"`
}

type joinsNote struct {
	Channel chat.ID       `json:"channel"`
	Seq     chat.Seq      `json:"seq"`
	Users   []chat.UserID `json:"users"`
}

type typingNote struct {
	Channel chat.ID     `json:"channel"`
	User    chat.UserID `json:"user"`
	Types   bool        `json:"types"`
	At      chat.Time   `json:"at"`
}

type presenceNote struct {
	User   chat.UserID `json:"user"`
	Online bool        `json:"online"`
}

// queryNote asks which of the users are online; All asks for everyone.
type queryNote struct {
	Query uint64        `json:"ask"`
	All   bool          `json:"all"`
	Users []chat.UserID `json:"users"`
}

type responseNote struct {
	Query  uint64        `json:"ask"`
	Online []chat.UserID `json:"online"`
}

type revokeNote struct {
	User    chat.UserID `json:"user"`
	Closed  [][]byte    `json:"closed"`
	Enabled bool        `json:"enabled"`
}

type userNote struct {
	User chat.UserID `json:"user"`
}

// beatNote is a heartbeat: its number, and which nodes the sender hears.
type beatNote struct {
	N       uint64      `json:"n"`
	Version string      `json:"version"`
	Hears   []heardNote `json:"hears"`
}

// heardNote returns a node its own last heartbeat: when it was sent, by that node's
// clock, and how long ago it was received, both in microseconds.
type heardNote struct {
	ID   string `json:"id"`
	At   int64  `json:"at"`
	Held int64  `json:"held"`
}

// nodeID identifies a running server. It is another one after each start.
type nodeID [8]byte

func newNodeID() (id nodeID) {
	if _, err := rand.Read(id[:]); err != nil {
		panic("relay: " + err.Error()) // documented never to happen
	}
	return id
}

// String returns the id in hexadecimal.
func (id nodeID) String() string { return hex.EncodeToString(id[:]) }

// headerSize is the size of a header on the wire: version, kind, node and the sender's
// time in microseconds.
const headerSize = 18

type header struct {
	kind kind
	node string
	at   int64
}

// maxBody bounds the body of a message. NATS accepts a megabyte.
const maxBody = 512 << 10

var errTooLarge = errors.New("a message to other nodes is too large")

// encode encodes a message.
func encode(from nodeID, k kind, at time.Time, body any) ([]byte, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode a message to other nodes: %w", err)
	}
	if len(b) > maxBody {
		return nil, errTooLarge
	}
	m := make([]byte, headerSize, headerSize+len(b))
	m[0], m[1] = wireVersion, byte(k)
	copy(m[2:10], from[:])
	binary.BigEndian.PutUint64(m[10:], uint64(at.UnixMicro()))
	return append(m, b...), nil
}

// ignored is the reason why a message was ignored, as in the metrics.
type ignored string

const (
	ignoredVersion   ignored = "version"
	ignoredKind      ignored = "kind"
	ignoredMalformed ignored = "malformed"
	ignoredSize      ignored = "size"
)

// split separates a message's header from its body. why is "" for a message to
// process.
func split(m []byte) (h header, body []byte, why ignored) {
	switch {
	case len(m) > headerSize+maxBody:
		return h, nil, ignoredSize
	case len(m) == 0:
		return h, nil, ignoredMalformed
	case m[0] != wireVersion:
		return h, nil, ignoredVersion
	case len(m) < headerSize:
		return h, nil, ignoredMalformed
	}
	h = header{
		kind: kind(m[1]), node: hex.EncodeToString(m[2:10]),
		at: int64(binary.BigEndian.Uint64(m[10:])), //nolint:gosec // encode wrote an int64
	}
	if _, known := kindNames[h.kind]; !known {
		return h, nil, ignoredKind
	}
	return h, m[headerSize:], ""
}

// read decodes a body. Unknown fields are skipped.
func read[T any](body []byte) (v T, ok bool) { return v, json.Unmarshal(body, &v) == nil }
