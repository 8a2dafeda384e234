package storetest

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

// login opens a log-in.
func (b *bench) login(n byte, user chat.UserID, expires chat.Time) model.TokenHash {
	b.t.Helper()
	l := model.Login{Hash: model.TokenHash{n}, UserID: user, CreatedAt: 1, ExpiresAt: expires}
	b.must(b.s.OpenSession(b.t.Context(), l))
	return l.Hash
}

func testSessions(t *testing.T, b *bench) {
	b.users("ada")
	closed := func(hash model.TokenHash) {
		t.Helper()
		_, _, err := b.s.Session(t.Context(), hash)
		b.fails(err, chat.NotFound)
	}
	one, two, old := b.login(1, "ada", 100), b.login(2, "ada", 100), b.login(3, "ada", 10)
	login, user, err := b.s.Session(t.Context(), one)
	b.must(err)
	b.equal("the log-in", &model.Login{Hash: one, UserID: "ada", CreatedAt: 1, ExpiresAt: 100}, login)
	if user.ID != "ada" || user.Name != "Name of ada" {
		t.Errorf("the user is %+v, want ada", user)
	}
	closed(model.TokenHash{9})
	b.must(b.s.DeleteExpired(t.Context(), 50))
	closed(old)
	hashes, err := b.s.SetPassword(t.Context(), "ada", "new", one)
	b.must(err)
	b.equal("closed by a new password", []model.TokenHash{two}, hashes)
	hashes, err = b.s.SetActive(t.Context(), "ada", false)
	b.must(err)
	b.equal("closed by disabling the user", []model.TokenHash{one}, hashes)
	three := b.login(4, "ada", 100)
	b.must(b.s.CloseSession(t.Context(), three))
	closed(three)
}

func testTickets(t *testing.T, b *bench) {
	want := model.Ticket{
		Hash: model.TokenHash{7}, Purpose: model.TicketInvitation, UserID: "ada", Email: "e", Uses: 2,
		CreatedAt: 1, ExpiresAt: 100,
	}
	b.must(b.s.AddTicket(t.Context(), want))
	_, err := b.s.SpendTicket(t.Context(), want.Hash, model.TicketResetPassword, 1)
	b.fails(err, chat.NotFound)
	_, err = b.s.SpendTicket(t.Context(), want.Hash, model.TicketInvitation, 100) // expired
	b.fails(err, chat.NotFound)
	ticket, err := b.s.SpendTicket(t.Context(), want.Hash, model.TicketInvitation, 1)
	b.must(err)
	want.Uses = 1
	b.equal("the ticket", &want, ticket)
	var spent atomic.Int64
	var spending sync.WaitGroup
	for range 10 {
		spending.Go(func() { // ends when the ticket is spent or refused
			if _, err := b.s.SpendTicket(t.Context(), want.Hash, model.TicketInvitation, 1); err == nil {
				spent.Add(1)
			}
		})
	}
	spending.Wait()
	if n := spent.Load(); n != 1 {
		t.Errorf("a ticket with one use left was spent %d times", n)
	}
}

func testRevocations(t *testing.T, b *bench) {
	b.users("ada", "bob")
	first, err := b.s.LastRevocation(t.Context())
	b.must(err)
	const never = 1 << 60
	one, two, three := b.login(1, "ada", never), b.login(2, "ada", never), b.login(3, "bob", never)
	b.must(b.s.CloseSession(t.Context(), one))
	b.must(b.s.CloseSession(t.Context(), one)) // it is closed already
	_, err = b.s.SetPassword(t.Context(), "ada", "hash", two)
	b.must(err)
	_, err = b.s.SetPassword(t.Context(), "ada", "hash", model.TokenHash{})
	b.must(err)
	_, err = b.s.SetActive(t.Context(), "bob", false)
	b.must(err)
	_, err = b.s.SetActive(t.Context(), "bob", true)
	b.must(err)
	all, err := b.s.Revocations(t.Context(), first, 100)
	b.must(err)
	var last int64
	withoutIDs := make([]model.Revocation, len(all))
	for i, v := range all {
		if v.ID <= last {
			t.Errorf("id %d follows %d", v.ID, last)
		}
		last, v.ID = v.ID, 0
		withoutIDs[i] = v
	}
	b.equal("the revocations", []model.Revocation{
		{UserID: "ada", Hash: one},
		{UserID: "ada", Hash: two},
		{UserID: "bob"},
		{UserID: "bob", Hash: three},
		{UserID: "bob", Enabled: true},
	}, withoutIDs)
	id, err := b.s.LastRevocation(t.Context())
	b.must(err)
	if id != last {
		t.Errorf("the last revocation is %d, want %d", id, last)
	}
	some, err := b.s.Revocations(t.Context(), all[2].ID, 1)
	b.must(err)
	b.equal("one revocation", all[3:4], some)
}
