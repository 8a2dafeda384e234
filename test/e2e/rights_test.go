package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chowk-chat/chowk/chat"
)

// Permissions by role, kind of channel, and way of access (REST or socket). The table
// below is written from the protocol, not from the tables of the code.

// The roles by letter. The first four are members. An outsider shares another channel
// with the owner, and a stranger shares no channel with anyone.
const (
	everyRole = "OAMGNS"
	members   = "OAMG"
)

var roleNames = map[byte]string{
	'O': "owner", 'A': "admin", 'M': "member", 'G': "guest", 'N': "outsider", 'S': "stranger",
}

// kinds are the kinds of channels, in the order of the table's columns. Both users of a
// direct channel are owners; it has no other members.
var kinds = []string{"private", "public", "direct", "archived"}

// cell has the ids that one attempt uses.
type cell struct {
	channel string
	mine    string // a message of the user who makes the attempt
	others  string // a message of another member
	spare   string // a member whose membership may be changed
	fresh   string // a user who is not a member
	n       int    // unique for each attempt
}

type restCall func(c cell, me string) (method, path string, body map[string]any)

type socketCall func(c cell) (event string, data map[string]any)

// operation is an operation over REST, a socket, or both. For each kind of channel,
// allowed has the letters of the roles that may do it; letters with ! get a conflict
// instead. All other roles are forbidden.
type operation struct {
	name    string
	allowed [4]string
	rest    restCall
	socket  socketCall
	// entries has the letters of the roles for which it adds an entry to the channel's
	// log: "" is all of them, "-" is none.
	entries string
}

func on(method, path string, body map[string]any) restCall {
	return func(c cell, me string) (string, string, map[string]any) {
		fill := strings.NewReplacer(
			"{c}", "/channels/"+c.channel, "{id}", c.channel, "{mine}", c.mine, "{others}", c.others, "{spare}", c.spare, "{me}",
			me,
		)
		filled := make(map[string]any, len(body))
		for k, v := range body {
			switch v {
			case "{n}":
				v = fmt.Sprint(c.n)
			case "{fresh}":
				v = []string{c.fresh}
			case "{me}":
				v = []string{me}
			}
			filled[k] = v
		}
		if body == nil {
			filled = nil
		}
		return method, fill.Replace(path), filled
	}
}

func ev(name string, fields ...string) socketCall {
	return func(c cell) (string, map[string]any) {
		data := map[string]any{"channel_id": c.channel}
		for i := 0; i+1 < len(fields); i += 2 {
			data[fields[i]] = strings.NewReplacer(
				"{mine}", c.mine, "{others}", c.others, "{n}", fmt.Sprint(c.n),
			).Replace(fields[i+1])
		}
		return name, data
	}
}

var (
	membersOnly = [4]string{"OAMG", "OAMG", "O", "OAMG"}
	writing     = [4]string{"OAMG", "OAMG", "O", "OAMG!"} // an archived channel can only be read
)

