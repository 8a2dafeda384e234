package e2e

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/testkit"
)

// TestBadInputIsRefusedAndChangesNothing: each gets the answer that the protocol
// names, the socket stays open, and nothing is stored.
func TestBadInputIsRefusedAndChangesNothing(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("ada")
		ada := s.dial("ada")
		text := func(data string) string { return `{"type":"new_message","data":` + data + `}` }
		for _, bad := range []struct {
			name, sent  string
			code, field string
		}{
			{"not JSON", `hello`, "bad_json", ""},
			{"half JSON", `{"type":"ping"`, "bad_json", ""},
			{"two values", `{"type":"ping"}{"type":"ping"}`, "bad_json", ""},
			{"an array (D-62)", `[1,2]`, "bad_json", ""},
			{"a number", `7`, "bad_json", ""},
			{"10,000 nested arrays", strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000), "bad_json", ""},
			{
				"10,000 nested arrays as data",
				`{"type":"ping","data":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`, "bad_json", "",
			},
			{"a name twice", `{"type":"ping","type":"new_message"}`, "bad_json", ""},
			{"a lone surrogate", text(`{"channel_id":"` + id + `","content":"\ud800"}`), "bad_json", ""},
			{"no type", `{"data":{}}`, "unknown_event", ""},
			{"an unknown event", `{"type":"explode"}`, "unknown_event", ""},
			{"a long unknown event", `{"type":"` + strings.Repeat("x", 5000) + `"}`, "unknown_event", ""},
			{"data that is no object", text(`[]`), "bad_request", "data"},
			{"nothing", text(`{}`), "bad_request", ""},
			{"no content", text(`{"channel_id":"` + id + `"}`), "bad_request", ""},
			{"content of another type", text(`{"channel_id":"` + id + `","content":5}`), "bad_request", "content"},
			{"an id that is none", text(`{"channel_id":"1 OR 1=1","content":"x"}`), "bad_request", "channel_id"},
			{"an id in braces", text(`{"channel_id":"{` + id + `}","content":"x"}`), "bad_request", "channel_id"},
			{"an id that is a number", text(`{"channel_id":12,"content":"x"}`), "bad_request", "channel_id"},
			{"a NUL", text(`{"channel_id":"` + id + `","content":"a\u0000b"}`), "bad_request", "content"},
			{
				"content beyond the limit",
				text(`{"channel_id":"` + id + `","content":"` + strings.Repeat("x", chat.MaxContent+1) + `"}`), "too_large",
				"content",
			},
			{
				"a type that is none", text(`{"channel_id":"` + id + `","content":"x","message_type":"virus"}`), "bad_request",
				"message_type",
			},
			{
				"the server's own type", text(`{"channel_id":"` + id + `","content":"x","message_type":"system"}`), "bad_request",
				"message_type",
			},
			{
				"a long client_id", text(`{"channel_id":"` + id + `","content":"x","client_id":"` + strings.Repeat("k", 65) + `"}`),
				"bad_request", "client_id",
			},
			{
				"a user that is none", text(`{"channel_id":"` + id + `","content":"x","mentioned_user_ids":["a b"]}`),
				"bad_request", "mentioned_user_ids",
			},
			{
				"a script as a file", text(`{"channel_id":"` + id + `","content":"x","file_url":"javascript:alert(1)"}`),
				"bad_request", "file_url",
			},
			{
				"a parent that is not there",
				text(`{"channel_id":"` + id + `","content":"x","parent_message_id":"` + chat.NewID().String() + `"}`), "not_found",
				"",
			},
			{
				"a channel that is not there", text(`{"channel_id":"` + chat.NewID().String() + `","content":"x"}`), "forbidden",
				"",
			},
			{"a long id", `{"type":"ping","id":"` + strings.Repeat("i", 65) + `"}`, "bad_request", "id"},
			{
				"a negative cursor", `{"type":"resume","data":{"epoch":"` + ada.hello.Epoch + `","cursors":{"` + id + `":-1}}}`,
				"bad_request", "cursors",
			},
			{
				"a cursor that is no number", `{"type":"resume","data":{"cursors":{"` + id + `":1e999}}}`, "bad_request",
				"cursors." + id,
			},
			{
				"501 watched users",
				`{"type":"subscribe_presence","data":{"user_ids":[` + strings.TrimSuffix(strings.Repeat(`"u",`, 501), ",") + `]}}`,
				"bad_request", "user_ids",
			},
		} {
			ada.write(bad.sent)
			got := ada.expect("error", nil)
			if got.Code != bad.code || got.Field != bad.field {
				t.Errorf("%s: got %s, want %s %s", bad.name, got.raw, bad.code, bad.field)
			}
			if len(got.Message) > 300 || strings.Contains(got.Message, "SQL") {
				t.Errorf("%s: told %q", bad.name, got.Message)
			}
		}
		if n := len(s.history("ada", id)); n != 0 {
			t.Errorf("%d messages were stored", n)
		}
		ada.send(id, "still here")
	})
}

