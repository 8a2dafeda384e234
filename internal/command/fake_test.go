package command

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/state"
)

var (
	channel = chat.MustParseID("0190a5e2-7b1c-7d3e-8f00-0123456789ab")
	message = chat.MustParseID("0190a5e2-7b1c-7d3e-8f00-0123456789ac")

	ada = Caller{Actor: model.UserActor("ada")}
)

// fake implements what a Service needs. Methods that it does not define panic.
type fake struct {
	Store
	Realtime
	Socket
	committed []state.Change
	calls     []string
	members   map[chat.UserID]bool
	known     []chat.UserID
	page      []chat.Message
	users     []chat.User
}

func (f *fake) Commit(_ context.Context, c state.Change) (state.Outcome, error) {
	f.committed = append(f.committed, c)
	return state.Outcome{Message: c.Message, Channel: c.Channel, Entry: &chat.Entry{Seq: 7}}, nil
}

func (f *fake) Read(context.Context, state.Read) (state.ReadResult, error) {
	return state.ReadResult{}, errors.New("unexpected read")
}
func (f *fake) FlushReads(context.Context, chat.UserID) error { return nil }

func (f *fake) IsMember(_ chat.ID, u chat.UserID) (member, ok bool) {
	member, ok = f.members[u]
	return member, ok
}

func (f *fake) Typing(_ chat.ID, u chat.UserID, is bool, _ chat.Time) {
	f.calls = append(f.calls, string(u)+map[bool]string{true: " types", false: " stopped"}[is])
}

// Online returns everyone for nil, as the hub does.
func (f *fake) Online(users []chat.UserID) []chat.UserID {
	f.calls = append(f.calls, "online")
	if users == nil {
		return []chat.UserID{"everyone"}
	}
	return users
}

func (f *fake) Watch([]chat.UserID) { f.calls = append(f.calls, "watch") }

func (f *fake) SharesChannel(_ context.Context, _ chat.UserID, users []chat.UserID) ([]chat.UserID, error) {
	unknown := func(u chat.UserID) bool { return !slices.Contains(f.known, u) }
	return slices.DeleteFunc(slices.Clone(users), unknown), nil
}

func (f *fake) History(context.Context, model.HistoryQuery) ([]chat.Message, error) {
	return slices.Clone(f.page), nil
}

func (f *fake) FindUsers(context.Context, string, int) ([]chat.User, error) { return f.users, nil }

func newService() (*Service, *fake) {
	f := &fake{members: map[chat.UserID]bool{}}
	now := func() time.Time { return time.Unix(1_800_000_000, 0) }
	return &Service{Journal: f, Store: f, Realtime: f, Now: now}, f
}

// execute runs a command with the JSON of its data.
func execute(s *Service, c Caller, name, data string) (any, error) {
	return Table[name].Run(context.Background(), s, c, jsontext.Value(data))
}

// wantRefusal fails the test unless err is an error for the user about the field.
func wantRefusal(t *testing.T, what string, err error, code chat.Code, field string) {
	t.Helper()
	var e *chat.Error
	if !errors.As(err, &e) || e.Code != code || e.Field != field || e.Message == "" {
		t.Errorf("%s: %#v, want %s about %q", what, err, code, field)
	}
}
