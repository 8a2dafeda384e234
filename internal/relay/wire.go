package relay

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/chowk-chat/chowk/chat"
)

// What nodes say to each other: a version, a kind, who says it and when, and JSON.
// A later chowk may say more: fields that are not known are skipped, and whole
// messages of a kind or a version that is not known; the database has what they
// would have told.

// wireVersion is that of the header and of what the kinds mean.
const wireVersion = 1

// kind says what a message is.
type kind byte

const (
	kindEvents   kind = 'e' // entries of one channel, in order
	kindHead     kind = 'h' // something may have been committed to a channel
	kindJoins    kind = 'j' // an entry by which memberships begin
	kindTyping   kind = 't'
	kindRead     kind = 'r'
	kindPresence kind = 'p' // a user has come or gone
	kindAsk      kind = 'a' // who of these is online with you?
	kindAnswer   kind = 'w' // these are
	kindRevoke   kind = 'v' // access ended, or came back
	kindUser     kind = 'u' // a user has changed
	kindBeat     kind = 'b' // this node lives
	kindBye      kind = 'y' // this node ends
	kindLost     kind = 'x' // this node could not say all that it should have
)

var kindNames = map[kind]string{
	kindEvents: "events", kindHead: "head", kindJoins: "joins", kindTyping: "typing", kindRead: "read", kindPresence: "presence", kindAsk: "ask",
	kindAnswer: "answer", kindRevoke: "revoke", kindUser: "user", kindBeat: "beat", kindBye: "bye", kindLost: "lost",
}

// Subjects, after the prefix of the space.
const (
	toAll     = "all"
	toNode    = "n."
	toChannel = "c."
	toUser    = "u."
)

func (n *Node) subject(to string) string { return "chowk." + n.config.Space + "." + to }

// token is a user's id as a part of a subject, where a dot would separate. An id has
// no tilde.
func token(user chat.UserID) string { return strings.ReplaceAll(string(user), ".", "~") }

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

type askNote struct {
	Ask   uint64        `json:"ask"`
	All   bool          `json:"all"`
	Users []chat.UserID `json:"users"`
}

type answerNote struct {
	Ask    uint64        `json:"ask"`
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

// beatNote says that a node lives, for the how manieth time, and whom it hears.
type beatNote struct {
	N       uint64      `json:"n"`
	Version string      `json:"version"`
	Hears   []heardNote `json:"hears"`
}

// heardNote gives a node its own beat back: when it had sent it, by its clock in
// microseconds, and how long ago that came here.
type heardNote struct {
	ID   string `json:"id"`
	At   int64  `json:"at"`
	Held int64  `json:"held"`
}

// header is 18 bytes: version, kind, node, and the sender's time in microseconds.
const headerSize = 18

type header struct {
	kind kind
	node string
	at   int64
}

// bodyMost bounds a message; NATS takes a megabyte.
const bodyMost = 512 << 10

var errTooLarge = errors.New("a message to other nodes is too large")

// encode makes a message.
func (n *Node) encode(k kind, at int64, body any) ([]byte, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode a message to other nodes: %w", err)
	}
	if len(b) > bodyMost {
		return nil, errTooLarge
	}
	m := make([]byte, headerSize, headerSize+len(b))
	m[0], m[1] = wireVersion, byte(k)
	copy(m[2:10], n.raw[:])
	binary.BigEndian.PutUint64(m[10:], uint64(at))
	return append(m, b...), nil
}

// ignored is why a message was.
type ignored string

const (
	ignoredVersion   ignored = "version"
	ignoredKind      ignored = "kind"
	ignoredMalformed ignored = "malformed"
	ignoredSize      ignored = "size"
)

// split takes a message's header off. why is "" when it is to be read.
func split(m []byte) (h header, body []byte, why ignored) {
	switch {
	case len(m) > headerSize+bodyMost:
		return h, nil, ignoredSize
	case len(m) == 0:
		return h, nil, ignoredMalformed
	case m[0] != wireVersion:
		return h, nil, ignoredVersion
	case len(m) < headerSize:
		return h, nil, ignoredMalformed
	}
	h = header{kind: kind(m[1]), node: hex.EncodeToString(m[2:10]), at: int64(binary.BigEndian.Uint64(m[10:]))} //nolint:gosec // as it was put
	if _, known := kindNames[h.kind]; !known {
		return h, nil, ignoredKind
	}
	return h, m[headerSize:], ""
}