var operations = []operation{
	{"get the channel", [4]string{"OAMG", "OAMGNS", "O", "OAMG"}, on("GET", "{c}", nil), nil, "-"},
	{"list messages", membersOnly, on("GET", "{c}/messages", nil), nil, "-"},
	{"get a message", membersOnly, on("GET", "{c}/messages/{others}", nil), nil, "-"},
	{"list members", membersOnly, on("GET", "{c}/members", nil), nil, "-"},
	{"list who is online", membersOnly, on("GET", "/channel/{id}/online-members", nil), ev("subscribe_presence"), "-"},
	{"change own settings", membersOnly, on("PATCH", "{c}/members/me", map[string]any{"is_muted": true}), nil, "-"},
	{
		"mark as read", membersOnly, on("POST", "{c}/read", map[string]any{}), ev("read_receipt", "message_id", "{others}"),
		"-",
	},
	{"type", membersOnly, nil, ev("typing"), "-"},
	{"join with a socket", membersOnly, nil, ev("join_channel"), "-"},
	{"leave with a socket", [4]string{everyRole, everyRole, "ONS", everyRole}, nil, ev("leave_channel"), "-"},
	{
		"send", writing, on("POST", "{c}/messages", map[string]any{"content": "{n}"}), ev("new_message", "content", "{n}"),
		"",
	},
	{"reply", writing, nil, ev("new_message", "content", "{n}", "parent_message_id", "{others}"), ""},
	{
		"edit own message", writing, on("PATCH", "{c}/messages/{mine}", map[string]any{"content": "{n}"}),
		ev("edit_message", "message_id", "{mine}", "content", "{n}"), "",
	},
	{
		"edit message of another",
		[4]string{"", "", "", "OAMG!"},
		on("PATCH", "{c}/messages/{others}", map[string]any{"content": "{n}"}),
		ev("edit_message", "message_id", "{others}", "content", "{n}"), "",
	},
	{
		"delete own message", writing, on("DELETE", "{c}/messages/{mine}", nil), ev("delete_message", "message_id", "{mine}"),
		"",
	},
	{
		"delete message of another",
		[4]string{"OA", "OA", "O", "OAMG!"},
		on("DELETE", "{c}/messages/{others}", nil),
		ev("delete_message", "message_id", "{others}"), "",
	},
	{
		"pin",
		[4]string{"OA", "OA", "O", "OAMG!"},
		on("PUT", "{c}/messages/{others}/pin", nil),
		ev("pin_message", "message_id", "{others}"), "",
	},
	{
		"unpin",
		[4]string{"OA", "OA", "O", "OAMG!"},
		on("DELETE", "{c}/messages/{others}/pin", nil),
		ev("unpin_message", "message_id", "{others}"), "-",
	},
	{
		"react", writing, on("POST", "{c}/messages/{others}/reactions", map[string]any{"emoji": "👍"}),
		ev("message_reaction", "message_id", "{others}", "emoji", "🎉"), "",
	},
	{
		"remove a reaction", writing, on("DELETE", "{c}/messages/{others}/reactions/x", nil),
		ev("remove_reaction", "message_id", "{others}", "emoji", "x"), "-",
	},
	{"change the channel", [4]string{"OA", "OA", "O", "OA"}, on("PATCH", "{c}", map[string]any{"topic": "{n}"}), nil, ""},
	{
		"add a member",
		[4]string{"OA", "OA", "O!", "OAMG!"},
		on("POST", "{c}/members", map[string]any{"user_ids": "{fresh}"}), nil, "",
	},
	{
		"join",
		[4]string{"OA", "OAMGNS", "O!", "OAMG!"},
		on("POST", "{c}/members", map[string]any{"user_ids": "{me}"}), nil,
		"NS",
	},
	{
		"join as an admin",
		[4]string{"OA", "OA", "O!", "OAMG!"},
		on("POST", "{c}/members", map[string]any{"user_ids": "{me}", "role": "admin"}), nil, "-",
	},
	{
		"change a role",
		[4]string{"OA", "OA", "O!", "OA"},
		on("PATCH", "{c}/members/{spare}", map[string]any{"role": "guest"}), nil, "",
	},
	{
		"promote themselves",
		[4]string{"O", "O", "O!", "O"},
		on("PATCH", "{c}/members/{me}", map[string]any{"role": "owner"}),
		nil, "-",
	},
	{"remove a member", [4]string{"OA", "OA", "O!", "OA"}, on("DELETE", "{c}/members/{spare}", nil), nil, ""},
	{"leave", [4]string{"AMG O!", "AMG O!", "O!", "AMG O!"}, on("DELETE", "{c}/members/{me}", nil), nil, ""},
}

// expected returns the outcome that the table has for a role.
func (o operation) expected(kind int, role byte) string {
	for part := range strings.FieldsSeq(o.allowed[kind]) {
		letters, conflict := strings.CutSuffix(part, "!")
		switch {
		case strings.IndexByte(letters, role) < 0:
		case conflict:
			return "conflict"
		default:
			return "ok"
		}
	}
	return "forbidden"
}

func (o operation) addsEntry(role byte) bool {
	return o.entries == "" || strings.IndexByte(o.entries, role) >= 0
}

