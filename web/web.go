// Package web serves the page /messages, which is built from web/src and embedded in the binary.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed all:dist
var dist embed.FS

const (
	pagePath   = "/messages"
	assetsPath = "/assets/"
)

// policy lets the page run its own script and connect to its own server, and nothing else. The only strings that become
// markup are Svelte's templates, which are constants.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
	"img-src 'self' data: https:; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'; trusted-types svelte-trusted-html"

// contentTypes replaces the tables of the operating system, which differ between machines.
var contentTypes = map[string]string{
	".css":   "text/css; charset=utf-8",
	".html":  "text/html; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".svg":   "image/svg+xml",
	".woff2": "font/woff2",
}

// file is one file of the page, ready to be sent.
type file struct {
	contentType, tag, caching string
	plain, compressed         []byte
}

// Handler serves the page and its assets.
func Handler() http.Handler {
	assets := make(map[string]*file)
	err := fs.WalkDir(dist, "dist/assets", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		// Assets never change: their names contain a hash of their content.
		f, err := load(name, "public, max-age=31536000, immutable")
		assets[strings.TrimPrefix(name, "dist/assets/")] = f
		return err
	})
	if err != nil {
		panic("web: read the assets: " + err.Error())
	}
	page, err := load("dist/index.html", "no-cache")
	if err != nil {
		panic("web: read the page: " + err.Error())
	}

	mux := http.NewServeMux()
	mux.Handle("GET "+pagePath, page)
	mux.HandleFunc("GET "+assetsPath+"{name}", func(w http.ResponseWriter, r *http.Request) {
		f, ok := assets[r.PathValue("name")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		f.ServeHTTP(w, r)
	})
	// Links in email lead to /. Browsers keep the part after # across the redirect.
	mux.Handle("GET /{$}", http.RedirectHandler(pagePath, http.StatusFound))
	mux.Handle("GET "+pagePath+"/{$}", http.RedirectHandler(pagePath, http.StatusFound))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		mux.ServeHTTP(w, r)
	})
}

// load reads an embedded file and compresses it. caching is its Cache-Control header.
func load(name, caching string) (*file, error) {
	plain, err := dist.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var compressed bytes.Buffer
	w, err := gzip.NewWriterLevel(&compressed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(plain)
	return &file{
		contentType: contentTypes[path.Ext(name)], tag: hex.EncodeToString(sum[:8]), caching: caching,
		plain: plain, compressed: compressed.Bytes(),
	}, nil
}

// ServeHTTP implements [http.Handler].
func (f *file) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, tag := f.plain, `"`+f.tag+`"`
	h := w.Header()
	h.Set("Cache-Control", f.caching)
	h.Set("Vary", "Accept-Encoding")
	if acceptsGzip(r) {
		body, tag = f.compressed, `"`+f.tag+`-gzip"`
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", f.contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}

// acceptsGzip reports whether a request's Accept-Encoding allows gzip. Weights other than 0 are ignored.
func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.TrimSpace(name) == "gzip" {
			return strings.ReplaceAll(weight, " ", "") != "q=0"
		}
	}
	return false
}
