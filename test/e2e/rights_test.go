package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chowk-chat/chowk/chat"
)

// Who may do what, by role, kind of channel and door. What is expected stands in
// the table below and is written from the protocol, not from the code's tables.

// The roles by letter: the four of members, nobody, who shares another channel
// with the owner, and a stranger, who shares none with anyone.
const (
	everyRole = "OAMGNS"
	members   = "OAMG"
)

var roleNames = map[byte]string{'O': "owner", 'A': "admin", 'M': "member", 'G': "guest", 'N': "nobody", 'S': "stranger"}

// kinds of channel, in the order of the table's columns. The two of a direct
// channel are its owners, so it has no other members.
var kinds = []string{"private", "public", "direct", "archived"}

// cell is what one attempt is about.
type cell struct {
	channel string
	mine    string // a message of whoever tries
	others  string // a message of another member
	spare   string // a member, for changes to members
	fresh   string // a user who is no member
	n       int    // another one for each attempt
}

type restCall func(c cell, me string) (method, path string, body map[string]any)

type socketCall func(c cell) (event string, data map[string]any)

// operation is one thing to do, over one door or both. For each kind of channel it
// says who may: letters of roles; with ! those who get a conflict instead. All
// others are forbidden.
type operation struct {
	name    string
	allowed [4]string
	rest    restCall
	socket  socketCall
	// entries are those whom it gives an entry in the channel's log; where it says -,
	// it gives none.
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
	{"keep settings", membersOnly, on("PATCH", "{c}/members/me", map[string]any{"is_muted": true}), nil, "-"},
	{"read", membersOnly, on("POST", "{c}/read", map[string]any{}), ev("read_receipt", "message_id", "{others}"), "-"},
	{"type", membersOnly, nil, ev("typing"), "-"},
	{"hear the channel", membersOnly, nil, ev("join_channel"), "-"},
	{"not hear the channel", [4]string{everyRole, everyRole, "ONS", everyRole}, nil, ev("leave_channel"), "-"},
	{
		"send", writing, on("POST", "{c}/messages", map[string]any{"content": "{n}"}), ev("new_message", "content", "{n}"),
		"",
	},
	{"reply", writing, nil, ev("new_message", "content", "{n}", "parent_message_id", "{others}"), ""},
	{
		"edit one's own", writing, on("PATCH", "{c}/messages/{mine}", map[string]any{"content": "{n}"}),
		ev("edit_message", "message_id", "{mine}", "content", "{n}"), "",
	},
	{
		"edit another's",
		[4]string{"", "", "", "OAMG!"},
		on("PATCH", "{c}/messages/{others}", map[string]any{"content": "{n}"}),
		ev("edit_message", "message_id", "{others}", "content", "{n}"), "",
	},
	{
		"delete one's own", writing, on("DELETE", "{c}/messages/{mine}", nil), ev("delete_message", "message_id", "{mine}"),
		"",
	},
	{
		"delete another's",
		[4]string{"OA", "OA", "O", "OAMG!"},
		on("DELETE", "{c}/messages/{others}", nil),
		ev("delete_message", "message_id", "{others}"), "",
	},
	{
		"react", writing, on("POST", "{c}/messages/{others}/reactions", map[string]any{"emoji": "👍"}),
		ev("message_reaction", "message_id", "{others}", "emoji", "🎉"), "",
	},
	{
		"take a reaction back", writing, on("DELETE", "{c}/messages/{others}/reactions/x", nil),
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
		"promote oneself",
		[4]string{"O", "O", "O!", "O"},
		on("PATCH", "{c}/members/{me}", map[string]any{"role": "owner"}),
		nil, "-",
	},
	{"remove a member", [4]string{"OA", "OA", "O!", "OA"}, on("DELETE", "{c}/members/{spare}", nil), nil, ""},
	{"leave", [4]string{"AMG O!", "AMG O!", "O!", "AMG O!"}, on("DELETE", "{c}/members/{me}", nil), nil, ""},
}

// expected reads the table.
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

func (o operation) makesEntry(role byte) bool {
	return o.entries == "" || strings.IndexByte(o.entries, role) >= 0
}

var fixtures atomic.Int64

// fixture is a channel with everybody in it who belongs there, and for each
// attempt a cell of its own.
type fixture struct {
	s       *server
	prefix  string
	channel string
	cells   map[string]cell
	sockets map[byte]*client
}

