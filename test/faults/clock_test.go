package faults

import (
	"context"
	"os"
	"strconv"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/client"
	"github.com/chowk-chat/chowk/internal/auth"
)

// secret signs the tokens.
const secret = "q7Jw2ZkX0vT9cR4mL8sB1nYh6dFgAeU3"

// token returns a user's token. It expires in hours, so that a clock that is an hour
// off ends none.
func token(user string) string {
	// Issued long ago, so that it is not from the future when the server's clock is set back.
	t, err := auth.MintJWT(secret, "", "", chat.UserID(user), time.Now().Add(-2*time.Hour), 14*time.Hour)
	if err != nil {
		panic(err)
	}
	return t
}

// setClock sets the clock of the running server ahead by a number of seconds, and
// returns when the server shows it.
func (s *server) setClock(seconds int) {
	next := s.clock + ".next"
	err := os.WriteFile(next, []byte(strconv.Itoa(seconds)), 0o600)
	if err == nil {
		err = os.Rename(next, s.clock)
	}
	if err != nil {
		s.t.Errorf("set the clock: %v", err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	want := time.Duration(seconds) * time.Second
	for {
		c, err := client.Dial(ctx, client.Options{URL: "http://" + s.address, Token: client.StaticToken(token("clock"))})
		if err != nil {
			s.t.Errorf("read the server's time: %v", err)
			return
		}
		off := time.Until(c.Hello().Timestamp.Std())
		_ = c.Close()
		if off.Round(time.Second) == want {
			return
		}
		if ctx.Err() != nil {
			s.t.Errorf("the server's clock is off by %v, but should be by %v", off, want)
			return
		}
	}
}
