package gateway_test

import (
	"context"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/command"
	"github.com/chowk-chat/chowk/internal/netpoll"
	"github.com/chowk-chat/chowk/internal/store"
)

// interruptedJournal calls interrupt while a socket opens.
type interruptedJournal struct {
	command.Journal
	interrupt func()
}

func (j interruptedJournal) FlushReads(ctx context.Context, user chat.UserID) error {
	j.interrupt()
	return j.Journal.FlushReads(ctx, user)
}

// The socket was authenticated, and was not yet registered when the user's sockets were
// closed.
func TestAccessThatEndsWhileASocketOpensClosesIt(t *testing.T) {
	each(t, func(t *testing.T, driver netpoll.Driver) {
		s := start(t, options{poller: netpoll.Options{Driver: driver}})
		db := s.commands.Store.(*store.Store)
		s.connect("ada") // creates the user and caches their token
		s.commands.Journal = interruptedJournal{s.commands.Journal, func() {
			if _, err := db.SetActive(context.Background(), "ada", false); err != nil {
				t.Error(err)
			}
			s.gateway.Auth.RevokedElsewhere(nil, "ada")
		}}
		s.connect("ada").wantClose(chat.CloseTokenExpired)
	})
}
