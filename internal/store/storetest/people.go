package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/state"
)

func (b *bench) read(r state.Read) state.ReadResult {
	b.t.Helper()
	r.At = b.now()
	outs, err := b.s.CommitReads(b.t.Context(), []state.Read{r})
	b.must(err)
	return outs[0]
}

func testReads(t *testing.T, b *bench) {
	id, other := b.channel("ada", "bob"), b.channel("ada")
	var sent []*chat.Message
	for i := range 5 {
		sent = append(sent, b.send(id, "ada", fmt.Sprint(i)))
	}
	foreign := b.send(other, "ada", "x")
	if out := b.read(state.Read{ChannelID: id, UserID: "bob", MessageID: sent[2].ID}); out.Err != nil || out.LastReadSeq != sent[2].Seq || out.UnreadCount != 2 || !out.Moved || out.MessageID != sent[2].ID {
		t.Errorf("got %+v", out)
	}
	if out := b.read(state.Read{ChannelID: id, UserID: "bob", Seq: 2}); out.Err != nil || out.LastReadSeq != sent[2].Seq || out.Moved {
		t.Errorf("backwards: %+v", out)
	}
	if out := b.read(state.Read{ChannelID: id, UserID: "bob", Seq: 1000}); out.LastReadSeq != sent[4].Seq || out.UnreadCount != 0 {
		t.Errorf("beyond the head: %+v", out)
	}
	if out := b.read(state.Read{ChannelID: id, UserID: "ada"}); out.LastReadSeq != sent[4].Seq || out.UnreadCount != 0 {
		t.Errorf("all there is: %+v", out)
	}
	for _, c := range []struct {
		read state.Read
		code chat.Code
	}{
		{state.Read{ChannelID: id, UserID: "bob", MessageID: foreign.ID}, chat.NotFound}, // D-32
		{state.Read{ChannelID: id, UserID: "bob", MessageID: chat.NewID()}, chat.NotFound},
		{state.Read{ChannelID: id, UserID: "eve"}, chat.Forbidden},
		{state.Read{ChannelID: chat.NewID(), UserID: "bob"}, chat.Forbidden},
	} {
		if out := b.read(c.read); out.Err == nil || chat.AsError(out.Err).Code != c.code {
			t.Errorf("%+v: %+v, want %s", c.read, out, c.code)
		}
	}
	outs, err := b.s.CommitReads(t.Context(), []state.Read{{ChannelID: other, UserID: "ada"}, {ChannelID: id, UserID: "eve"}, {ChannelID: id, UserID: "ada"}})
	if err != nil || outs[0].Err != nil || outs[1].Err == nil || outs[2].Err != nil {
		t.Errorf("a bad one among good ones: %+v, %v", outs, err)
	}
}

func testUnread(t *testing.T, b *bench) {
	b.users("eve")
	id := b.channel("ada", "bob")
	first := b.send(id, "ada", "1")
	b.send(id, "ada", "2")
	third := b.send(id, "ada", "3")
	edit := b.change(state.EditMessage, id, "ada") // an entry that is no message
	edit.MessageID, edit.Content = first.ID, "1!"
	b.commit(edit)
	unread := func(user chat.UserID) int64 {
		t.Helper()
		all, err := b.s.Channels(t.Context(), user, false)
		b.must(err)
		st, err := b.s.ChannelStates(t.Context(), user)
		b.must(err)
		if st[0].UnreadCount != all[0].UnreadCount || st[0].LastSeq != all[0].LastSeq || st[0].ID != id {
			t.Errorf("the standings say %+v, the list %+v", st[0], all[0])
		}
		return all[0].UnreadCount
	}
	if n := unread("bob"); n != 3 {
		t.Errorf("%d unread, want 3", n)
	}
	b.onMember(state.AddMember, id, "ada", "eve", chat.RoleMember)
	if n := unread("eve"); n != 0 {
		t.Errorf("a newcomer has %d unread", n)
	}
	gone := b.change(state.DeleteMessage, id, "ada")
	gone.MessageID = third.ID
	b.commit(gone)
	if n := unread("bob"); n != 2 {
		t.Errorf("%d unread after a deletion, want 2", n)
	}
	if out := b.read(state.Read{ChannelID: id, UserID: "bob", MessageID: first.ID}); out.UnreadCount != 1 {
		t.Errorf("got %+v", out)
	}
}

