package auth

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

// TestOtherNodesAreToldWhoseAccessEnded here, and not of what they said themselves.
func TestOtherNodesAreToldWhoseAccessEnded(t *testing.T) {
	d := newDesk(t, ModeAccounts, testSecret)
	one, two := d.session(t, "ada", time.Hour), d.session(t, "ada", time.Hour)
	token := d.jwt("ada", time.Hour)
	for _, tok := range []string{one, two, token} {
		must(d.Authenticate(t.Context(), tok))
	}
	var told []string
	d.OnRevoked = func(closed []model.TokenHash, user chat.UserID, enabled bool) {
		told = append(told, fmt.Sprint(user, " ", len(closed), " ", enabled))
	}
	var here int
	d.OnRevoke = func([]model.TokenHash, chat.UserID) { here++ }
	a := NewAccounts(AccountsOptions{Store: d.store, Auth: d.Authenticator, Now: d.clock.now})
	if err := a.Logout(t.Context(), must(d.Authenticate(t.Context(), one))); err != nil {
		t.Fatal(err)
	}
	admin := Identity{Actor: model.UserActor("root"), Admin: true}
	for _, active := range []bool{false, true} {
		if err := a.SetActive(t.Context(), admin, "ada", active); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"ada 1 false", "ada 0 false", "ada 0 true"}; !slices.Equal(told, want) || here != 2 {
		t.Errorf("told %q and %d times here, want %q", told, here, want)
	}

	told = nil
	d.RevokedElsewhere(nil, "ada")
	if _, ok := d.Cached(token); ok {
		t.Error("a token that another node revoked is good here")
	}
	_, err := d.Authenticate(t.Context(), token)
	wantCode(t, err, chat.Unauthorized)
	d.EnabledElsewhere("ada")
	must(d.Authenticate(t.Context(), token))
	d.RevokedElsewhere([]model.TokenHash{HashToken(token)}, "ada")
	if _, ok := d.Cached(token); ok {
		t.Error("it is remembered")
	}
	if len(told) != 0 || here != 4 {
		t.Errorf("told %q and %d times here", told, here)
	}
}
