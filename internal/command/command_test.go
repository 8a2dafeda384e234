package command

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

// TestEveryFieldOfEveryCommandIsDecodedStrictly: a value of another type is refused
// before anything is done, with the field's name and what it must be.
func TestEveryFieldOfEveryCommandIsDecodedStrictly(t *testing.T) {
	s, f := newService()
	tried := 0
	for _, c := range Commands() {
		for _, sf := range reflect.VisibleFields(c.In) {
			name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
			if sf.Anonymous || name == "-" {
				continue
			}
			tried++
			wrong := `{"` + name + `":[{}]}`
			if sf.Type.Kind() == reflect.Slice {
				wrong = `{"` + name + `":7}`
			}
			_, err := execute(s, ada, c.Name, wrong)
			wantRefusal(t, c.Name+" "+wrong, err, chat.BadRequest, name)
			if err != nil && !strings.HasPrefix(err.Error(), name+" must be ") {
				t.Errorf("%s %s: the text is %q", c.Name, wrong, err)
			}
		}
		for _, wrong := range []string{`[]`, `"x"`, `7`, `true`} {
			_, err := execute(s, ada, c.Name, wrong)
			wantRefusal(t, c.Name+" "+wrong, err, chat.BadRequest, "data")
		}
		for _, empty := range []string{``, `null`, `{}`} {
			if c.Name == "resume" || c.Name == "subscribe_presence" {
				continue // they accept it
			}
			if _, err := execute(s, ada, c.Name, empty); chat.AsError(err).Code != chat.BadRequest {
				t.Errorf("%s %q: %v", c.Name, empty, err)
			}
		}
	}
	if tried < 25 || len(f.committed)+len(f.calls) > 0 {
		t.Errorf("%d fields, %d changes, calls %v", tried, len(f.committed), f.calls)
	}
}

// TestAChangeHasItsCallersActor: the kind of the caller reaches the decision.
func TestAChangeHasItsCallersActor(t *testing.T) {
	s, f := newService()
	want := model.Actor{Kind: model.ActorBot, User: "ada"}
	in := chat.SendRequest{ChannelID: channel, MessageBody: chat.MessageBody{Content: "x"}}
	if _, err := s.SendMessage(t.Context(), Caller{Actor: want}, in); err != nil {
		t.Fatal(err)
	}
	if got := f.committed[0].Actor; got != want {
		t.Errorf("the change's actor is %s, want %s", got, want)
	}
}

// TestTypingReadsMemoryOnly: it works without a store and a journal.
func TestTypingReadsMemoryOnly(t *testing.T) {
	_, f := newService()
	f.members["ada"], f.members["eve"] = true, false
	s := &Service{Realtime: f, Now: time.Now}
	if !Table["typing"].Transient {
		t.Error("typing is not transient")
	}
	data := `{"channel_id":"` + channel.String() + `"`
	for user, ok := range map[chat.UserID]bool{"ada": true, "eve": false, "unknown": false} {
		_, err := execute(s, Caller{Actor: model.UserActor(user)}, "typing", data+`,"is_typing":false}`)
		if (err == nil) != ok || err != nil && !errors.Is(err, chat.ErrAccessDenied) {
			t.Errorf("%s: %v", user, err)
		}
	}
	if _, err := execute(s, ada, "typing", data+`}`); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"ada stopped", "ada types"}, f.calls); diff != "" {
		t.Errorf("notifications (-want +got):\n%s", diff)
	}
}

