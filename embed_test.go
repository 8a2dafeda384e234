package chowk_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/chowk-chat/chowk"
	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/client"
)

// open opens a server on SQLite whose users need no accounts.
func open(t *testing.T, change ...func(*chowk.Config)) *chowk.Server {
	t.Helper()
	cfg := chowk.Config{
		DatabaseURL: "sqlite:" + filepath.Join(t.TempDir(), "chat.db"),
		Auth:        chowk.AuthConfig{Mode: "none"},
		Drain:       chowk.DrainConfig{Window: 100 * time.Millisecond},
		Logger:      slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	for _, f := range change {
		f(&cfg)
	}
	s, err := chowk.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func dial(t *testing.T, host *httptest.Server, user string) *client.Client {
	t.Helper()
	c, err := client.Dial(t.Context(), client.Options{
		URL: host.URL, Token: client.StaticToken(user), HTTPClient: host.Client(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// exchange sends a message from one user to another, each on a socket of their own.
func exchange(t *testing.T, host *httptest.Server) {
	t.Helper()
	ada, bob := dial(t, host, "ada"), dial(t, host, "bob")
	if _, err := bob.Channels(t.Context()); err != nil { // which creates bob
		t.Fatal(err)
	}
	channel, err := ada.CreateChannel(t.Context(), chat.CreateChannelRequest{
		Name: "Engine room", MemberIDs: []chat.UserID{"bob"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ada.Send(t.Context(), client.Message{ChannelID: channel.ID, Content: "Steam is up"}); err != nil {
		t.Fatal(err)
	}
	for {
		ev, err := bob.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if ev.Type == chat.EventMessage {
			if ev.Message.Content != "Steam is up" || ev.Message.UserID != "ada" {
				t.Errorf("got %q from %s, want the message of ada", ev.Message.Content, ev.Message.UserID)
			}
			return
		}
	}
}

// TestAServerOfAnotherProgram serves sockets over what that program listens with, plain
// or TLS, and two of them live in one process.
func TestAServerOfAnotherProgram(t *testing.T) {
	for name, start := range map[string]func(http.Handler) *httptest.Server{
		"plain": httptest.NewServer,
		"TLS":   httptest.NewTLSServer,
		"below the handlers of the program": func(h http.Handler) *httptest.Server {
			mux := http.NewServeMux()
			mux.HandleFunc("GET /shop", func(http.ResponseWriter, *http.Request) {})
			mux.Handle("/", h)
			return httptest.NewServer(mux)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			host := start(s.Handler())
			exchange(t, host)
			host.Close()
			if err := s.Close(context.WithoutCancel(t.Context())); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
}

// TestCloseEndsWhatOpenStarted: sockets, the database and each goroutine. A second Close
// returns what the first did.
func TestCloseEndsWhatOpenStarted(t *testing.T) {
	before := goleak.IgnoreCurrent()
	s := open(t)
	host := httptest.NewServer(s.Handler())
	ada := dial(t, host, "ada")
	host.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for range 2 {
		if err := s.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	ada.Close()
	response := httptest.NewRecorder()
	s.Handler().ServeHTTP(response, httptest.NewRequestWithContext(ctx, http.MethodGet, "/readyz", nil))
	if response.Code != http.StatusServiceUnavailable {
		t.Errorf("after the end /readyz answers %d, want 503", response.Code)
	}
	goleak.VerifyNone(t, before)
}

// TestOpenLeavesNothingBehindWhenItFails.
func TestOpenLeavesNothingBehindWhenItFails(t *testing.T) {
	before := goleak.IgnoreCurrent()
	cfg := chowk.Config{
		DatabaseURL: "sqlite:" + filepath.Join(t.TempDir(), "chat.db"),
		Auth:        chowk.AuthConfig{Mode: "jwt", JWTKeyFile: "no-such-file.pem"},
		Logger:      slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	if _, err := chowk.Open(t.Context(), cfg); err == nil {
		t.Fatal("a server without its keys was opened")
	}
	cfg.Auth = chowk.AuthConfig{}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := chowk.Open(ended, cfg); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v of a context that has ended, want that it was canceled", err)
	}
	goleak.VerifyNone(t, before)
}

// TestOperators see metrics and health without a listener.
func TestOperators(t *testing.T) {
	s := open(t)
	defer s.Close(context.WithoutCancel(t.Context()))
	for _, path := range []string{"/metrics", "/readyz", "/healthz"} {
		response := httptest.NewRecorder()
		s.OperationsHandler().ServeHTTP(response, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if response.Code != http.StatusOK || response.Body.Len() == 0 {
			t.Errorf("%s answers %d with %d bytes, want 200 with some", path, response.Code, response.Body.Len())
		}
	}
}
