package auth

import (
	"cmp"
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeClock moves only when a test says so.
type fakeClock struct{ nanos atomic.Int64 }

func newFakeClock() *fakeClock {
	c := new(fakeClock)
	c.nanos.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *fakeClock) now() time.Time          { return time.Unix(0, c.nanos.Load()).UTC() }
func (c *fakeClock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

// fakeStore keeps the contract of Store in maps.
type fakeStore struct {
	mu       sync.Mutex // guards what follows
	accounts map[chat.UserID]model.Account
	sessions map[model.TokenHash]model.Login
	tickets  map[model.TokenHash]model.Ticket
	calls    map[string]int
	broken   error
	during   func(method string) // called without the lock, before the work
}

func newFakeStore() *fakeStore {
	return &fakeStore{
		accounts: make(map[chat.UserID]model.Account),
		sessions: make(map[model.TokenHash]model.Login),
		tickets:  make(map[model.TokenHash]model.Ticket),
		calls:    make(map[string]int),
	}
}

func notFound() error { return chat.Errorf(chat.NotFound, "Not found") }

func (f *fakeStore) begin(method string) (end func(), err error) {
	f.mu.Lock()
	during := f.during
	f.mu.Unlock()
	if during != nil {
		during(method)
	}
	f.mu.Lock()
	f.calls[method]++
	return f.mu.Unlock, f.broken
}

func (f *fakeStore) count(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[method]
}

func (f *fakeStore) total() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.calls {
		n += c
	}
	return n
}

func (f *fakeStore) byEmail(email string) (model.Account, bool) {
	for _, a := range f.accounts {
		if a.Email != nil && strings.EqualFold(*a.Email, email) {
			return a, true
		}
	}
	return model.Account{}, false
}

func (f *fakeStore) CreateAccount(
	_ context.Context, a model.Account, invitation model.TokenHash, onlyFirst bool,
) (chat.User, error) {
	end, err := f.begin("CreateAccount")
	defer end()
	if err != nil {
		return chat.User{}, err
	}
	first := true
	for _, other := range f.accounts {
		first = first && other.PasswordHash == ""
	}
	if onlyFirst && !first {
		return chat.User{}, chat.Errorf(chat.Forbidden, "not the first")
	}
	if _, taken := f.byEmail(*a.Email); taken {
		return chat.User{}, chat.Errorf(chat.Conflict, "taken")
	}
	if invitation != (model.TokenHash{}) {
		t, ok := f.tickets[invitation]
		if !ok || t.Purpose != model.TicketInvitation || t.Uses < 1 || t.ExpiresAt <= a.CreatedAt {
			return chat.User{}, chat.Errorf(chat.Forbidden, "bad invitation")
		}
		t.Uses--
		f.tickets[invitation] = t
	}
	a.IsAdmin = first
	f.accounts[a.ID] = a
	return a.User, nil
}

func (f *fakeStore) AccountByEmail(_ context.Context, email string) (*model.Account, error) {
	end, err := f.begin("AccountByEmail")
	defer end()
	if err != nil {
		return nil, err
	}
	if a, ok := f.byEmail(email); ok {
		return &a, nil
	}
	return nil, notFound()
}

func (f *fakeStore) Account(_ context.Context, id chat.UserID) (*model.Account, error) {
	end, err := f.begin("Account")
	defer end()
	if err != nil {
		return nil, err
	}
	if a, ok := f.accounts[id]; ok {
		return &a, nil
	}
	return nil, notFound()
}

func (f *fakeStore) closeSessions(user chat.UserID, keep model.TokenHash) (closed []model.TokenHash) {
	for h, s := range f.sessions {
		if s.UserID == user && h != keep {
			delete(f.sessions, h)
			closed = append(closed, h)
		}
	}
	return closed
}

func (f *fakeStore) change(method string, user chat.UserID, do func(*model.Account)) error {
	end, err := f.begin(method)
	defer end()
	if err != nil {
		return err
	}
	a, ok := f.accounts[user]
	if !ok {
		return notFound()
	}
	do(&a)
	f.accounts[user] = a
	return nil
}

func (f *fakeStore) SetPassword(
	_ context.Context, user chat.UserID, hash string, keep model.TokenHash,
) (closed []model.TokenHash, err error) {
	err = f.change("SetPassword", user, func(a *model.Account) {
		a.PasswordHash = hash
		closed = f.closeSessions(user, keep)
	})
	return closed, err
}

func (f *fakeStore) ReplaceHash(_ context.Context, user chat.UserID, old, hash string) error {
	return f.change("ReplaceHash", user, func(a *model.Account) {
		if a.PasswordHash == old {
			a.PasswordHash = hash
		}
	})
}

func (f *fakeStore) SetVerified(_ context.Context, user chat.UserID) error {
	return f.change("SetVerified", user, func(a *model.Account) { a.IsVerified = true })
}

func (f *fakeStore) SetActive(_ context.Context, user chat.UserID, active bool) (closed []model.TokenHash, err error) {
	err = f.change("SetActive", user, func(a *model.Account) {
		if a.IsActive = active; !active {
			closed = f.closeSessions(user, model.TokenHash{})
		}
	})
	return closed, err
}

func (f *fakeStore) EnsureUser(_ context.Context, u chat.User) (chat.User, error) {
	end, err := f.begin("EnsureUser")
	defer end()
	if err != nil {
		return chat.User{}, err
	}
	if u.Email != nil {
		if other, taken := f.byEmail(*u.Email); taken && other.ID != u.ID {
			return chat.User{}, chat.Errorf(chat.Conflict, "taken")
		}
	}
	a, ok := f.accounts[u.ID]
	if !ok {
		a = model.Account{User: u}
		a.Name = cmp.Or(u.Name, string(u.ID))
		f.accounts[u.ID] = a
		return a.User, nil
	}
	a.Name, a.Email = cmp.Or(u.Name, a.Name), cmp.Or(u.Email, a.Email)
	a.Picture, a.Role = cmp.Or(u.Picture, a.Picture), cmp.Or(u.Role, a.Role)
	f.accounts[u.ID] = a
	return a.User, nil
}

func (f *fakeStore) OpenSession(_ context.Context, s model.Login) error {
	end, err := f.begin("OpenSession")
	defer end()
	f.sessions[s.Hash] = s
	return err
}

func (f *fakeStore) Session(ctx context.Context, hash model.TokenHash) (*model.Login, *chat.User, error) {
	end, err := f.begin("Session")
	defer end()
	err = cmp.Or(err, ctx.Err())
	if err != nil {
		return nil, nil, err
	}
	s, ok := f.sessions[hash]
	if !ok {
		return nil, nil, notFound()
	}
	u := f.accounts[s.UserID].User
	return &s, &u, nil
}

func (f *fakeStore) CloseSession(_ context.Context, hash model.TokenHash) error {
	end, err := f.begin("CloseSession")
	defer end()
	delete(f.sessions, hash)
	return err
}

func (f *fakeStore) DeleteExpired(context.Context, chat.Time) error {
	end, err := f.begin("DeleteExpired")
	defer end()
	return err
}

func (f *fakeStore) AddTicket(_ context.Context, t model.Ticket) error {
	end, err := f.begin("AddTicket")
	defer end()
	f.tickets[t.Hash] = t
	return err
}

func (f *fakeStore) SpendTicket(
	_ context.Context, hash model.TokenHash, purpose model.TicketPurpose, now chat.Time,
) (*model.Ticket, error) {
	end, err := f.begin("SpendTicket")
	defer end()
	if err != nil {
		return nil, err
	}
	t, ok := f.tickets[hash]
	if !ok || t.Purpose != purpose || t.Uses < 1 || t.ExpiresAt <= now {
		return nil, notFound()
	}
	t.Uses--
	f.tickets[hash] = t
	return &t, nil
}

func (f *fakeStore) Secret(_ context.Context, _ string, candidate []byte) ([]byte, error) {
	return candidate, nil
}

var (
	_ Store    = (*fakeStore)(nil)
	_ Rehasher = (*fakeStore)(nil)
)

// wantCode fails unless err is meant for the user and has the code.
func wantCode(t *testing.T, err error, code chat.Code) {
	t.Helper()
	if !isCode(err, code) {
		t.Fatalf("error %v, want code %s", err, code)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func ptr[T any](v T) *T { return &v }