// TestAClientIDIsAMessagesID if it is a version 7 UUID in canonical spelling. Any other
// is hashed into one, with its user and channel.
func TestAClientIDIsAMessagesID(t *testing.T) {
	s, f := newService()
	sent := func(user chat.UserID, in chat.ID, key string) chat.ID {
		t.Helper()
		_, err := s.SendMessage(t.Context(), Caller{Actor: model.UserActor(user)}, chat.SendRequest{
			ChannelID: in, MessageBody: chat.MessageBody{Content: "x", ClientID: key},
		})
		if err != nil {
			t.Fatal(err)
		}
		return f.committed[len(f.committed)-1].ID
	}
	own := chat.NewID()
	if got := sent("ada", channel, own.String()); got != own {
		t.Errorf("a version 7 id became %s", got)
	}
	for _, key := range []string{
		"1", strings.ToUpper(own.String()), "6fa459ea-ee8a-4ca4-894e-db77e160355e", "0190a5e2-7b1c-7d3e-cf00-0123456789ab",
	} {
		id := sent("ada", channel, key)
		if id.Version() != 8 || id.String() == strings.ToLower(key) {
			t.Errorf("%s became %s", key, id)
		}
		if sent("ada", channel, key) != id {
			t.Errorf("%s became two messages", key)
		}
		if sent("bob", channel, key) == id || sent("ada", message, key) == id {
			t.Errorf("%s became one message of two users or channels", key)
		}
	}
	if a, b := sent("ada", channel, ""), sent("ada", channel, ""); a == b || a.Version() != 7 {
		t.Errorf("without a client_id: %s and %s", a, b)
	}
}

func TestClientIDsAreShownToTheirSendersOnly(t *testing.T) {
	s, f := newService()
	f.page = []chat.Message{{UserID: "ada", ClientID: "ada's"}, {UserID: "bob", ClientID: "bob's"}}
	page, err := s.History(t.Context(), ada, model.HistoryQuery{ChannelID: channel})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]chat.Message{{UserID: "ada", ClientID: "ada's"}, {UserID: "bob"}}, page); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	if f.page[1].ClientID != "bob's" {
		t.Error("the store's own message was changed")
	}
}

func TestEmailsAreShownToTheirOwnersOnly(t *testing.T) {
	s, f := newService()
	mail := "x@example.org"
	f.users = []chat.User{{ID: "ada", Email: &mail}, {ID: "bob", Email: &mail}, {ID: "eve", Email: &mail}}
	found, err := s.FindUsers(t.Context(), ada, "")
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

// TestPresenceIsWatchedBeforeItIsRead, so that a user who connects in between is
// reported twice rather than not at all. Strangers are not watched.
func TestPresenceIsWatchedBeforeItIsRead(t *testing.T) {
	s, f := newService()
	f.known = []chat.UserID{"bob"}
	got, err := execute(s, Caller{Actor: ada.Actor, Socket: f}, "subscribe_presence", `{"user_ids":["bob","eve"]}`)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"watch", "online"}, f.calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	if online := got.(chat.WatchReply).Online; !slices.Equal(online, []chat.UserID{"bob"}) {
		t.Errorf("online: %v", online)
	}
}

// TestWatchingNoOneReportsNoOne: the empty subscription ends the one before, and must
// not report every user who is online.
func TestWatchingNoOneReportsNoOne(t *testing.T) {
	s, f := newService()
	for _, data := range []string{``, `{}`, `{"user_ids":[]}`, `{"user_ids":["eve"]}`} {
		got, err := execute(s, Caller{Actor: ada.Actor, Socket: f}, "subscribe_presence", data)
		if err != nil {
			t.Fatal(err)
		}
		if online := got.(chat.WatchReply).Online; len(online) > 0 {
			t.Errorf("%s: %v are reported", data, online)
		}
	}
}

func TestLinksThatRunAreRefused(t *testing.T) {
	s, f := newService()
	for link, ok := range map[string]bool{
		"https://files.example/a.pdf": true, "http://files.example/a": true, "/files/a": true, "a.pdf": true,
		"javascript:alert(1)": false, "JavaScript:alert(1)": false, "data:text/html,x": false, "vbscript:x": false,
		"file:///etc/passwd": false, " javascript:alert(1)": false, "java\nscript:alert(1)": false,
		"https://a b/\x7f": false, "\x01javascript:alert(1)": false,
	} {
		in := chat.SendRequest{ChannelID: channel, MessageBody: chat.MessageBody{Content: "x", FileURL: &link}}
		_, err := s.SendMessage(t.Context(), ada, in)
		if (err == nil) != ok {
			t.Errorf("%q: %v", link, err)
		}
		if !ok {
			wantRefusal(t, link, err, chat.BadRequest, "file_url")
		}
	}
	if len(f.committed) != 4 {
		t.Errorf("%d messages were committed, want 4", len(f.committed))
	}
}