// TestPermissionMatrix tries every operation in every kind of channel, as every role,
// over REST and sockets. A user who may not know of a channel gets the same reply as
// for one that does not exist, and a refused attempt changes nothing.
func TestPermissionMatrix(t *testing.T) {
	t.Parallel()
	var cells atomic.Int64
	t.Run("matrix", func(t *testing.T) {
		everywhere(t, func(t *testing.T, s *server) {
			for column, kind := range kinds {
				t.Run(kind, func(t *testing.T) {
					t.Parallel()
					for _, o := range operations {
						cells.Add(tryEveryRole(t, s.in(t), o, column, kind))
					}
				})
			}
		}, "pool.request-timeout=10s") // a slow machine must not refuse what a role may do
	})
	if n := cells.Load(); n < 1000 {
		t.Errorf("only %d attempts were made", n)
	}
	t.Logf("%d attempts", cells.Load())
}

// tryEveryRole tries an operation as every role in one kind of channel, and returns
// the number of attempts.
func tryEveryRole(t *testing.T, s *server, o operation, column int, kind string) (cells int64) {
	f := newFixture(s, kind, o)
	before, entries := f.lastSeq(), int64(0)
	for _, attempt := range o.attempts(kind) {
		cells++
		role, want := attempt[0], o.expected(column, attempt[0])
		got, text := f.try(o, attempt, f.cells[attempt])
		if got != want {
			t.Errorf(
				"%s, in a %s channel, %s as %s: %s (%s), want %s", o.name, kind, attempt[2:], roleNames[role], got, text, want,
			)
		}
		if want == "ok" && o.addsEntry(role) {
			entries++
		}
		if want == "forbidden" && strings.IndexByte("NS", role) >= 0 && kind != "public" {
			none := f.cells[attempt]
			none.channel = chat.NewID().String()
			if code, noneText := f.try(o, attempt, none); code != got || noneText != text {
				t.Errorf(
					"%s, %s as %s: the reply for a %s channel is %s (%s), for one that does not exist %s (%s)", o.name, attempt[2:],
					roleNames[role],
					kind, got, text, code, noneText,
				)
			}
		}
	}
	if after := f.lastSeq(); after-before != entries {
		t.Errorf("%s, in a %s channel: %d entries were added, want %d", o.name, kind, after-before, entries)
	}
	for _, c := range f.sockets {
		_ = c.conn.CloseNow()
	}
	return cells
}

// TestMessageOfAnotherChannelIsNotFound checks that a message's id in the path of
// another channel gets the same reply as an id that does not exist.
func TestMessageOfAnotherChannelIsNotFound(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		foreign, own := s.channel("ada"), s.channel("eve")
		secret := s.dial("ada").send(foreign, "secret").Response.MessageID
		eve := s.dial("eve")
		for _, o := range operations {
			if uses := o.uses(); !strings.Contains(uses, "(mine)") && !strings.Contains(uses, "(others)") {
				continue
			}
			replies := make(map[string]string)
			for what, mid := range map[string]string{"foreign": secret, "none": chat.NewID().String()} {
				c := cell{channel: own, mine: mid, others: mid}
				if o.rest != nil {
					method, path, body := o.rest(c, "eve")
					r := s.request(method, path, "eve", orNone(body))
					replies[what] += fmt.Sprint(r.status, r.field(t, "code"), r.field(t, "detail"))
				}
				if o.socket != nil {
					event, data := o.socket(c)
					f := eve.ask(event, data)
					replies[what] += fmt.Sprint(f.Code, f.Message)
				}
			}
			if replies["foreign"] != replies["none"] || !strings.Contains(replies["none"], "not_found") &&
				o.name != "mark as read" {
				t.Errorf("%s: the replies differ or are not not_found: %v", o.name, replies)
			}
		}
		for _, query := range []string{"before_id=", "before=", "parent_id="} {
			a := s.request(http.MethodGet, "/channels/"+own+"/messages?"+query+secret, "eve", nil)
			b := s.request(http.MethodGet, "/channels/"+own+"/messages?"+query+chat.NewID().String(), "eve", nil)
			if a.status != b.status || string(a.body) != string(b.body) {
				t.Errorf("%s: the replies differ: %d %s, and %d %s", query, a.status, a.body, b.status, b.body)
			}
		}
	})
}
