package auth

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

func TestD50OriginTable(t *testing.T) {
	type request struct {
		host, origin string
		tls          bool
		source       Source
	}
	door := &OriginPolicy{Origins: []string{"https://app.example.org", "http://localhost:5173"}}
	const none = "" // no header
	for _, c := range []struct {
		name string
		request
		want bool
	}{
		{"same host", request{"chat.example.org", "http://chat.example.org", false, SourceCookie}, true},
		{"same host, TLS", request{"chat.example.org", "https://chat.example.org", true, SourceCookie}, true},
		{"same host and port", request{"127.0.0.1:8080", "http://127.0.0.1:8080", false, SourceNone}, true},
		{"IPv6", request{"[::1]:8080", "http://[::1]:8080", false, SourceCookie}, true},
		{"default port spelled out", request{"chat.example.org:443", "https://chat.example.org", true, SourceCookie}, true},
		{"host in capitals", request{"Chat.Example.org", "https://chat.example.org", true, SourceCookie}, true},
		{"TLS ends in a proxy", request{"chat.example.org", "https://chat.example.org", false, SourceCookie}, true},
		{"plain page, TLS here", request{"chat.example.org", "http://chat.example.org", true, SourceCookie}, false},
		{"other port", request{"127.0.0.1:8080", "http://127.0.0.1:5173", false, SourceCookie}, false},
		{"no port", request{"127.0.0.1:8080", "http://127.0.0.1", false, SourceCookie}, false},
		{"localhost is not 127.0.0.1", request{"127.0.0.1:8080", "http://localhost:8080", false, SourceCookie}, false},
		{"evil.example of D-50", request{"chat.example.org", "http://evil.example", false, SourceCookie}, false},
		{"suffix", request{"example.org", "https://evil-example.org", true, SourceCookie}, false},
		{"prefix", request{"example.org", "https://example.org.evil.net", true, SourceCookie}, false},
		{"subdomain", request{"example.org", "https://chat.example.org", true, SourceCookie}, false},
		{"parent", request{"chat.example.org", "https://example.org", true, SourceCookie}, false},
		{"user trick", request{"example.org", "https://example.org@evil.net", true, SourceCookie}, false},
		{"backslash trick", request{"example.org", `https://evil.net\@example.org`, true, SourceCookie}, false},
		{"path", request{"example.org", "https://example.org/", true, SourceCookie}, false},
		{"trailing dot", request{"example.org", "https://example.org.", true, SourceCookie}, false},
		{"null", request{"example.org", "null", true, SourceCookie}, false},
		{"null with a token", request{"example.org", "null", true, SourceHeader}, false},
		{"file", request{"example.org", "file://", true, SourceCookie}, false},
		{"extension", request{"example.org", "chrome-extension://example.org", true, SourceCookie}, false},
		{"two origins in one", request{"example.org", "https://example.org https://evil.net", true, SourceCookie}, false},
		{"allowed", request{"chat.example.org", "https://app.example.org", true, SourceCookie}, true},
		{"allowed, default port", request{"chat.example.org", "https://app.example.org:443", true, SourceCookie}, true},
		{"allowed for development", request{"127.0.0.1:8080", "http://localhost:5173", false, SourceCookie}, true},
		{"allowed host, other scheme", request{"chat.example.org", "http://app.example.org", true, SourceCookie}, false},
		{"allowed host, suffix", request{"chat.example.org", "https://app.example.org.evil.net", true, SourceCookie}, false},
		{"foreign with a token", request{"chat.example.org", "https://evil.net", true, SourceSubprotocol}, false},
		{"foreign without anything", request{"127.0.0.1:8080", "https://evil.net", false, SourceNone}, false},
		{"missing, cookie", request{"example.org", none, true, SourceCookie}, false},
		{"missing, token", request{"example.org", none, true, SourceHeader}, true},
		{"missing, query", request{"example.org", none, true, SourceQuery}, true},
		{"no host", request{"", "http://", false, SourceCookie}, false},
	} {
		r := newRequest(http.MethodGet, c.host, c.tls)
		if c.origin != none {
			r.Header.Set("Origin", c.origin)
		}
		if got := door.OriginAllowed(r, c.source); got != c.want {
			t.Errorf("%s: allowed is %t", c.name, got)
		}
	}
	r := newRequest(http.MethodGet, "example.org", true)
	r.Header["Origin"] = []string{"https://example.org", "https://evil.net"}
	if door.OriginAllowed(r, SourceCookie) {
		t.Error("two headers")
	}
	r.Header["Origin"] = []string{""}
	if door.OriginAllowed(r, SourceCookie) {
		t.Error("empty header")
	}
}

