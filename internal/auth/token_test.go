package auth

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestTokenFromKeepsTheOrder(t *testing.T) {
	header := func(k, v string) func(*http.Request) { return func(r *http.Request) { r.Header.Add(k, v) } }
	bearer := header("Authorization", "Bearer H")
	protocol := header("Sec-WebSocket-Protocol", "chowk.v1, bearer.P")
	cookie := header("Cookie", "a=b; access_token=C")
	const query = "/api/v1/ws?access_token=Q"
	for _, c := range []struct {
		name   string
		url    string
		with   []func(*http.Request)
		token  string
		source Source
	}{
		{"nothing", "/", nil, "", SourceNone},
		{"all", query, []func(*http.Request){bearer, protocol, cookie}, "H", SourceHeader},
		{"no header", query, []func(*http.Request){protocol, cookie}, "P", SourceSubprotocol},
		{"no subprotocol", query, []func(*http.Request){cookie}, "C", SourceCookie},
		{"query alone", query, nil, "Q", SourceQuery},
		{"scheme in any case", "/", []func(*http.Request){header("Authorization", "bEARER  H ")}, "H", SourceHeader},
		{
			"a proxy's Basic is passed over", query,
			[]func(*http.Request){header("Authorization", "Basic dTpw"), cookie},
			"C",
			SourceCookie,
		},
		{"Bearer without a token", "/", []func(*http.Request){header("Authorization", "Bearer")}, "", SourceNone},
		{
			"empty Bearer does not fall through", query,
			[]func(*http.Request){header("Authorization", "Bearer ")},
			"",
			SourceHeader,
		},
		{"two headers", query, []func(*http.Request){bearer, header("Authorization", "Bearer X")}, "", SourceHeader},
		{"the same twice", query, []func(*http.Request){bearer, bearer}, "H", SourceHeader},
		{
			"two subprotocol tokens", query,
			[]func(*http.Request){protocol, header("Sec-WebSocket-Protocol", "bearer.X")},
			"",
			SourceSubprotocol,
		},
		{"two cookies", query, []func(*http.Request){cookie, header("Cookie", "access_token=X")}, "", SourceCookie},
		{"a deleted cookie", query, []func(*http.Request){header("Cookie", "access_token=")}, "Q", SourceQuery},
		{"two in the query", query + "&access_token=X", nil, "", SourceQuery},
		{"chowk.v1 alone", "/", []func(*http.Request){header("Sec-WebSocket-Protocol", "chowk.v1")}, "", SourceNone},
		{"another parameter", "/?xaccess_token=Q", nil, "", SourceNone},
	} {
		r := httptest.NewRequest(http.MethodGet, c.url, nil)
		for _, with := range c.with {
			with(r)
		}
		if token, source := TokenFrom(r); token != c.token || source != c.source {
			t.Errorf("%s: %q from %s, want %q from %s", c.name, token, source, c.token, c.source)
		}
	}
}

func TestSessionCookieIsOutOfReachOfScripts(t *testing.T) {
	c := SessionCookie("chowk_x", time.Hour, true)
	if got, want := c.String(), "access_token=chowk_x; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if SessionCookie("x", time.Hour, false).Secure {
		t.Error("secure without TLS, where no browser would send it back")
	}
	if got, want := SessionCookie("", 0, false).String(), "access_token=; Path=/; Max-Age=0; "+
		"HttpOnly; SameSite=Lax"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestSecretsAreNew(t *testing.T) {
	seen := make(map[string]bool)
	for range 1000 {
		s, hash := newSecret(tokenPrefix)
		if seen[s] || hash != HashToken(s) || len(s) != tokenLen {
			t.Fatal(s)
		}
		seen[s] = true
	}
}