// TestD61InvalidFramesCloseTheSocket with the code that RFC 6455 names.
func TestD61InvalidFramesCloseTheSocket(t *testing.T) {
	t.Parallel()
	s := serve(t, "auth=none")
	for _, broken := range []struct {
		name string
		send func(c *client) error
		code websocket.StatusCode
	}{
		{"1 MiB of content", func(c *client) error {
			return c.conn.Write(t.Context(), websocket.MessageText, make([]byte, 1<<20))
		}, 1009},
		{"invalid UTF-8", func(c *client) error {
			return c.conn.Write(t.Context(), websocket.MessageText, []byte("{\"type\":\"\xff\xfe\"}"))
		}, 1007},
		{"a binary frame (D-61)", func(c *client) error {
			return c.conn.Write(t.Context(), websocket.MessageBinary, []byte("x"))
		}, 1003},
	} {
		c := s.dial("ada")
		_ = broken.send(c) // the server may close before all is written
		if got := c.ended(); got != broken.code {
			t.Errorf("%s: closed with %v, want %v", broken.name, got, broken.code)
		}
	}
}

func TestTooManyErrorsCloseTheSocket(t *testing.T) {
	t.Parallel()
	s := serve(t, "auth=none")
	c := s.dial("ada")
	for range 150 {
		if err := c.conn.Write(t.Context(), websocket.MessageText, []byte("nonsense")); err != nil {
			break
		}
	}
	if got := c.ended(); got != websocket.StatusCode(chat.CloseAbuse) {
		t.Errorf("closed with %v, want 4008", got)
	}
}

func TestRateLimitRefusesAndRecovers(t *testing.T) {
	t.Parallel()
	s := serve(t, "auth=none", "limits.commands-per-second=50", "limits.commands-burst=5")
	id := s.channel("ada")
	c := s.dial("ada")
	refused := 0
	for range 20 {
		if f := c.ask("typing", map[string]any{"channel_id": id}); f.Code == "rate_limited" {
			refused++
		}
	}
	if refused == 0 {
		t.Error("20 events at once with a burst of 5 were all taken")
	}
	for { // until the bucket has filled again, as the refusal says
		f := c.ask("typing", map[string]any{"channel_id": id})
		if f.Type == "ack" {
			break
		}
		<-time.After(time.Duration(f.RetryAfter) * time.Millisecond)
	}
}

const secret = "0f6b2c57a1e94d3ab8c7d6e5f4a3b2c1d0e9f8a7b6c5d4e3"

func sign(t *testing.T, method jwt.SigningMethod, key any, change func(jwt.MapClaims)) string {
	t.Helper()
	claims := jwt.MapClaims{"sub": "ada", "name": "Ada", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix()}
	if change != nil {
		change(claims)
	}
	return testkit.JWT(t, method, key, claims)
}

