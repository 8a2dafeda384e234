package api_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/api"
	"github.com/chowk-chat/chowk/internal/auth"
	"github.com/chowk-chat/chowk/internal/command"
	"github.com/chowk-chat/chowk/internal/state"
)

const friend = "https://friend.example"

// people is a store in which everybody exists.
type people struct{ auth.Store }

func (people) EnsureUser(_ context.Context, u chat.User) (chat.User, error) { return u, nil }

// rooms stands for what is below the rules.
type rooms struct {
	command.Store
	command.Realtime
	commit func(context.Context, state.Change) (state.Outcome, error)
}

func (r *rooms) Commit(ctx context.Context, c state.Change) (state.Outcome, error) {
	return r.commit(ctx, c)
}

func (*rooms) Read(context.Context, state.Read) (state.ReadResult, error) {
	return state.ReadResult{}, nil
}
func (*rooms) FlushReads(context.Context, chat.UserID) error { return nil }

func (*rooms) Channels(context.Context, chat.UserID, bool) ([]chat.Channel, error) {
	return []chat.Channel{}, nil
}

// bench is a door with a clock that stands still.
type bench struct {
	t      *testing.T
	server *api.Server
	rooms  *rooms

	mu  sync.Mutex // guards what follows
	now time.Time
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, now: time.Unix(1_800_000_000, 0), rooms: &rooms{}}
	b.rooms.commit = func(_ context.Context, c state.Change) (state.Outcome, error) {
		return state.Outcome{Message: c.Message}, nil
	}
	tokens := auth.New(auth.Options{Mode: auth.ModeNone, Store: people{}, Now: b.clock})
	b.server = &api.Server{
		Rules: &command.Service{Journal: b.rooms, Store: b.rooms, Realtime: b.rooms, Now: b.clock},
		Auth:  tokens, Accounts: auth.NewAccounts(auth.AccountsOptions{Auth: tokens}), Door: &auth.OriginPolicy{},
		CORSOrigins: []string{friend}, Now: b.clock,
	}
	return b
}