func newRequest(method, host string, overTLS bool) *http.Request {
	r := httptest.NewRequest(method, "/api/v1/ws", nil)
	r.Host = host
	if overTLS {
		r.TLS = &tls.ConnectionState{}
	}
	return r
}

func TestPublicURLIsAnOriginToo(t *testing.T) {
	door := &OriginPolicy{PublicURL: "https://chat.example.org"}
	r := newRequest(http.MethodGet, "backend:8080", false)
	r.Header.Set("Origin", "https://chat.example.org")
	if !door.OriginAllowed(r, SourceCookie) {
		t.Error("the public URL's origin, behind a proxy that rewrites Host")
	}
	// Knowing that it is served over TLS, a plain page of the same host is foreign.
	r = newRequest(http.MethodGet, "chat.example.org", false)
	r.Header.Set("Origin", "http://chat.example.org")
	if door.OriginAllowed(r, SourceCookie) {
		t.Error("a plain page")
	}
}

func TestForgedChangesAreRefused(t *testing.T) {
	door := &OriginPolicy{Origins: []string{"https://app.example.org"}}
	for _, c := range []struct {
		name, method, site, origin string
		source                     Source
		want                       bool
	}{
		{"read", http.MethodGet, "cross-site", "https://evil.net", SourceCookie, true},
		{"token", http.MethodPost, "cross-site", "https://evil.net", SourceHeader, true},
		{"own page", http.MethodPost, "same-origin", "https://chat.example.org", SourceCookie, true},
		{"own page, rewritten host", http.MethodPost, "same-origin", "https://elsewhere.example.org", SourceCookie, true},
		{"own page, old browser", http.MethodPost, "", "https://chat.example.org", SourceCookie, true},
		{"allowed page", http.MethodPatch, "same-site", "https://app.example.org", SourceCookie, true},
		{"sister site", http.MethodPost, "same-site", "https://blog.example.org", SourceCookie, false},
		{"other site", http.MethodPost, "cross-site", "https://evil.net", SourceCookie, false},
		{"form of a sandboxed frame", http.MethodPost, "cross-site", "null", SourceCookie, false},
		{"no header at all", http.MethodPost, "", "", SourceCookie, false},
		{"typed in", http.MethodPost, "none", "", SourceCookie, false},
		{"delete", http.MethodDelete, "cross-site", "https://evil.net", SourceCookie, false},
		{"unknown method", "FROB", "", "", SourceCookie, false},
	} {
		r := newRequest(c.method, "chat.example.org", true)
		if c.site != "" {
			r.Header.Set("Sec-Fetch-Site", c.site)
		}
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		if err := door.CheckForgery(r, c.source); (err == nil) != c.want {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestClientAddrBelievesOnlyOwnProxies(t *testing.T) {
	door := &OriginPolicy{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	for _, c := range []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"direct", "203.0.113.9:1", nil, "203.0.113.9"},
		{"direct, lying", "203.0.113.9:1", []string{"1.1.1.1"}, "203.0.113.9"},
		{"proxy", "10.0.0.1:1", []string{"203.0.113.9"}, "203.0.113.9"},
		{"proxy, lying client", "10.0.0.1:1", []string{"1.1.1.1, 203.0.113.9"}, "203.0.113.9"},
		{"two proxies, two headers", "10.0.0.1:1", []string{"203.0.113.9", "10.0.0.2"}, "203.0.113.9"},
		{"rubbish", "10.0.0.1:1", []string{"203.0.113.9, unknown"}, "10.0.0.1"},
		{"proxy says nothing", "10.0.0.1:1", nil, "10.0.0.1"},
		{"mapped", "[::ffff:203.0.113.9]:1", nil, "203.0.113.9"},
		{"only proxies", "10.0.0.1:1", []string{"10.0.0.3"}, "10.0.0.3"},
	} {
		r := newRequest(http.MethodGet, "x", false)
		r.RemoteAddr = c.peer
		r.Header["X-Forwarded-For"] = c.forwarded
		if got := door.ClientAddr(r).String(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestSecureBelievesOnlyOwnProxies(t *testing.T) {
	door := &OriginPolicy{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	r := newRequest(http.MethodGet, "x", false)
	r.Header.Set("X-Forwarded-Proto", "https")
	r.RemoteAddr = "203.0.113.9:1"
	if door.Secure(r) {
		t.Error("anybody's word was taken")
	}
	r.RemoteAddr = "10.1.1.1:1"
	if !door.Secure(r) {
		t.Error("the proxy's word was not taken")
	}
}