func (f *fixture) user(name string) string { return f.prefix + name }

func (f *fixture) known(names ...string) (users []string) {
	for _, name := range names {
		users = append(users, f.user(name))
		f.s.must(http.StatusOK, http.MethodGet, "/channels/", f.user(name), nil)
	}
	return users
}

func present(kind string) string {
	if kind == "direct" {
		return "O"
	}
	return members
}

// attempts are the roles and doors of one operation.
func (o operation) attempts(kind string) (all []string) {
	for _, role := range present(kind) + "NS" {
		if o.rest != nil {
			all = append(all, string(role)+" REST")
		}
		if o.socket != nil {
			all = append(all, string(role)+" socket")
		}
	}
	return all
}

func newFixture(s *server, kind string, o operation) *fixture {
	f := &fixture{
		s: s, prefix: fmt.Sprintf("f%d-", fixtures.Add(1)), cells: make(map[string]cell), sockets: make(map[byte]*client),
	}
	f.known("owner", "nobody", "stranger", "peer")
	other := f.user("peer") // the author of what is others'
	if kind == "direct" {
		f.channel = s.must(
			http.StatusOK, http.MethodPost, "/channels/direct", f.user("owner"), map[string]any{"user_id": other},
		).field(s.t, "id")
	} else {
		f.channel = s.must(http.StatusCreated, http.MethodPost, "/channels/", f.user("owner"), map[string]any{
			"name": o.name, "is_private": kind != "public", "member_ids": append(f.known("admin", "member", "guest"), other),
		}).field(s.t, "id")
		for _, role := range []string{"admin", "guest"} {
			s.must(
				http.StatusOK, http.MethodPatch, "/channels/"+f.channel+"/members/"+f.user(role), f.user("owner"),
				map[string]any{"role": role},
			)
		}
	}
	s.must(http.StatusCreated, http.MethodPost, "/channels/", f.user("owner"), map[string]any{
		"name": "with nobody", "member_ids": []string{f.user("nobody")},
	})
	for i, attempt := range o.attempts(kind) {
		f.cells[attempt] = f.cell(kind, o, attempt, i)
	}
	if kind == "archived" {
		s.must(http.StatusOK, http.MethodPatch, "/channels/"+f.channel, f.user("owner"), map[string]any{"is_archived": true})
	}
	if o.socket != nil {
		for _, role := range []byte(present(kind) + "NS") {
			f.sockets[role] = s.dial(f.user(roleNames[role]))
		}
	}
	return f
}

// cell makes what the operation's words say that it needs.
func (f *fixture) cell(kind string, o operation, attempt string, n int) cell {
	say := func(user string) string {
		return f.s.must(
			http.StatusCreated, http.MethodPost, "/channels/"+f.channel+"/messages", user, map[string]any{"content": "said"},
		).field(f.s.t, "id")
	}
	c := cell{channel: f.channel, n: n}
	author := f.user(roleNames[attempt[0]])
	if strings.IndexByte(present(kind), attempt[0]) < 0 {
		author = f.user("owner")
	}
	uses := o.uses()
	if strings.Contains(uses, "(mine)") {
		c.mine = say(author)
	}
	if strings.Contains(uses, "(others)") {
		c.others = say(f.user("peer"))
	}
	if strings.Contains(uses, "(spare)") {
		c.spare = f.user("peer")
		if kind != "direct" {
			c.spare = f.known(fmt.Sprint("spare", n))[0]
			f.s.must(http.StatusOK, http.MethodPost, "/channels/"+f.channel+"/members", f.user("owner"), map[string]any{
				"user_ids": []string{c.spare},
			})
		}
	}
	if strings.Contains(uses, "(fresh)") {
		c.fresh = f.known(fmt.Sprint("fresh", n))[0]
	}
	return c
}

// uses shows an operation's words with marks where a cell's are to be filled in.
func (o operation) uses() string {
	marks := cell{channel: "(channel)", mine: "(mine)", others: "(others)", spare: "(spare)", fresh: "(fresh)"}
	text := ""
	if o.rest != nil {
		method, path, body := o.rest(marks, "(me)")
		text += fmt.Sprint(method, path, body)
	}
	if o.socket != nil {
		event, data := o.socket(marks)
		text += fmt.Sprint(event, data)
	}
	return text
}

