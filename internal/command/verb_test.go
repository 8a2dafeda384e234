package command

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
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
)

// below stands for the rooms below. What a test does not set must not be called.
type below struct {
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

func (b *below) Commit(_ context.Context, c state.Change) (state.Outcome, error) {
	b.committed = append(b.committed, c)
	return state.Outcome{Message: c.Message, Channel: c.Channel, Entry: &chat.Entry{Seq: 7}}, nil
}

func (b *below) Read(context.Context, state.Read) (state.ReadResult, error) {
	return state.ReadResult{}, errors.New("nothing is read here")
}
func (b *below) FlushReads(context.Context, chat.UserID) error { return nil }

func (b *below) IsMember(_ chat.ID, u chat.UserID) (member, ok bool) {
	member, ok = b.members[u]
	return member, ok
}

func (b *below) Typing(_ chat.ID, u chat.UserID, is bool, _ chat.Time) {
	b.calls = append(b.calls, string(u)+" types: "+map[bool]string{true: "yes", false: "no"}[is])
}

func (b *below) Online(users []chat.UserID) []chat.UserID {
	b.calls = append(b.calls, "look")
	return users
}

func (b *below) Watch(users []chat.UserID) { b.calls = append(b.calls, "watch") }

func (b *below) SharesChannel(_ context.Context, _ chat.UserID, asked []chat.UserID) ([]chat.UserID, error) {
	return slices.DeleteFunc(slices.Clone(asked), func(u chat.UserID) bool { return !slices.Contains(b.known, u) }), nil
}

func (b *below) History(context.Context, model.HistoryQuery) ([]chat.Message, error) {
	return slices.Clone(b.page), nil
}

func (b *below) FindUsers(context.Context, string, int) ([]chat.User, error) { return b.users, nil }

func newRules() (*Service, *below) {
	b := &below{members: map[chat.UserID]bool{}}
	return &Service{Journal: b, Store: b, Realtime: b, Now: func() time.Time { return time.Unix(1_800_000_000, 0) }}, b
}

func run(r *Service, c Caller, event, data string) (any, error) {
	return Table[event].Run(context.Background(), r, c, jsontext.Value(data))
}

// refused fails the test unless err is for the user and about the field.
func refused(t *testing.T, what string, err error, code chat.Code, field string) {
	t.Helper()
	var e *chat.Error
	if !errors.As(err, &e) || e.Code != code || e.Field != field || e.Message == "" {
		t.Errorf("%s: %#v, want %s about %q", what, err, code, field)
	}
}

// TestEveryFieldOfEveryVerbIsChecked: of another type than it takes it is refused
// by name, before anything is done, and the words say what it takes.
func TestEveryFieldOfEveryVerbIsChecked(t *testing.T) {
	r, b := newRules()
	fields := 0
	for event, v := range Table {
		for i := range v.In.NumField() {
			name, _, _ := strings.Cut(v.In.Field(i).Tag.Get("json"), ",")
			if name == "-" {
				continue
			}
			fields++
			wrong := `{"` + name + `":[{}]}`
			if k := v.In.Field(i).Type.Kind(); k == reflect.Slice {
				wrong = `{"` + name + `":7}`
			}
			_, err := run(r, Caller{Actor: model.UserActor("ada")}, event, wrong)
			refused(t, event+" "+wrong, err, chat.BadRequest, name)
			if err != nil && !strings.HasPrefix(err.Error(), name+" must be ") {
				t.Errorf("%s %s: told %q", event, wrong, err)
			}
		}
		for _, wrong := range []string{`[]`, `"x"`, `7`, `true`} {
			_, err := run(r, Caller{Actor: model.UserActor("ada")}, event, wrong)
			refused(t, event+" "+wrong, err, chat.BadRequest, "data")
		}
		for _, empty := range []string{``, `null`, `{}`} {
			if event == "resume" || event == "subscribe_presence" {
				continue // of nothing, which is allowed
			}
			if _, err := run(r, Caller{Actor: model.UserActor("ada")}, event, empty); chat.AsError(err).Code != chat.BadRequest {
				t.Errorf("%s %q: %v", event, empty, err)
			}
		}
	}
	if fields < 25 || len(b.committed)+len(b.calls) > 0 {
		t.Errorf("%d fields, %d changes, calls %v", fields, len(b.committed), b.calls)
	}
}

// TestTypingAsksMemoryAlone: there is no store and no journal to ask.
func TestTypingAsksMemoryAlone(t *testing.T) {
	_, b := newRules()
	b.members["ada"], b.members["eve"] = true, false
	r := &Service{Realtime: b, Now: time.Now}
	if !Table["typing"].Transient {
		t.Error("typing may wait")
	}
	data := `{"channel_id":"` + channel.String() + `"`
	for user, ok := range map[chat.UserID]bool{"ada": true, "eve": false, "unknown": false} {
		if _, err := run(r, Caller{Actor: model.UserActor(user)}, "typing", data+`,"is_typing":false}`); (err == nil) != ok || err != nil && !errors.Is(err, chat.ErrAccessDenied) {
			t.Errorf("%s: %v", user, err)
		}
	}
	if _, err := run(r, Caller{Actor: model.UserActor("ada")}, "typing", data+`}`); err != nil {
		t.Error(err)
	}
	if got := strings.Join(b.calls, ", "); got != "ada types: no, ada types: yes" {
		t.Errorf("told %s", got)
	}
}

// TestAClientIDIsAMessagesID when it is a version 7 UUID in its one spelling, and
// is hashed with its user and channel into one otherwise.
func TestAClientIDIsAMessagesID(t *testing.T) {
	r, b := newRules()
	sent := func(user chat.UserID, in chat.ID, key string) chat.ID {
		t.Helper()
		if _, err := r.SendMessage(t.Context(), Caller{Actor: model.UserActor(user)}, chat.SendRequest{ChannelID: in, Content: "x", ClientID: key}); err != nil {
			t.Fatal(err)
		}
		return b.committed[len(b.committed)-1].ID
	}
	own := chat.NewID()
	if got := sent("ada", channel, own.String()); got != own {
		t.Errorf("a version 7 id became %s", got)
	}
	for _, key := range []string{"1", strings.ToUpper(own.String()), "6fa459ea-ee8a-4ca4-894e-db77e160355e", "0190a5e2-7b1c-7d3e-cf00-0123456789ab"} {
		id := sent("ada", channel, key)
		if id.Version() != 8 || id.String() == strings.ToLower(key) {
			t.Errorf("%s became %s", key, id)
		}
		if sent("ada", channel, key) != id {
			t.Errorf("%s is two messages", key)
		}
		if sent("bob", channel, key) == id || sent("ada", message, key) == id {
			t.Errorf("%s is one message for two users or channels", key)
		}
	}
	if a, b := sent("ada", channel, ""), sent("ada", channel, ""); a == b || a.Version() != 7 {
		t.Errorf("without a key: %s and %s", a, b)
	}
}

// TestKeysStayWithTheirSender.
func TestKeysStayWithTheirSender(t *testing.T) {
	r, b := newRules()
	b.page = []chat.Message{{UserID: "ada", ClientID: "hers"}, {UserID: "bob", ClientID: "his"}}
	page, err := r.History(t.Context(), Caller{Actor: model.UserActor("ada")}, model.HistoryQuery{ChannelID: channel})
	if err != nil || page[0].ClientID != "hers" || page[1].ClientID != "" {
		t.Errorf("%v %+v", err, page)
	}
	if b.page[1].ClientID != "his" {
		t.Error("the store's own message was changed")
	}
}

// TestEmailsAreShownToTheirOwners, and to no one else.
func TestEmailsAreShownToTheirOwners(t *testing.T) {
	r, b := newRules()
	mail := "x@example.org"
	b.users = []chat.User{{ID: "ada", Email: &mail}, {ID: "bob", Email: &mail}, {ID: "eve", Email: &mail}}
	found, err := r.FindUsers(t.Context(), Caller{Actor: model.UserActor("ada")}, "")
	if err != nil {
		t.Fatal(err)
	}
	shown := make(map[chat.UserID]bool)
	for _, u := range found {
		shown[u.ID] = u.Email != nil
	}
	if want := map[chat.UserID]bool{"ada": true, "bob": false, "eve": false}; !maps.Equal(shown, want) {
		t.Errorf("whose email ada sees: got %v, want %v", shown, want)
	}
}

// TestWatchingComesBeforeLooking: whoever comes between the two is told twice
// rather than not at all. Of strangers nothing is watched.
func TestWatchingComesBeforeLooking(t *testing.T) {
	r, b := newRules()
	b.known = []chat.UserID{"bob"}
	got, err := run(r, Caller{Actor: model.UserActor("ada"), Socket: b}, "subscribe_presence", `{"user_ids":["bob","eve"]}`)
	if err != nil || strings.Join(b.calls, " ") != "watch look" || !slices.Equal(got.(chat.WatchReply).Online, []chat.UserID{"bob"}) {
		t.Errorf("%v %v %+v", err, b.calls, got)
	}
}

// TestLinksThatRunAreRefused as a message's file.
func TestLinksThatRunAreRefused(t *testing.T) {
	r, b := newRules()
	for link, ok := range map[string]bool{
		"https://files.example/a.pdf": true, "http://files.example/a": true, "/files/a": true, "a.pdf": true,
		"javascript:alert(1)": false, "JavaScript:alert(1)": false, "data:text/html,x": false, "vbscript:x": false, "file:///etc/passwd": false,
		" javascript:alert(1)": false, "java\nscript:alert(1)": false, "https://a b/\x7f": false, "\x01javascript:alert(1)": false,
	} {
		_, err := r.SendMessage(t.Context(), Caller{Actor: model.UserActor("ada")}, chat.SendRequest{ChannelID: channel, Content: "x", FileURL: &link})
		if (err == nil) != ok {
			t.Errorf("%q: %v", link, err)
		}
		if !ok {
			refused(t, link, err, chat.BadRequest, "file_url")
		}
	}
	if len(b.committed) != 4 {
		t.Errorf("%d were committed", len(b.committed))
	}
}
