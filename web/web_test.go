package web

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func get(t *testing.T, path string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, http.NoBody)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
	return w.Result()
}

func read(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var assetName = regexp.MustCompile(`(?:src|href)="(/assets/[^"]+)"`)

func assets(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, m := range assetName.FindAllStringSubmatch(read(t, get(t, "/messages").Body), -1) {
		names = append(names, m[1])
	}
	if len(names) < 3 {
		t.Fatalf("the page refers to %v, want a script, a style sheet and an icon", names)
	}
	return names
}

func TestPolicyAllowsOnlyTheOwnScript(t *testing.T) {
	for _, path := range []string{"/messages", "/", "/assets/none.js", "/elsewhere"} {
		res := get(t, path)
		policy := res.Header.Get("Content-Security-Policy")
		for _, want := range []string{
			"default-src 'none'", "script-src 'self'", "style-src 'self'", "base-uri 'none'",
			"frame-ancestors 'none'", "require-trusted-types-for 'script'",
		} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: the policy %q lacks %s", path, policy, want)
			}
		}
		if strings.Contains(policy, "unsafe") {
			t.Errorf("%s: the policy %q allows unsafe sources", path, policy)
		}
		if got := res.Header.Get("X-Content-Type-Options"); got != "nosniff" {
			t.Errorf("%s: X-Content-Type-Options is %q", path, got)
		}
		if got := res.Header.Get("Referrer-Policy"); got != "no-referrer" {
			t.Errorf("%s: Referrer-Policy is %q", path, got)
		}
	}
}

func TestPageHasNothingInline(t *testing.T) {
	page := read(t, get(t, "/messages").Body)
	for _, bad := range []string{"<style", " style=", " onload=", "<script>", "http://", "https://"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page contains %s", bad)
		}
	}
}

func TestBrowsersRevalidateThePageAndKeepItsAssets(t *testing.T) {
	res := get(t, "/messages")
	if got := res.Header.Get("Cache-Control"); got != "no-cache" {
		t.Errorf("the page's Cache-Control is %q", got)
	}
	if res := get(t, "/messages", "If-None-Match", res.Header.Get("ETag")); res.StatusCode != http.StatusNotModified {
		t.Errorf("the unchanged page: %d, want 304", res.StatusCode)
	}
	types := map[string]string{
		".js":  "text/javascript; charset=utf-8",
		".css": "text/css; charset=utf-8",
		".svg": "image/svg+xml",
	}
	for _, name := range assets(t) {
		res := get(t, name)
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", name, res.StatusCode)
		}
		if got := res.Header.Get("Cache-Control"); !strings.Contains(got, "immutable") {
			t.Errorf("%s: Cache-Control is %q", name, got)
		}
		if got, want := res.Header.Get("Content-Type"), types[name[strings.LastIndex(name, "."):]]; got != want {
			t.Errorf("%s: Content-Type is %q, want %q", name, got, want)
		}
	}
}

func TestAssetsAreCompressedForClientsThatAcceptIt(t *testing.T) {
	name := assets(t)[0]
	plain := get(t, name, "Accept-Encoding", "br, gzip;q=0")
	compressed := get(t, name, "Accept-Encoding", "br, gzip")
	if plain.Header.Get("Content-Encoding") != "" || compressed.Header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("Content-Encoding: %q and %q, want none and gzip",
			plain.Header.Get("Content-Encoding"), compressed.Header.Get("Content-Encoding"))
	}
	if plain.Header.Get("ETag") == compressed.Header.Get("ETag") {
		t.Error("two different bodies have the same ETag")
	}
	z, err := gzip.NewReader(compressed.Body)
	if err != nil {
		t.Fatal(err)
	}
	if read(t, z) != read(t, plain.Body) {
		t.Error("the compressed asset differs from the plain one")
	}
}

func TestUnknownPathsAreNotFound(t *testing.T) {
	paths := []string{
		"/assets/none.js", "/assets/", "/assets/../index.html", "/index.html", "/messages/x", "/elsewhere",
	}
	for _, path := range paths {
		if res := get(t, path); res.StatusCode == http.StatusOK {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
	}
}

func TestRootRedirectsToThePage(t *testing.T) {
	for _, path := range []string{"/", "/messages/"} {
		res := get(t, path)
		if res.StatusCode != http.StatusFound || res.Header.Get("Location") != "/messages" {
			t.Errorf("%s: %d to %q, want a redirect to /messages", path, res.StatusCode, res.Header.Get("Location"))
		}
	}
}
