package auth

import (
	"crypto/subtle"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

// own is a token that this process made for itself.
type own struct {
	hash     model.TokenHash
	identity Identity
}

// IsInternal makes a token with which this process comes in through its own door, whatever
// the mode. It is kept in memory alone and good until the process ends; the call
// before loses its own. The user's sockets are marked as the process's own.
func (a *Authenticator) IsInternal(user chat.UserID) string {
	token, hash := newSecret(tokenPrefix)
	a.own.Store(&own{hash: hash, identity: Identity{Actor: model.UserActor(user), Name: string(user), IsInternal: true}})
	return token
}

func (a *Authenticator) isOwn(token string) (Identity, bool) {
	o := a.own.Load()
	if o == nil || len(token) != tokenLen {
		return Identity{}, false
	}
	hash := HashToken(token)
	if subtle.ConstantTimeCompare(o.hash[:], hash[:]) == 0 {
		return Identity{}, false
	}
	return o.identity, true
}
