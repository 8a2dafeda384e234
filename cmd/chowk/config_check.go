package main

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/chowk-chat/chowk/internal/auth"
	"github.com/chowk-chat/chowk/internal/netpoll"
)

// complete fills in what follows from other settings, and finds those that
// contradict each other.
func (c *Config) complete() (problems []error) {
	if c.DatabaseURL == "" {
		c.DatabaseURL = "sqlite:" + filepath.ToSlash(filepath.Join(c.DataDir, "chowk.db"))
	}
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	from := func(name string) string { return c.sources[name].Where }

	hasKey := c.Auth.JWTSecret != "" || c.Auth.JWTKeyFile != "" || c.Auth.JWKSURL != ""
	switch {
	case c.Auth.Mode == auth.ModeNone && !c.Auth.AllowInsecure && !isLoopback(c.Listen):
		wrong("%s: auth is \"none\", which lets everybody be anybody, but listen is %q, which others can reach; listen on 127.0.0.1, choose accounts or jwt, or set --auth.allow-insecure", from("auth"), c.Listen)
	case c.Auth.Mode == auth.ModeNone && hasKey:
		wrong("%s: auth is \"none\", but a JWT secret or key is set; choose jwt, or take it away", from("auth"))
	case c.Auth.Mode == auth.ModeJWT && !hasKey:
		wrong("%s: auth is \"jwt\", but nothing says how to check tokens; set one of auth.jwt-secret (best as CHOWK_AUTH_JWT_SECRET), auth.jwt-key-file, auth.jwks-url", from("auth"))
	}
	if c.Auth.JWTKeyFile != "" && c.Auth.JWKSURL != "" {
		wrong("%s: auth.jwt-key-file and auth.jwks-url are both set; choose one", from("auth.jwks-url"))
	}
	for _, claim := range [][2]string{{"auth.jwt-issuer", c.Auth.JWTIssuer}, {"auth.jwt-audience", c.Auth.JWTAudience}} {
		if claim[1] != "" && !hasKey {
			wrong("%s: %s is %q, but no JWT is accepted; set auth.jwt-secret, auth.jwt-key-file or auth.jwks-url as well", from(claim[0]), claim[0], claim[1])
		}
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		wrong("tls.cert-file is %q and tls.key-file is %q; set both or none", c.TLS.CertFile, c.TLS.KeyFile)
	}
	if c.Transport == string(netpoll.Epoll) && c.TLS.CertFile != "" {
		wrong("%s: transport is \"epoll\", which cannot wait for TLS, but tls.cert-file is set; choose auto or goroutine, or let a proxy end TLS", from("transport"))
	}
	if c.Limits.FrameBytes > c.Limits.MessageBytes {
		wrong("%s: limits.frame-bytes is %s and limits.message-bytes is %s; a frame cannot be larger than the event", from("limits.frame-bytes"), c.Limits.FrameBytes, c.Limits.MessageBytes)
	}
	if c.Mail.SMTPURL != "" && c.Mail.From == "" {
		wrong("%s: mail.smtp-url is set, but mail.from, the sender, is not", from("mail.smtp-url"))
	}
	if c.Mail.SMTPURL != "" && c.PublicURL == "" {
		wrong("%s: mail.smtp-url is set, but public-url, where links in mails lead, is not", from("mail.smtp-url"))
	}
	if len(c.DatabaseRead) > 0 && strings.HasPrefix(c.DatabaseURL, "sqlite:") {
		wrong("%s: database-read-url is set, but the database is an SQLite file, which has no replicas", from("database-read-url"))
	}
	c.checkRelay(wrong, from)
	if c.DB.HoldSoft >= c.DB.HoldHard {
		wrong("db.hold-soft is %s and db.hold-hard is %s; the soft limit must be the shorter", c.DB.HoldSoft, c.DB.HoldHard)
	}
	if c.Drain.Window >= c.Drain.Timeout {
		wrong("drain.window is %s and drain.timeout is %s; the window must be the shorter", c.Drain.Window, c.Drain.Timeout)
	}
	return problems
}

