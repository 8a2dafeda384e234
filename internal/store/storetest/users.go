package storetest

import (
	"slices"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

func testUsers(t *testing.T, b *bench) {
	b.users("ada", "bob")
	full := chat.User{
		ID: "ada", Name: "Ada L.", Email: ptr("Ada@example.org"), Picture: ptr("https://example.org/ada.png"),
		FirstName: ptr("Ada"), LastName: ptr("Lovelace"), IsActive: true, IsVerified: true,
	}
	stored, err := b.s.EnsureUser(t.Context(), full)
	b.must(err)
	want := full
	want.Role, want.CreatedAt = "student", stored.CreatedAt
	b.equal("an updated user", want, stored)
	stored, err = b.s.EnsureUser(t.Context(), chat.User{ID: "ada", IsActive: true, IsVerified: true})
	b.must(err)
	b.equal("a user of a token without a name", want, stored)
	_, err = b.s.EnsureUser(t.Context(), chat.User{ID: "bob", Name: "Bob", Email: ptr("ada@EXAMPLE.org"), IsActive: true})
	b.fails(err, chat.Conflict)

	some, err := b.s.Users(t.Context(), []chat.UserID{"ada", "unknown"})
	b.must(err)
	b.equal("the users", []chat.User{want}, some)
}

func testFindUsers(t *testing.T, b *bench) {
	b.channel("ada", "bob")
	b.users("Eve%")
	ada := chat.User{ID: "ada", Name: "Ada L.", Email: ptr("Ada@example.org"), IsActive: true}
	_, err := b.s.EnsureUser(t.Context(), ada)
	b.must(err)
	for text, want := range map[string][]chat.UserID{
		"ada": {"ada"}, "ADA l": {"ada"}, "ada@": {"ada"}, "": {"ada", "bob", "Eve%"}, "%": {}, "eve%": {"Eve%"}, "x": {},
	} {
		found, err := b.s.FindUsers(t.Context(), text, 10)
		b.must(err)
		got := []chat.UserID{}
		for _, u := range found {
			got = append(got, u.ID)
		}
		slices.Sort(got)
		slices.Sort(want)
		b.equal("users found for "+text, want, got)
	}
	known, err := b.s.SharesChannel(t.Context(), "ada", []chat.UserID{"ada", "bob", "Eve%", "unknown"})
	b.must(err)
	b.equal("users who share a channel", []chat.UserID{"ada", "bob"}, known)
}

func (b *bench) account(email string) model.Account {
	return model.Account{
		User: chat.User{
			ID: chat.UserID(chat.NewID().String()), Name: email, Email: &email, Role: "tutor", IsActive: true,
			CreatedAt: b.now(),
		},
		PasswordHash: "hash",
	}
}

func testAccounts(t *testing.T, b *bench) {
	var none model.TokenHash
	want := b.account("Ada@example.org")
	first, err := b.s.CreateAccount(t.Context(), want, none, true)
	b.must(err)
	want.IsAdmin = true
	b.equal("the first account", want.User, first)
	_, err = b.s.CreateAccount(t.Context(), b.account("bob@example.org"), none, true)
	b.fails(err, chat.Forbidden)
	_, err = b.s.CreateAccount(t.Context(), b.account("aDA@example.org"), none, false)
	b.fails(err, chat.Conflict)
	second, err := b.s.CreateAccount(t.Context(), b.account("bob@example.org"), none, false)
	b.must(err)
	if second.IsAdmin {
		t.Error("the second account is an administrator's")
	}
	_, err = b.s.CreateAccount(t.Context(), b.account("eve@example.org"), model.TokenHash{1}, false)
	b.fails(err, chat.Forbidden)

	found, err := b.s.AccountByEmail(t.Context(), "ADA@example.org")
	b.must(err)
	b.equal("the account of an email", &want, found)
	_, err = b.s.AccountByEmail(t.Context(), "unknown@example.org")
	b.fails(err, chat.NotFound)
	b.must(b.s.SetVerified(t.Context(), want.ID))
	b.fails(b.s.SetVerified(t.Context(), "unknown"), chat.NotFound)
	b.must(b.s.ReplaceHash(t.Context(), want.ID, "not this", "x"))
	b.must(b.s.ReplaceHash(t.Context(), want.ID, "hash", "stronger"))
	want.IsVerified, want.PasswordHash = true, "stronger"
	found, err = b.s.Account(t.Context(), want.ID)
	b.must(err)
	b.equal("the changed account", &want, found)
}

func testSecrets(t *testing.T, b *bench) {
	for _, candidate := range []string{"one", "two"} {
		got, err := b.s.Secret(t.Context(), "key", []byte(candidate))
		b.must(err)
		b.equal("the secret", "one", string(got))
	}
}
