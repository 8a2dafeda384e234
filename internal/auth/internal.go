package auth

import (
	"crypto/subtle"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

// internalToken is a token that this process created for itself.
type internalToken struct {
	hash     model.TokenHash
	identity Identity
}

// InternalToken returns a token with which this process can connect to itself, in any
// mode. It exists only in memory and is valid until the process ends; each call
// invalidates the previous token. Identities of the token have IsInternal set.
func (a *Authenticator) InternalToken(user chat.UserID) string {
	token, hash := newSecret(tokenPrefix)
	identity := Identity{Actor: model.UserActor(user), Name: string(user), IsInternal: true}
	a.internal.Store(&internalToken{hash: hash, identity: identity})
	return token
}

func (a *Authenticator) isInternal(token string) (Identity, bool) {
	t := a.internal.Load()
	if t == nil || len(token) != tokenLen {
		return Identity{}, false
	}
	hash := HashToken(token)
	if subtle.ConstantTimeCompare(t.hash[:], hash[:]) == 0 {
		return Identity{}, false
	}
	return t.identity, true
}