// checkRelay finds what is wrong with how nodes hear each other.
func (c *Config) checkRelay(wrong func(string, ...any), from func(string) string) {
	r := &c.Relay
	first := ""
	for _, s := range []struct{ name, value string }{
		{"relay.listen", r.Listen},
		{"relay.url", strings.Join(r.URL, ",")},
		{"relay.routes", strings.Join(r.Routes, ",")},
		{"relay.secret", r.Secret},
		{"relay.credentials-file", r.CredentialsFile},
		{"relay.tls-cert-file", r.TLSCertFile},
		{"relay.tls-ca-file", r.TLSCAFile},
	} {
		if s.value != "" && first == "" {
			first = s.name
		}
	}
	switch {
	case first == "":
		return
	case strings.HasPrefix(c.DatabaseURL, "sqlite:"):
		wrong("%s: %s is set, but the database is an SQLite file, which one node alone can use; set database-url to a postgres:// one, or take it away", from(first), first)
		return
	case r.Listen == "" && len(r.URL) == 0:
		wrong("%s: %s is set, but neither relay.listen nor relay.url says how nodes hear each other; set one of them", from(first), first)
		return
	case r.Listen != "" && len(r.URL) > 0:
		wrong("%s: relay.listen is %q and relay.url is set too; choose one", from("relay.url"), r.Listen)
		return
	}
	if len(r.URL) == 0 {
		c.checkRoutes(wrong, from)
	} else if len(r.Routes) > 0 {
		wrong("%s: relay.routes is %q, but with relay.url the nodes meet there; take it away", from("relay.routes"), strings.Join(r.Routes, ","))
	}
	if (r.TLSCertFile == "") != (r.TLSKeyFile == "") {
		wrong("relay.tls-cert-file is %q and relay.tls-key-file is %q; set both or none", r.TLSCertFile, r.TLSKeyFile)
	}
}

// checkRoutes is about a node that listens for others.
func (c *Config) checkRoutes(wrong func(string, ...any), from func(string) string) {
	r := &c.Relay
	reached := !isLoopback(r.Listen)
	for _, route := range r.Routes {
		reached = reached || !isLoopback(route)
	}
	if r.Secret == "" && reached {
		wrong("%s: relay.listen is %q, which others can reach, or relay.routes leads to other machines, but relay.secret is not set; set it, best as CHOWK_RELAY_SECRET, the same on all nodes", from("relay.listen"), r.Listen)
	}
	if r.CredentialsFile != "" {
		wrong("%s: relay.credentials-file is for relay.url, which is not set", from("relay.credentials-file"))
	}
	if (r.TLSCertFile == "") != (r.TLSCAFile == "") {
		wrong("relay.tls-cert-file is %q and relay.tls-ca-file is %q; nodes prove themselves to each other: set both or none", r.TLSCertFile, r.TLSCAFile)
	}
}

// warnings are what is allowed, and better known.
func (c *Config) warnings() (all []string) {
	for _, s := range settings() {
		if c.sources[s.name].Kind == "flag" && s.secret == "all" {
			all = append(all, "--"+s.name+" is on the command line, which every user of this machine can read; "+s.env+" is not")
		}
	}
	if c.Auth.Mode == auth.ModeNone {
		all = append(all, "auth is none: everybody can be anybody; for development only")
	}
	if strings.HasPrefix(c.Auth.JWKSURL, "http://") {
		all = append(all, "auth.jwks-url is not https: whoever is between can make tokens")
	}
	if !isLoopback(c.Listen) && c.TLS.CertFile == "" && !strings.HasPrefix(c.PublicURL, "https://") {
		all = append(all, "no TLS: tokens cross the network in the clear, unless a proxy in front ends TLS (then set public-url to its https address)")
	}
	return all
}

func isLoopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// localAddress writes an address that means every interface as localhost.
func localAddress(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if a, err := netip.ParseAddr(host); host == "" || err == nil && a.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
