package auth

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/chowk-chat/chowk/chat"
)

// OriginPolicy knows where chowk stands: under which origins its pages are served, and
// which proxies are before it.
type OriginPolicy struct {
	// Origins are the allowed origins beside chowk's own, as ParseOrigin gives them.
	Origins []string
	// PublicURL is where browsers find chowk, "" when it is not known.
	PublicURL string
	// Proxies may say in X-Forwarded-For and X-Forwarded-Proto whom they speak for.
	Proxies []netip.Prefix
}

// ErrOrigin refuses a page of another site.
var ErrOrigin = &chat.Error{Code: chat.Forbidden, Message: "This page's origin is not allowed here. Whoever runs the server can allow it with the setting origins."}

// OriginAllowed says whether a handshake may come from the page that it comes
// from. A browser always names its origin, so a cookie without one is refused:
// other sites' pages could be using it. Programs name none, and bring a token.
func (d *OriginPolicy) OriginAllowed(r *http.Request, source Source) bool {
	switch origins := r.Header["Origin"]; len(origins) {
	case 0:
		return source != SourceCookie
	case 1:
		return d.allowed(r, origins[0])
	}
	return false
}

// CheckForgery refuses a change over HTTP that another site's page may have had
// the browser make with its cookie. Tokens from elsewhere cannot be borrowed so.
func (d *OriginPolicy) CheckForgery(r *http.Request, source Source) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return nil
	}
	if source != SourceCookie {
		return nil
	}
	if site := r.Header["Sec-Fetch-Site"]; len(site) == 1 && site[0] == "same-origin" {
		return nil
	}
	if origins := r.Header["Origin"]; len(origins) == 1 && d.allowed(r, origins[0]) {
		return nil
	}
	return ErrOrigin
}

func (d *OriginPolicy) allowed(r *http.Request, origin string) bool {
	o, err := ParseOrigin(origin)
	if err != nil {
		return false
	}
	for _, allowed := range d.Origins {
		if o == allowed {
			return true
		}
	}
	if d.PublicURL != "" {
		if public, err := publicOrigin(d.PublicURL); err == nil && o == public {
			return true
		}
	}
	return d.sameHost(r, o)
}

// sameHost compares with the Host header, port and all. When TLS ends in a proxy
// that says nothing of it, an https page is as good as ours: it is the same host,
// and better guarded. The other way round it is not.
func (d *OriginPolicy) sameHost(r *http.Request, origin string) bool {
	if r.Host == "" {
		return false
	}
	same := func(scheme string) bool {
		own, err := ParseOrigin(scheme + "://" + r.Host)
		return err == nil && own == origin
	}
	if d.Secure(r) {
		return same("https")
	}
	return same("http") || same("https")
}

// Secure reports whether the browser came over TLS.
func (d *OriginPolicy) Secure(r *http.Request) bool {
	if r.TLS != nil || strings.HasPrefix(strings.ToLower(d.PublicURL), "https://") {
		return true
	}
	return d.trusted(peer(r)) && strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// ClientAddr is the address that limits count: the last one in X-Forwarded-For
// that is no proxy of ours, when a proxy of ours tells it.
func (d *OriginPolicy) ClientAddr(r *http.Request) netip.Addr {
	addr := peer(r)
	if !d.trusted(addr) {
		return addr
	}
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return addr // what a proxy of ours did not write ends the chain
		}
		if addr = hop.Unmap().WithZone(""); !d.trusted(addr) {
			return addr
		}
	}
	return addr
}

func (d *OriginPolicy) trusted(a netip.Addr) bool {
	for _, p := range d.Proxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func peer(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

var errOrigin = errors.New("not an origin such as https://chat.example.org")

// ParseOrigin brings an origin into its one spelling: scheme, host, and the port
// when it is not the scheme's own. It refuses null, paths, users and wildcards.
func ParseOrigin(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || len(s) > maxURLBytes {
		return "", errOrigin
	}
	scheme, host, port := strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()
	bare := u.Path == "" && u.RawQuery == "" && u.Fragment == "" && u.User == nil && u.Opaque == "" &&
		!strings.ContainsAny(s, "?#@*\\ ")
	if scheme != "http" && scheme != "https" || host == "" || !bare || strings.HasSuffix(u.Host, ":") {
		return "", errOrigin
	}
	if scheme == "http" && port == "80" || scheme == "https" && port == "443" {
		port = ""
	}
	if port != "" {
		return scheme + "://" + net.JoinHostPort(host, port), nil
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return scheme + "://" + host, nil
}

func publicOrigin(publicURL string) (string, error) {
	u, err := url.Parse(publicURL)
	if err != nil {
		return "", errOrigin
	}
	return ParseOrigin(u.Scheme + "://" + u.Host)
}