// TestD50OnlyAValidTokenOpensASocket, and only as its own subject.
func TestD50OnlyAValidTokenOpensASocket(t *testing.T) {
	t.Parallel()
	s := serve(t, "auth=jwt", "auth.jwt-secret="+secret)
	good := sign(t, jwt.SigningMethodHS256, []byte(secret), nil)
	origin := strings.Replace(s.url, "127.0.0.1", "evil.example", 1)
	for _, c := range []struct {
		name, path, token string
		header            []string
		status            int
	}{
		{"no token", "/ws/ada", "", nil, 401},
		{"nonsense", "/ws/ada", "nonsense", nil, 401},
		{"the user's id", "/ws/ada", "ada", nil, 401},
		{"alg none", "/ws/ada", sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil), nil, 401},
		{
			"another secret", "/ws/ada", sign(t, jwt.SigningMethodHS256, []byte("another secret that is long enough, too"), nil),
			nil, 401,
		},
		{
			"expired", "/ws/ada",
			sign(
				t, jwt.SigningMethodHS256, []byte(secret), func(c jwt.MapClaims) { c["exp"] = time.Now().Add(-time.Hour).Unix() },
			),
			nil, 401,
		},
		{
			"no expiry", "/ws/ada", sign(t, jwt.SigningMethodHS256, []byte(secret), func(c jwt.MapClaims) { delete(c, "exp") }),
			nil, 401,
		},
		{
			"not yet", "/ws/ada",
			sign(
				t, jwt.SigningMethodHS256, []byte(secret), func(c jwt.MapClaims) { c["nbf"] = time.Now().Add(time.Hour).Unix() },
			),
			nil, 401,
		},
		{
			"a subject that is no user id", "/ws",
			sign(t, jwt.SigningMethodHS256, []byte(secret), func(c jwt.MapClaims) { c["sub"] = "a b" }), nil, 401,
		},
		{"another user's path", "/ws/bob", good, nil, 403},
		{"a path that is no user id", "/ws/a%20b", good, nil, 400},
		{"a foreign origin", "/ws/ada", good, []string{"Origin", origin}, 403},
		{"the origin null", "/ws/ada", good, []string{"Origin", "null"}, 403},
		{"a cookie from a foreign origin", "/ws/ada", "", []string{"Cookie", "access_token=" + good, "Origin", origin}, 403},
		{"a cookie without an origin", "/ws/ada", "", []string{"Cookie", "access_token=" + good}, 403},
	} {
		_, resp, err := s.tryDial(c.path, c.token, chat.Protocol, c.header...)
		if err == nil || resp == nil || resp.StatusCode != c.status {
			t.Errorf("%s: got %v, %v; want %d", c.name, resp, err, c.status)
			continue
		}
		if got := resp.Header.Get("Content-Type"); got != "application/problem+json" {
			t.Errorf("%s: a body of type %q", c.name, got)
		}
	}
	for name, header := range map[string][]string{
		"a cookie from our own origin": {"Cookie", "access_token=" + good, "Origin", s.url},
		"the query":                    nil,
	} {
		path := "/ws/ada"
		if header == nil {
			path += "?access_token=" + good
		}
		if _, resp, err := s.tryDial(path, "", chat.Protocol, header...); err != nil {
			t.Errorf("%s: %v, %v", name, resp, err)
		}
	}
	if strings.Contains(s.Log.Text(), good) || strings.Contains(s.Log.Text(), secret) {
		t.Error("the log holds a secret")
	}
}

func TestPublicKeyIsNotAcceptedAsHMACSecret(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, public, 0o600); err != nil {
		t.Fatal(err)
	}
	s := serve(t, "auth=jwt", "auth.jwt-key-file="+file)
	if _, _, err := s.tryDial("/ws/ada", sign(t, jwt.SigningMethodRS256, key, nil), chat.Protocol); err != nil {
		t.Errorf("a good token: %v", err)
	}
	for _, forged := range []string{
		sign(t, jwt.SigningMethodHS256, public, nil), sign(t, jwt.SigningMethodHS256, der, nil),
	} {
		if _, resp, err := s.tryDial("/ws/ada", forged, chat.Protocol); err == nil ||
			resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("a forged token: %v, %v", resp, err)
		}
	}
}
