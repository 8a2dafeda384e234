package bench

import (
	"fmt"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/auth"
)

// tokenLife outlasts every run.
const tokenLife = maxDuration + time.Hour

// user returns the user of the ith socket.
func (p *Plan) user(i int) chat.UserID {
	if n := len(p.Identity.Tokens); n > 0 {
		return p.Identity.Tokens[i%n].User
	}
	return chat.UserID(fmt.Sprintf("bench-%s-%d", p.Run, i))
}

// token returns the user's token; "" for servers of the old protocol, which trust the
// path.
func (p *Plan) token(n int) (string, error) {
	if count := len(p.Identity.Tokens); count > 0 {
		return p.Identity.Tokens[n%count].Token, nil
	}
	if p.Identity.Secret == "" {
		if p.Old {
			return "", nil
		}
		return string(p.user(n)), nil
	}
	i := p.Identity
	return auth.MintJWT(i.Secret, i.Issuer, i.Audience, p.user(n), time.Now(), tokenLife)
}
