package model

import (
	"fmt"
	"strings"

	"github.com/chowk-chat/chowk/chat"
)

// ActorKind is the kind of participant that makes a change. The zero value is invalid, so an
// actor without a kind has no rights.
type ActorKind uint8

// The kinds of actors.
const (
	ActorUser    ActorKind = iota + 1 // a person
	ActorBot                          // a program with a user of its own
	ActorWebhook                      // an incoming webhook: it sends messages and does nothing else
	ActorKey                          // an API key, which acts for the user who created it
	ActorSystem                       // the server itself: it needs no membership
	endOfActors
)

var actorNames = [endOfActors]string{
	ActorUser: "user", ActorBot: "bot", ActorWebhook: "webhook", ActorKey: "key", ActorSystem: "system",
}

// Valid reports whether k is one of the kinds above.
func (k ActorKind) Valid() bool { return k > 0 && k < endOfActors }

// String returns the kind's name, such as "bot".
func (k ActorKind) String() string {
	if !k.Valid() {
		return fmt.Sprintf("actor kind %d", uint8(k))
	}
	return actorNames[k]
}

// ActorKinds is a set of kinds.
type ActorKinds uint8

// Actors returns the set of the given kinds.
func Actors(kinds ...ActorKind) (set ActorKinds) {
	for _, k := range kinds {
		set |= 1 << k
	}
	return set
}

// Has reports whether k is in the set.
func (s ActorKinds) Has(k ActorKind) bool { return k.Valid() && s&(1<<k) != 0 }

// Actor is a participant: its kind and the user as which it acts. Rights, authorship and
// logs go by that user; the kind can only restrict them, except for ActorSystem.
type Actor struct {
	Kind ActorKind
	User chat.UserID
}

// UserActor returns the actor for a person.
func UserActor(id chat.UserID) Actor { return Actor{Kind: ActorUser, User: id} }

// Valid reports whether the kind and the user's id are valid.
func (a Actor) Valid() bool { return a.Kind.Valid() && a.User.Valid() }

// String returns the kind and the user's id, such as "bot:reminder".
func (a Actor) String() string { return a.Kind.String() + ":" + string(a.User) }

// ParseActor parses what [Actor.String] returns. A user's id may contain colons.
func ParseActor(s string) (Actor, error) {
	name, user, _ := strings.Cut(s, ":")
	for k := ActorUser; k < endOfActors; k++ {
		if a := (Actor{Kind: k, User: chat.UserID(user)}); actorNames[k] == name && a.Valid() {
			return a, nil
		}
	}
	return Actor{}, fmt.Errorf("%q is not an actor: want a kind and a user id, such as bot:reminder", s)
}
