// Package verb holds the rules of chowk: what each verb asks for, who may do it,
// and what is done. One verb, one file, one line in the table. It knows no
// socket, no SQL and no other node; both doors, sockets and HTTP, call it.
package command

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

// Service carries out verbs. Its fields must be set; it keeps no state of its own.
type Service struct {
	Journal  Journal
	Store    Store
	Realtime Realtime
	// Now is the clock, time.Now but for tests.
	Now func() time.Time
	// OpenDirectory lets every user find every other by name. Without it only
	// those who share a channel find each other.
	OpenDirectory bool
}

// Caller is who asks.
type Caller struct {
	User chat.UserID
	// Socket is the socket that asks, nil over REST.
	Socket Socket
}

func (r *Service) at() chat.Time { return chat.TimeOf(r.Now()) }

// right says who may do a change.
type right struct {
	roles    chat.Roles
	orAuthor bool
}

// rights is the table of who may do what to a channel of which he is, but where
// NobodyToo says otherwise, a member. The store holds it in the commit.
var rights = map[state.ChangeKind]right{
	state.SendMessage:    {roles: chat.Members},
	state.EditMessage:    {orAuthor: true},
	state.DeleteMessage:  {roles: chat.Managers, orAuthor: true},
	state.AddReaction:    {roles: chat.Members},
	state.RemoveReaction: {roles: chat.Members},
	state.AddMember:      {roles: chat.Managers},
	state.RemoveMember:   {roles: chat.Managers},
	state.UpdateMember:   {roles: chat.Managers},
	state.UpdateChannel:  {roles: chat.Managers},
	state.CreateChannel:  {roles: chat.Anyone},
}

// Right gives the roles that may do a kind of change, and whether a message's
// author may as well.
func Right(k state.ChangeKind) (roles chat.Roles, orAuthor bool) {
	return rights[k].roles, rights[k].orAuthor
}

// change starts a change with its rights, so that none can be made without.
func (r *Service) change(kind state.ChangeKind, c Caller, channel chat.ID) state.Change {
	right := rights[kind]
	return state.Change{
		Kind: kind, ID: chat.NewID(), ChannelID: channel, Actor: c.User, At: r.at(),
		Allowed: right.roles, AllowAuthor: right.orAuthor,
	}
}

// text checks what a user wrote in a field: its length in characters or, for
// content, bytes, and that every database can store it.
func text(field, s string, limit int) error {
	if utf8.RuneCountInString(s) > limit {
		return chat.Invalid(field, field+" is too long: at most "+itoa(limit)+" characters")
	}
	return storable(field, s)
}

func storable(field, s string) error {
	if strings.IndexByte(s, 0) >= 0 {
		return chat.Invalid(field, field+" holds a NUL character, which cannot be stored")
	}
	if !utf8.ValidString(s) {
		return chat.Invalid(field, field+" is not valid UTF-8")
	}
	return nil
}

func optionalText(field string, s *string, limit int) error {
	if s == nil {
		return nil
	}
	return text(field, *s, limit)
}

func validUsers(field string, users []chat.UserID) error {
	for _, u := range users {
		if !u.Valid() {
			return chat.Invalid(field, field+" holds something that is not a user id: 1 to 64 characters out of A-Z a-z 0-9 _ . : -")
		}
	}
	return nil
}