// testGather: many who ask at once share statements.
func testGather(t *testing.T, b *bench) {
	id := b.channel("ada", "bob")
	var asking sync.WaitGroup
	var wrong atomic.Int64
	for i := range 1000 {
		user := []chat.UserID{"ada", "bob", "eve"}[i%3]
		asking.Go(func() { // ends with the test
			st, err := b.s.ChannelStates(t.Context(), user)
			if err != nil || len(st) != map[chat.UserID]int{"ada": 1, "bob": 1}[user] {
				wrong.Add(1)
			}
			heads, err := b.s.Heads(t.Context(), []chat.ID{id, chat.NewID()})
			if err != nil || len(heads) != 1 || heads[id] != 1 {
				wrong.Add(1)
			}
		})
	}
	asking.Wait()
	if n := wrong.Load(); n != 0 {
		t.Errorf("%d wrong answers", n)
	}
}

func testUsers(t *testing.T, b *bench) {
	b.channel("ada", "bob")
	b.users("Eve%")
	email, picture := "Ada@example.org", "https://example.org/ada.png"
	u, err := b.s.EnsureUser(t.Context(), chat.User{ID: "ada", Name: "Ada L.", Email: &email, Picture: &picture, IsActive: true})
	if err != nil || u.Name != "Ada L." || *u.Email != email {
		t.Errorf("got %+v, %v", u, err)
	}
	if u, err = b.s.EnsureUser(t.Context(), chat.User{ID: "ada", IsActive: true}); err != nil || u.Name != "Ada L." || u.Email == nil || u.Picture == nil {
		t.Errorf("what is left out is lost: %+v, %v", u, err)
	}
	lower := "ada@EXAMPLE.org"
	_, err = b.s.EnsureUser(t.Context(), chat.User{ID: "bob", Name: "Bob", Email: &lower, IsActive: true})
	b.fails(err, chat.Conflict)
	for text, want := range map[string]int{"ada": 1, "ADA l": 1, "ada@": 1, "": 3, "%": 0, "eve%": 1, "nobody": 0} {
		if found, err := b.s.FindUsers(t.Context(), text, 10); err != nil || len(found) != want {
			t.Errorf("find %q: %+v, %v", text, found, err)
		}
	}
	known, err := b.s.SharesChannel(t.Context(), "ada", []chat.UserID{"ada", "bob", "Eve%", "nobody"})
	if err != nil || fmt.Sprint(known) != "[ada bob]" {
		t.Errorf("got %v, %v", known, err)
	}
	some, err := b.s.Users(t.Context(), []chat.UserID{"bob", "nobody"})
	if err != nil || len(some) != 1 {
		t.Errorf("got %v, %v", some, err)
	}
}

func (b *bench) account(email string) model.Account {
	return model.Account{User: chat.User{ID: chat.UserID(chat.NewID().String()), Name: email, Email: &email, IsActive: true, CreatedAt: b.now()}, PasswordHash: "hash"}
}

