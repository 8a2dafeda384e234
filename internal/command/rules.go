// Package verb holds the rules of chowk: what each verb asks for, who may do it,
// and what is done. One verb, one file, one line in the table. It knows no
// socket, no SQL and no other node; both doors, sockets and HTTP, call it.
package command

import (
	"time"
	"unicode/utf8"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/state"
)

// Service carries out verbs. Its fields must be set; it keeps no state of its own.
type Service struct {
	Journal  Journal
	Store    Store
	Realtime Realtime
	// Now is the clock, time.Now but for tests.
	Now func() time.Time
}

// Caller is the actor that issues a command.
type Caller struct {
	model.Actor
	// Socket is the caller's socket, nil over REST.
	Socket Socket
}

func (r *Service) at() chat.Time { return chat.TimeOf(r.Now()) }

// change returns a change by the caller. Whether they may make it, package state decides.
func (r *Service) change(kind state.ChangeKind, c Caller, channel chat.ID) state.Change {
	return state.Change{Kind: kind, ID: chat.NewID(), ChannelID: channel, Actor: c.Actor, At: r.at()}
}

// text checks what a user wrote in a field: its length in characters or, for
// content, bytes, and that every database can store it.
func text(field, s string, limit int) error {
	if utf8.RuneCountInString(s) > limit {
		return chat.Invalid(field, field+" is too long: at most "+itoa(limit)+" characters")
	}
	return state.CheckText(field, s)
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
