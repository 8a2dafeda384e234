// Package verb holds the rules of chowk: what each verb asks for, who may do it,
// and what is done. One verb, one file, one line in the table. It knows no
// socket, no SQL and no other node; both doors, sockets and HTTP, call it.
package verb

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/chowk-chat/chowk/chat"
)

// Rules carries out verbs. Its fields must be set; it keeps no state of its own.
type Rules struct {
	Journal Journal
	Store   Store
	Live    Live
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

func (r *Rules) at() chat.Time { return chat.TimeOf(r.Now()) }

// right says who may do a change.
type right struct {
	roles    chat.Roles
	orAuthor bool
}

// rights is the table of who may do what to a channel of which he is, but where
// NobodyToo says otherwise, a member. The store holds it in the commit.
var rights = map[chat.ChangeKind]right{
	chat.SendMessage:    {roles: chat.Members},
	chat.EditMessage:    {orAuthor: true},
	chat.DeleteMessage:  {roles: chat.Managers, orAuthor: true},
	chat.AddReaction:    {roles: chat.Members},
	chat.RemoveReaction: {roles: chat.Members},
	chat.AddMember:      {roles: chat.Managers},
	chat.RemoveMember:   {roles: chat.Managers},
	chat.UpdateMember:   {roles: chat.Managers},
	chat.UpdateChannel:  {roles: chat.Managers},
	chat.CreateChannel:  {roles: chat.Anyone},
}

// Right gives the roles that may do a kind of change, and whether a message's
// author may as well.
func Right(k chat.ChangeKind) (roles chat.Roles, orAuthor bool) {
	return rights[k].roles, rights[k].orAuthor
}

// change starts a change with its rights, so that none can be made without.
func (r *Rules) change(kind chat.ChangeKind, c Caller, channel chat.ID) chat.Change {
	right := rights[kind]
	return chat.Change{
		Kind: kind, ID: chat.NewID(), ChannelID: channel, Actor: c.User, At: r.at(),
		Allowed: right.roles, OrAuthor: right.orAuthor,
	}
}

// text checks what a user wrote in a field: its length in characters or, for
// content, bytes, and that every database can store it.
func text(field, s string, most int) error {
	if utf8.RuneCountInString(s) > most {
		return chat.Invalid(field, field+" is too long: at most "+itoa(most)+" characters")
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

func optionalText(field string, s *string, most int) error {
	if s == nil {
		return nil
	}
	return text(field, *s, most)
}

func validUsers(field string, users []chat.UserID) error {
	for _, u := range users {
		if !u.Valid() {
			return chat.Invalid(field, field+" holds something that is not a user id: 1 to 64 characters out of A-Z a-z 0-9 _ . : -")
		}
	}
	return nil
}
