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

// TestBadInputIsRefusedAndChangesNothing checks that each input gets the error that
// the protocol documents, the socket stays open, and nothing is stored.
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
			{"truncated JSON", `{"type":"ping"`, "bad_json", ""},
			{"two JSON values", `{"type":"ping"}{"type":"ping"}`, "bad_json", ""},
			{"array (D-62)", `[1,2]`, "bad_json", ""},
			{"number", `7`, "bad_json", ""},
			{"10,000 nested arrays", strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000), "bad_json", ""},
			{
				"10,000 nested arrays as data",
				`{"type":"ping","data":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`, "bad_json", "",
			},
			{"duplicate name", `{"type":"ping","type":"new_message"}`, "bad_json", ""},
			{"lone surrogate", text(`{"channel_id":"` + id + `","content":"\ud800"}`), "bad_json", ""},
			{"no type", `{"data":{}}`, "unknown_event", ""},
			{"unknown type", `{"type":"explode"}`, "unknown_event", ""},
			{"long unknown type", `{"type":"` + strings.Repeat("x", 5000) + `"}`, "unknown_event", ""},
			{"data is not an object", text(`[]`), "bad_request", "data"},
			{"empty data", text(`{}`), "bad_request", ""},
			{"no content", text(`{"channel_id":"` + id + `"}`), "bad_request", ""},
			{"content is not a string", text(`{"channel_id":"` + id + `","content":5}`), "bad_request", "content"},
			{"invalid id", text(`{"channel_id":"1 OR 1=1","content":"x"}`), "bad_request", "channel_id"},
			{"id in braces", text(`{"channel_id":"{` + id + `}","content":"x"}`), "bad_request", "channel_id"},
			{"id is a number", text(`{"channel_id":12,"content":"x"}`), "bad_request", "channel_id"},
			{"NUL in content", text(`{"channel_id":"` + id + `","content":"a\u0000b"}`), "bad_request", "content"},
			{
				"content too large",
				text(`{"channel_id":"` + id + `","content":"` + strings.Repeat("x", chat.MaxContent+1) + `"}`), "too_large",
				"content",
			},
			{
				"unknown message_type", text(`{"channel_id":"` + id + `","content":"x","message_type":"virus"}`), "bad_request",
				"message_type",
			},
			{
				"reserved message_type", text(`{"channel_id":"` + id + `","content":"x","message_type":"system"}`), "bad_request",
				"message_type",
			},
			{
				"client_id too long",
				text(`{"channel_id":"` + id + `","content":"x","client_id":"` + strings.Repeat("k", 65) + `"}`),
				"bad_request", "client_id",
			},
			{
				"invalid mentioned user", text(`{"channel_id":"` + id + `","content":"x","mentioned_user_ids":["a b"]}`),
				"bad_request", "mentioned_user_ids",
			},
			{
				"script as file_url", text(`{"channel_id":"` + id + `","content":"x","file_url":"javascript:alert(1)"}`),
				"bad_request", "file_url",
			},
			{
				"missing parent",
				text(`{"channel_id":"` + id + `","content":"x","parent_message_id":"` + chat.NewID().String() + `"}`), "not_found",
				"",
			},
			{
				"missing channel", text(`{"channel_id":"` + chat.NewID().String() + `","content":"x"}`), "forbidden",
				"",
			},
			{"request id too long", `{"type":"ping","id":"` + strings.Repeat("i", 65) + `"}`, "bad_request", "id"},
			{
				"negative cursor", `{"type":"resume","data":{"epoch":"` + ada.hello.Epoch + `","cursors":{"` + id + `":-1}}}`,
				"bad_request", "cursors",
			},
			{
				"cursor is not a number", `{"type":"resume","data":{"cursors":{"` + id + `":1e999}}}`, "bad_request",
				"cursors." + id,
			},
			{
				"too many users",
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
				t.Errorf("%s: the message is long or exposes SQL: %q", bad.name, got.Message)
			}
		}
		if n := len(s.history("ada", id)); n != 0 {
			t.Errorf("%d messages were stored", n)
		}
		ada.send(id, "still here")
	})
}

