package gateway_test

import (
	"context"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/command"
	"github.com/chowk-chat/chowk/internal/netpoll"
	"github.com/chowk-chat/chowk/internal/store"
)

// meanwhile does something while a socket opens.
type meanwhile struct {
	command.Journal
	do func()
}

func (m meanwhile) FlushReads(ctx context.Context, user chat.UserID) error {
	m.do()
	return m.Journal.FlushReads(ctx, user)
}

// TestAccessThatEndsWhileASocketOpensClosesIt: it was let in, and was not there yet
// when sockets were closed.
func TestAccessThatEndsWhileASocketOpensClosesIt(t *testing.T) {
	each(t, func(t *testing.T, driver netpoll.Driver) {
		d := open(t, options{poller: netpoll.Options{Driver: driver}})
		db := d.rules.Store.(*store.Store)
		d.connect("ada") // so that she is known, and her token remembered
		d.rules.Journal = meanwhile{d.rules.Journal, func() {
			if _, err := db.SetActive(context.Background(), "ada", false); err != nil {
				t.Error(err)
			}
			d.gateway.Auth.RevokedElsewhere(nil, "ada")
		}}
		d.connect("ada").closedWith(chat.CloseTokenExpired)
	})
}