func (b *bench) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *bench) later(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

const (
	channel = "/api/v1/channels/0190a5e2-7b1c-7d3e-8f00-0123456789ab"
	send    = "POST " + channel + "/messages"
)

// ask makes a request; its headers are pairs.
func ask(h http.Handler, call, body string, header ...string) *httptest.ResponseRecorder {
	method, path, _ := strings.Cut(call, " ")
	r := httptest.NewRequest(method, "http://chowk.example"+path, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func problemOf(t *testing.T, w *httptest.ResponseRecorder) (p api.Problem) {
	t.Helper()
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("status %d has the code %q", w.Code, got)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != w.Code || p.Detail == "" || p.Code == "" {
		t.Errorf("%v: %s", err, w.Body)
	}
	return p
}

// TestForgeryIsRefused: a cookie alone changes nothing for a page of another site.
// The configured pages may do what the server's own may.
func TestForgeryIsRefused(t *testing.T) {
	b := newBench(t)
	h := b.server.Handler()
	for _, c := range []struct {
		name   string
		call   string
		header []string
		status int
	}{
		{"the server's own page", send, []string{"Cookie", "access_token=ada", "Origin", "http://chowk.example"}, 201},
		{
			"a page of the same origin, as its browser says", send,
			[]string{"Cookie", "access_token=ada", "Sec-Fetch-Site", "same-origin"},
			201,
		},
		{"a configured page", send, []string{"Cookie", "access_token=ada", "Origin", friend}, 201},
		{"another site's page", send, []string{"Cookie", "access_token=ada", "Origin", "https://evil.example"}, 403},
		{"one that says nothing", send, []string{"Cookie", "access_token=ada"}, 403},
		{"one that says null", send, []string{"Cookie", "access_token=ada", "Origin", "null"}, 403},
		{
			"two origins", send, []string{"Cookie", "access_token=ada", "Origin", friend, "Origin", "https://evil.example"}, 403,
		},
		{
			"another site, which only reads", "GET /api/v1/channels/",
			[]string{"Cookie", "access_token=ada", "Origin", "https://evil.example"},
			200,
		},
		{
			"another site with a token of its own", send,
			[]string{"Authorization", "Bearer ada", "Origin", "https://evil.example"},
			201,
		},
		{"a log-in from another site", "POST /api/v1/auth/login", []string{"Origin", "https://evil.example"}, 403},
		{
			"a log-in from a configured page, on a server without accounts", "POST /api/v1/auth/login",
			[]string{"Origin", friend},
			403,
		},
		{"two cookies", send, []string{"Cookie", "access_token=ada; access_token=eve", "Origin", friend}, 401},
		{"a token in the query", send + "?access_token=ada", nil, 401},
		{"a token in the subprotocol", send, []string{"Sec-WebSocket-Protocol", "chowk.v1, bearer.ada"}, 401},
	} {
		w := ask(h, c.call, `{"content":"x"}`, append(c.header, "Content-Type", "application/json")...)
		if w.Code != c.status {
			t.Errorf("%s: %d %s, want %d", c.name, w.Code, w.Body, c.status)
		}
		forged := strings.Contains(w.Body.String(), "The origin of this page is not allowed")
		if want := c.status == 403 && !strings.Contains(c.name, "configured"); forged != want {
			t.Errorf("%s: %s", c.name, w.Body)
		}
	}
}

// TestChangesHaveAPace: a burst, then so many a second, and what is refused says
// when to come back. Reading is free, and so are others.
func TestChangesHaveAPace(t *testing.T) {
	b := newBench(t)
	h := b.server.Handler()
	say := func(user string) *httptest.ResponseRecorder {
		return ask(h, send, `{"content":"x"}`, "Authorization", "Bearer "+user)
	}
	for i := range 100 {
		if w := say("ada"); w.Code != http.StatusCreated {
			t.Fatalf("change %d of a burst: %d %s", i, w.Code, w.Body)
		}
	}
	w := say("ada")
	if p := problemOf(t, w); w.Code != http.StatusTooManyRequests || p.Code != chat.RateLimited ||
		w.Header().Get("Retry-After") != "1" {
		t.Errorf("%d %s, %v", w.Code, w.Body, w.Header())
	}
	if w := say("bob"); w.Code != http.StatusCreated {
		t.Errorf("another user: %d", w.Code)
	}
	if w := ask(h, "GET /api/v1/channels/", "", "Authorization", "Bearer ada"); w.Code != http.StatusOK {
		t.Errorf("reading: %d", w.Code)
	}
	b.later(time.Second)
	taken := 0
	for range 100 {
		if say("ada").Code == http.StatusCreated {
			taken++
		}
	}
	if taken != 50 {
		t.Errorf("a second later %d changes were taken, want 50", taken)
	}
}

// TestTheOldPageIsAnsweredBeforeItHears (D-22): its own frame is held back until
// the answer has left, whatever the answer is.
func TestTheOldPageIsAnsweredBeforeItHears(t *testing.T) {
	b := newBench(t)
	var w *httptest.ResponseRecorder
	var log []string
	b.server.DelayOwnEcho = func(user chat.UserID, id chat.ID) func() {
		log = append(log, "held for "+string(user))
		return func() {
			what := "nothing"
			if w.Body.Len() > 0 && w.Flushed {
				what = "the answer"
			}
			log = append(log, "released after "+what)
		}
	}
	call := func(oldPage bool) string {
		log = nil
		b.server.OldPage = oldPage
		w = httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, channel+"/messages", strings.NewReader(`{"content":"x"}`))
		r.Header.Set("Authorization", "Bearer ada")
		b.server.Handler().ServeHTTP(w, r)
		return strings.Join(log, ", ")
	}
	const want = "held for ada, released after the answer"
	if got := call(true); got != want {
		t.Errorf("a send: %s", got)
	}
	if got := call(false); got != "" {
		t.Errorf("without the old page: %s", got)
	}
	b.rooms.commit = func(context.Context, state.Change) (state.Outcome, error) {
		return state.Outcome{}, errors.New("broken")
	}
	if got := call(true); got != want {
		t.Errorf("a send that fails: %s", got)
	}
	b.rooms.commit = func(context.Context, state.Change) (state.Outcome, error) { panic("broken") }
	if got := call(true); got != want {
		t.Errorf("a send that panics: %s", got)
	}
}

// TestTroubleIsToldInOurWords: what a driver said stays in the log, what can be
// tried again says when.
func TestTroubleIsToldInOurWords(t *testing.T) {
	b := newBench(t)
	h := b.server.Handler()
	for name, c := range map[string]struct {
		err    error
		panics bool
		status int
		code   chat.Code
		retry  string
	}{
		"a driver's error": {
			err: errors.New(`ERROR: relation "messages" (SQLSTATE 42P01)`), status: 500, code: chat.Internal, retry: "1",
		},
		"a panic": {panics: true, status: 500, code: chat.Internal, retry: "1"},
		"an overload": {
			err: &chat.Error{Code: chat.Overloaded, Message: "busy", RetryAfter: 250 * time.Millisecond}, status: 503,
			code: chat.Overloaded, retry: "1",
		},
		"no database": {
			err: &chat.Error{Code: chat.Unavailable, Message: "away", RetryAfter: 2500 * time.Millisecond}, status: 503,
			code: chat.Unavailable, retry: "3",
		},
		"a call that is late": {err: context.DeadlineExceeded, status: 503, code: chat.Unavailable, retry: "1"},
		"the id of another user": {
			err: &chat.Error{Code: chat.Conflict, Field: "client_id", Message: "used"}, status: 409, code: chat.Conflict,
		},
	} {
		b.rooms.commit = func(context.Context, state.Change) (state.Outcome, error) {
			if c.panics {
				panic(`relation "messages"`)
			}
			return state.Outcome{}, c.err
		}
		w := ask(h, send, `{"content":"x"}`, "Authorization", "Bearer ada", "Origin", friend, "X-Request-Id", "r-7")
		p := problemOf(t, w)
		if w.Code != c.status || p.Code != c.code || w.Header().Get("Retry-After") != c.retry {
			t.Errorf("%s: %d %s, Retry-After %q", name, w.Code, w.Body, w.Header().Get("Retry-After"))
		}
		if strings.Contains(w.Body.String(), "messages\"") || strings.Contains(w.Body.String(), "SQLSTATE") {
			t.Errorf("%s: told %s", name, w.Body)
		}
		if w.Header().Get("Access-Control-Allow-Origin") != friend || w.Header().Get("X-Request-Id") != "r-7" ||
			w.Header().Get("X-Process-Time") == "" {
			t.Errorf("%s: headers %v", name, w.Header())
		}
	}
}

// TestNothingIsCachedOrRun: answers are for the one who asked, and are data.
func TestNothingIsCachedOrRun(t *testing.T) {
	b := newBench(t)
	h := b.server.Handler()
	for _, call := range []string{"GET /api/v1/channels/", "GET /api/v1/nothing", send, "GET /api/docs"} {
		header := ask(h, call, `{"content":"x"}`, "Authorization", "Bearer ada").Header()
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Cache-Control": "no-", "Content-Security-Policy": "default-src 'none'",
			"Referrer-Policy": "no-referrer",
		} {
			if !strings.HasPrefix(header.Get(name), want) {
				t.Errorf("%s: %s is %q", call, name, header.Get(name))
			}
		}
	}
	for sent, kept := range map[string]bool{
		"r-7.a:b": true, "": false, "a b": false, "a\nb": false, strings.Repeat("x", 65): false,
	} {
		if got := ask(
			h, "GET /api/v1/channels/", "", "X-Request-Id", sent,
		).Header().Get("X-Request-Id"); (got == sent) != kept || got == "" {
			t.Errorf("the request id %q is answered with %q", sent, got)
		}
	}
}
