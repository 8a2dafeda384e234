package bench

import (
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/chowk-chat/chowk/chat"
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
func (p *Plan) token(i int) (string, error) {
	if n := len(p.Identity.Tokens); n > 0 {
		return p.Identity.Tokens[i%n].Token, nil
	}
	if p.Identity.Secret == "" {
		if p.Old {
			return "", nil
		}
		return string(p.user(i)), nil
	}
	now := time.Now()
	c := jwt.RegisteredClaims{
		Issuer: p.Identity.Issuer, Subject: string(p.user(i)),
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(tokenLife)),
	}
	if p.Identity.Audience != "" {
		c.Audience = jwt.ClaimStrings{p.Identity.Audience}
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString([]byte(p.Identity.Secret))
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return token, nil
}