// TestD61InvalidFramesCloseTheSocket checks the close codes of RFC 6455.
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
		{"binary frame (D-61)", func(c *client) error {
			return c.conn.Write(t.Context(), websocket.MessageBinary, []byte("x"))
		}, 1003},
	} {
		c := s.dial("ada")
		_ = broken.send(c) // the server may close the socket before everything is written
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
		t.Error("20 commands at once were all accepted with a burst of 5")
	}
	for { // until the bucket refills, after the time in the refusal
		f := c.ask("typing", map[string]any{"channel_id": id})
		if f.Type == "ack" {
			break
		}
		<-time.After(time.Duration(f.RetryAfter) * time.Millisecond)
	}
}

const secret = "0f6b2c57a1e94d3ab8c7d6e5f4a3b2c1d0e9f8a7b6c5d4e3"

// sign returns a token of ada that expires in an hour, with its claims changed by
// change.
func sign(t *testing.T, method jwt.SigningMethod, key any, change func(jwt.MapClaims)) string {
	t.Helper()
	claims := jwt.MapClaims{"sub": "ada", "name": "Ada", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix()}
	if change != nil {
		change(claims)
	}
	return testkit.JWT(t, method, key, claims)
}

// TestD50OnlyAValidTokenOpensASocket checks that a valid token opens a socket, and
// only for its own subject.
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
		{"not a token", "/ws/ada", "nonsense", nil, 401},
		{"user id as the token", "/ws/ada", "ada", nil, 401},
		{"alg none", "/ws/ada", sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil), nil, 401},
		{
			"wrong secret", "/ws/ada", sign(t, jwt.SigningMethodHS256, []byte("another secret that is long enough, too"), nil),
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
			"not valid yet", "/ws/ada",
			sign(
				t, jwt.SigningMethodHS256, []byte(secret), func(c jwt.MapClaims) { c["nbf"] = time.Now().Add(time.Hour).Unix() },
			),
			nil, 401,
		},
		{
			"subject is not a user id", "/ws",
			sign(t, jwt.SigningMethodHS256, []byte(secret), func(c jwt.MapClaims) { c["sub"] = "a b" }), nil, 401,
		},
		{"path of another user", "/ws/bob", good, nil, 403},
		{"path is not a user id", "/ws/a%20b", good, nil, 400},
		{"foreign origin", "/ws/ada", good, []string{"Origin", origin}, 403},
		{"origin null", "/ws/ada", good, []string{"Origin", "null"}, 403},
		{"cookie from a foreign origin", "/ws/ada", "", []string{"Cookie", "access_token=" + good, "Origin", origin}, 403},
		{"cookie without an origin", "/ws/ada", "", []string{"Cookie", "access_token=" + good}, 403},
	} {
		_, resp, err := s.tryDial(c.path, c.token, chat.Protocol, c.header...)
		if err == nil || resp == nil || resp.StatusCode != c.status {
			t.Errorf("%s: got %v, %v; want %d", c.name, resp, err, c.status)
			continue
		}
		if got := resp.Header.Get("Content-Type"); got != "application/problem+json" {
			t.Errorf("%s: the body has the type %q", c.name, got)
		}
	}
	for name, header := range map[string][]string{
		"cookie from the same origin": {"Cookie", "access_token=" + good, "Origin", s.url},
		"query":                       nil,
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
		t.Error("the log contains a secret")
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
		t.Errorf("a valid token: %v", err)
	}
	for _, forged := range []string{
		sign(t, jwt.SigningMethodHS256, public, nil), sign(t, jwt.SigningMethodHS256, der, nil),
	} {
		if _, resp, err := s.tryDial("/ws/ada", forged, chat.Protocol); err == nil ||
			resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("a forged token: %v, %v; want status 401", resp, err)
		}
	}
}
