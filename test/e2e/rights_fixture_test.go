package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/chowk-chat/chowk/chat"
)

var fixtures atomic.Int64

// fixture is a channel with members of all roles, and a cell for each attempt.
type fixture struct {
	s       *server
	prefix  string
	channel string
	cells   map[string]cell
	sockets map[byte]*client
}

func (f *fixture) user(name string) string { return f.prefix + name }

func (f *fixture) createUsers(names ...string) (users []string) {
	for _, name := range names {
		users = append(users, f.user(name))
		f.s.must(http.StatusOK, http.MethodGet, "/channels/", f.user(name), nil)
	}
	return users
}

func rolesIn(kind string) string {
	if kind == "direct" {
		return "O"
	}
	return members
}

// attempts returns the combinations of role and way of access.
func (o operation) attempts(kind string) (all []string) {
	for _, role := range rolesIn(kind) + "NS" {
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
	f.createUsers("owner", "outsider", "stranger", "peer")
	other := f.user("peer") // the author of the messages of others
	if kind == "direct" {
		f.channel = s.must(
			http.StatusOK, http.MethodPost, "/channels/direct", f.user("owner"), map[string]any{"user_id": other},
		).field(s.t, "id")
	} else {
		f.channel = s.must(http.StatusCreated, http.MethodPost, "/channels/", f.user("owner"), map[string]any{
			"name": o.name, "is_private": kind != "public",
			"member_ids": append(f.createUsers("admin", "member", "guest"), other),
		}).field(s.t, "id")
		for _, role := range []string{"admin", "guest"} {
			s.must(
				http.StatusOK, http.MethodPatch, "/channels/"+f.channel+"/members/"+f.user(role), f.user("owner"),
				map[string]any{"role": role},
			)
		}
	}
	s.must(http.StatusCreated, http.MethodPost, "/channels/", f.user("owner"), map[string]any{
		"name": "with the outsider", "member_ids": []string{f.user("outsider")},
	})
	for i, attempt := range o.attempts(kind) {
		f.cells[attempt] = f.cell(kind, o, attempt, i)
	}
	if kind == "archived" {
		s.must(http.StatusOK, http.MethodPatch, "/channels/"+f.channel, f.user("owner"), map[string]any{"is_archived": true})
	}
	if o.socket != nil {
		for _, role := range []byte(rolesIn(kind) + "NS") {
			f.sockets[role] = s.dial(f.user(roleNames[role]))
		}
	}
	return f
}

// cell creates the messages and users that the operation needs.
func (f *fixture) cell(kind string, o operation, attempt string, n int) cell {
	post := func(user string) string {
		return f.s.must(
			http.StatusCreated, http.MethodPost, "/channels/"+f.channel+"/messages", user, map[string]any{"content": "text"},
		).field(f.s.t, "id")
	}
	c := cell{channel: f.channel, n: n}
	author := f.user(roleNames[attempt[0]])
	if strings.IndexByte(rolesIn(kind), attempt[0]) < 0 {
		author = f.user("owner")
	}
	uses := o.uses()
	if strings.Contains(uses, "(mine)") {
		c.mine = post(author)
	}
	if strings.Contains(uses, "(others)") {
		c.others = post(f.user("peer"))
	}
	if strings.Contains(uses, "(spare)") {
		c.spare = f.user("peer")
		if kind != "direct" {
			c.spare = f.createUsers(fmt.Sprint("spare", n))[0]
			f.s.must(http.StatusOK, http.MethodPost, "/channels/"+f.channel+"/members", f.user("owner"), map[string]any{
				"user_ids": []string{c.spare},
			})
		}
	}
	if strings.Contains(uses, "(fresh)") {
		c.fresh = f.createUsers(fmt.Sprint("fresh", n))[0]
	}
	return c
}

// uses returns the operation's request with marks in place of the fields of a cell.
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

// try makes an attempt and returns its outcome (ok or an error code) and its text.
func (f *fixture) try(o operation, attempt string, c cell) (outcome, text string) {
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

// orNone returns nil for a nil body, instead of an interface that contains nil.
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
