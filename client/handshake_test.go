package client_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/client"
)

// refusals answers the first handshakes with a status, and then is a fake.
func refusals(t *testing.T, f *fake, status func(n int64, token string) (int, string)) string {
	t.Helper()
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code, after := status(n.Add(1), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		if code == 0 {
			f.Config.Handler.ServeHTTP(w, r)
			return
		}
		if after != "" {
			w.Header().Set("Retry-After", after)
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(code)
		fmt.Fprintf(
			w, `{"detail":"refused with %d","code":%q}`, code,
			map[int]string{401: "unauthorized", 403: "forbidden", 404: "not_found", 503: "overloaded"}[code],
		)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestRefusedHandshakes(t *testing.T) {
	quiet := func(s *talk) { s.hello("e", 1); s.linger() }
	t.Run("for good", func(t *testing.T) {
		for status, code := range map[int]chat.Code{401: chat.Unauthorized, 403: chat.Forbidden, 404: chat.NotFound} {
			url := refusals(t, newFake(t, quiet), func(int64, string) (int, string) { return status, "" })
			_, err := client.Dial(within(t), client.Options{
				URL: url, Token: client.StaticToken("ada"), Backoff: client.Backoff{Base: 1, Cap: 1},
			})
			if r := refusal(err); r == nil || r.Code != code {
				t.Errorf("%d: %v", status, err)
			}
		}
	})
	t.Run("until the server has room", func(t *testing.T) {
		url := refusals(t, newFake(t, quiet), func(n int64, _ string) (int, string) {
			if n < 2 {
				return 503, "1"
			}
			return 0, ""
		})
		var waits []time.Duration
		dial(t, url, "ada", func(o *client.Options) {
			o.Trace.Disconnected = func(_ error, next time.Duration) { waits = append(waits, next) }
		})
		if len(waits) != 1 || waits[0] < time.Second {
			t.Errorf("waited %v", waits)
		}
	})
	t.Run("until the token is fresh", func(t *testing.T) {
		url := refusals(t, newFake(t, quiet), func(_ int64, token string) (int, string) {
			if token != "third" {
				return 401, ""
			}
			return 0, ""
		})
		tokens := []string{"first", "second", "third"}
		dial(t, url, "ada", func(o *client.Options) {
			o.Token = func(context.Context) (string, error) {
				token := tokens[0]
				if len(tokens) > 1 {
					tokens = tokens[1:]
				}
				return token, nil
			}
		})
	})
	t.Run("a token that expires on an open socket", func(t *testing.T) {
		var got []string
		f := newFake(t, func(s *talk) { s.hello("e", 1); _ = s.conn.Close(4001, "token expired") }, quiet)
		url := refusals(t, f, func(_ int64, token string) (int, string) { got = append(got, token); return 0, "" })
		var n atomic.Int64
		c := dial(t, url, "", func(o *client.Options) {
			o.Token = func(context.Context) (string, error) { return fmt.Sprint("token", n.Add(1)), nil }
		})
		for f.dials.Load() < 2 {
			time.Sleep(time.Millisecond)
		}
		_ = c.Close()
		if len(got) < 2 || got[0] == got[1] {
			t.Errorf("tokens %v", got)
		}
	})
	t.Run("a user who is disabled", func(t *testing.T) {
		disable := make(chan struct{})
		c := dialFake(t, newFake(t, func(s *talk) { s.hello("e", 1); <-disable; _ = s.conn.Close(4003, "user disabled") }))
		close(disable)
		if _, err := c.Next(within(t)); refusal(err) == nil || refusal(err).Code != chat.Forbidden {
			t.Errorf("next: %v", err)
		}
		if _, err := c.Send(within(t), client.Message{ChannelID: room, Content: "x"}); refusal(err) == nil {
			t.Errorf("send: %v", err)
		}
	})
}
