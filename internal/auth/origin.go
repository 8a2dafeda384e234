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

// OriginPolicy decides which origins may use cookies, and which proxies are trusted to
// report a client's address.
type OriginPolicy struct {
	// Origins are the allowed origins besides chowk's own, as ParseOrigin returns them.
	Origins []string
	// PublicURL is the URL at which browsers reach chowk, "" if unknown.
	PublicURL string
	// Proxies are trusted to set X-Forwarded-For and X-Forwarded-Proto.
	Proxies []netip.Prefix
}

// ErrOrigin refuses a page of another site.
var ErrOrigin = &chat.Error{
	Code:    chat.Forbidden,
	Message: "The origin of this page is not allowed. An administrator can add it to the setting origins.",
}

// OriginAllowed reports whether a handshake may come from its origin. A browser always
// sends one, so it refuses a cookie without an origin: a page of another site could be
// using it. Programs send no origin, and have a token.
func (d *OriginPolicy) OriginAllowed(r *http.Request, source Source) bool {
	switch origins := r.Header["Origin"]; len(origins) {
	case 0:
		return source != SourceCookie
	case 1:
		return d.allowed(r, origins[0])
	}
	return false
}

// CheckForgery returns ErrOrigin for a request that changes something with a cookie and
// may come from a page of another site (CSRF). Other tokens are not affected.
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

// sameHost compares the origin with the Host header, including the port. If TLS ends in
// a proxy that does not report it, an https origin of the same host is accepted, since
// it is better protected. The reverse is not.
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

// Secure reports whether the browser connected over TLS.
func (d *OriginPolicy) Secure(r *http.Request) bool {
	if r.TLS != nil || strings.HasPrefix(strings.ToLower(d.PublicURL), "https://") {
		return true
	}
	return d.trusted(peer(r)) && strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// ClientAddr returns the client's address for limits and logs: the last one in
// X-Forwarded-For that is not a trusted proxy, if the request comes from a trusted
// proxy; otherwise the peer's address.
func (d *OriginPolicy) ClientAddr(r *http.Request) netip.Addr {
	addr := peer(r)
	if !d.trusted(addr) {
		return addr
	}
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return addr // no trusted proxy wrote this: the chain ends here
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

// ParseOrigin returns the canonical form of an origin (RFC 6454): scheme, host, and the
// port unless it is the scheme's default. It refuses null, paths, users and wildcards.
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