// try does it, and gives the outcome in a word and what was said.
func (f *fixture) try(o operation, attempt string, c cell) (outcome, said string) {
	me := f.user(roleNames[attempt[0]])
	if strings.HasSuffix(attempt, "socket") {
		event, data := o.socket(c)
		got := f.sockets[attempt[0]].ask(event, data)
		if got.Type == "error" {
			return got.Code, got.Message
		}
		return "ok", got.Response.Status
	}
	method, path, body := o.rest(c, me)
	r := f.s.request(method, path, me, orNone(body))
	if r.status < http.StatusBadRequest {
		return "ok", ""
	}
	return r.field(f.s.t, "code"), r.field(f.s.t, "detail")
}

// orNone is a body, or none at all.
func orNone(body map[string]any) any {
	if body == nil {
		return nil
	}
	return body
}

func (f *fixture) lastSeq() int64 {
	var c chat.Channel
	f.s.must(http.StatusOK, http.MethodGet, "/channels/"+f.channel, f.user("peer"), nil).into(f.s.t, &c)
	return c.LastSeq
}

// TestPermissionMatrix goes through every operation, kind of channel, role and door.
// Who has no right to know of a channel gets the same answer as for one that does
// not exist, and nothing that is refused leaves a trace.
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
		})
	})
	if n := cells.Load(); n < 1000 {
		t.Errorf("%d cells were tried", n)
	}
	t.Logf("%d cells", cells.Load())
}

// tryEveryRole tries an operation as every role in one kind of channel, and says
// how many attempts that were.
func tryEveryRole(t *testing.T, s *server, o operation, column int, kind string) (cells int64) {
	f := newFixture(s, kind, o)
	before, entries := f.lastSeq(), int64(0)
	for _, attempt := range o.attempts(kind) {
		cells++
		role, want := attempt[0], o.expected(column, attempt[0])
		got, said := f.try(o, attempt, f.cells[attempt])
		if got != want {
			t.Errorf(
				"%s, in a %s channel, %s as %s: %s (%s), want %s", o.name, kind, attempt[2:], roleNames[role], got, said, want,
			)
		}
		if want == "ok" && o.makesEntry(role) {
			entries++
		}
		if want == "forbidden" && strings.IndexByte("NS", role) >= 0 && kind != "public" {
			none := f.cells[attempt]
			none.channel = chat.NewID().String()
			if code, words := f.try(o, attempt, none); code != got || words != said {
				t.Errorf(
					"%s, %s as %s: a %s channel is answered %s (%s), one that is none %s (%s)", o.name, attempt[2:], roleNames[role],
					kind, got, said, code, words,
				)
			}
		}
	}
	if after := f.lastSeq(); after-before != entries {
		t.Errorf("%s, in a %s channel: %d entries were made, want %d", o.name, kind, after-before, entries)
	}
	for _, c := range f.sockets {
		_ = c.conn.CloseNow()
	}
	return cells
}

// TestMessageOfAnotherChannelIsNotFound: its id under another channel's is answered as
// one that does not exist.
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
			answers := make(map[string]string)
			for what, mid := range map[string]string{"foreign": secret, "none": chat.NewID().String()} {
				c := cell{channel: own, mine: mid, others: mid}
				if o.rest != nil {
					method, path, body := o.rest(c, "eve")
					r := s.request(method, path, "eve", orNone(body))
					answers[what] += fmt.Sprint(r.status, r.field(t, "code"), r.field(t, "detail"))
				}
				if o.socket != nil {
					event, data := o.socket(c)
					f := eve.ask(event, data)
					answers[what] += fmt.Sprint(f.Code, f.Message)
				}
			}
			if answers["foreign"] != answers["none"] || !strings.Contains(answers["none"], "not_found") && o.name != "read" {
				t.Errorf("%s: %v", o.name, answers)
			}
		}
		for _, query := range []string{"before_id=", "before=", "parent_id="} {
			a := s.request(http.MethodGet, "/channels/"+own+"/messages?"+query+secret, "eve", nil)
			b := s.request(http.MethodGet, "/channels/"+own+"/messages?"+query+chat.NewID().String(), "eve", nil)
			if a.status != b.status || string(a.body) != string(b.body) {
				t.Errorf("%s: %d %s, and %d %s", query, a.status, a.body, b.status, b.body)
			}
		}
	})
}