func testAccounts(t *testing.T, b *bench) {
	var none model.TokenHash
	a := b.account("Ada@example.org")
	first, err := b.s.CreateAccount(t.Context(), a, none, true)
	if err != nil || !first.IsAdmin {
		t.Fatalf("got %+v, %v", first, err)
	}
	_, err = b.s.CreateAccount(t.Context(), b.account("bob@example.org"), none, true)
	b.fails(err, chat.Forbidden)
	_, err = b.s.CreateAccount(t.Context(), b.account("aDA@example.org"), none, false)
	b.fails(err, chat.Conflict)
	if u, err := b.s.CreateAccount(t.Context(), b.account("bob@example.org"), none, false); err != nil || u.IsAdmin {
		t.Errorf("got %+v, %v", u, err)
	}
	_, err = b.s.CreateAccount(t.Context(), b.account("eve@example.org"), model.TokenHash{1}, false)
	b.fails(err, chat.Forbidden)
	found, err := b.s.AccountByEmail(t.Context(), "ADA@example.org")
	if err != nil || found.ID != a.ID || found.PasswordHash != "hash" || !found.IsAdmin {
		t.Errorf("got %+v, %v", found, err)
	}
	_, err = b.s.AccountByEmail(t.Context(), "nobody@example.org")
	b.fails(err, chat.NotFound)
	b.must(b.s.SetVerified(t.Context(), a.ID))
	b.must(b.s.ReplaceHash(t.Context(), a.ID, "not this", "x"))
	b.must(b.s.ReplaceHash(t.Context(), a.ID, "hash", "stronger"))
	if found, err = b.s.Account(t.Context(), a.ID); err != nil || !found.IsVerified || found.PasswordHash != "stronger" {
		t.Errorf("got %+v, %v", found, err)
	}
	b.fails(b.s.SetVerified(t.Context(), "nobody"), chat.NotFound)
	one, err := b.s.Secret(t.Context(), "key", []byte("one"))
	b.must(err)
	two, err := b.s.Secret(t.Context(), "key", []byte("two"))
	if err != nil || string(one) != "one" || string(two) != "one" {
		t.Errorf("secrets %q and %q, %v", one, two, err)
	}
}

func testSessions(t *testing.T, b *bench) {
	b.users("ada")
	open := func(n byte, expires chat.Time) model.TokenHash {
		h := model.TokenHash{n}
		b.must(b.s.OpenSession(t.Context(), model.Login{Hash: h, UserID: "ada", CreatedAt: 1, ExpiresAt: expires}))
		return h
	}
	one, two, old := open(1, 100), open(2, 100), open(3, 10)
	s, u, err := b.s.Session(t.Context(), one)
	if err != nil || s.UserID != "ada" || u.ID != "ada" || s.ExpiresAt != 100 {
		t.Errorf("got %+v, %+v, %v", s, u, err)
	}
	_, _, err = b.s.Session(t.Context(), model.TokenHash{9})
	b.fails(err, chat.NotFound)
	b.must(b.s.DeleteExpired(t.Context(), 50))
	_, _, err = b.s.Session(t.Context(), old)
	b.fails(err, chat.NotFound)
	closed, err := b.s.SetPassword(t.Context(), "ada", "new", one)
	if err != nil || len(closed) != 1 || closed[0] != two {
		t.Errorf("closed %v, %v", closed, err)
	}
	if closed, err = b.s.SetActive(t.Context(), "ada", false); err != nil || len(closed) != 1 || closed[0] != one {
		t.Errorf("closed %v, %v", closed, err)
	}
	three := open(4, 100)
	b.must(b.s.CloseSession(t.Context(), three))
	_, _, err = b.s.Session(t.Context(), three)
	b.fails(err, chat.NotFound)
}

func testTickets(t *testing.T, b *bench) {
	hash := model.TokenHash{7}
	b.must(b.s.AddTicket(t.Context(), model.Ticket{Hash: hash, Purpose: model.TicketInvitation, UserID: "ada", Email: "e", Uses: 2, CreatedAt: 1, ExpiresAt: 100}))
	_, err := b.s.SpendTicket(t.Context(), hash, model.TicketResetPassword, 1)
	b.fails(err, chat.NotFound)
	_, err = b.s.SpendTicket(t.Context(), hash, model.TicketInvitation, 100)
	b.fails(err, chat.NotFound)
	var spent atomic.Int64
	var spending sync.WaitGroup
	for range 10 {
		spending.Go(func() { // ends with the test
			if ticket, err := b.s.SpendTicket(t.Context(), hash, model.TicketInvitation, 1); err == nil && ticket.UserID == "ada" {
				spent.Add(1)
			}
		})
	}
	spending.Wait()
	if n := spent.Load(); n != 2 {
		t.Errorf("a ticket for two was spent %d times", n)
	}
}
