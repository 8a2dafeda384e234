package chowk

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/chowk-chat/chowk/internal/auth"
	"github.com/chowk-chat/chowk/internal/netpoll"
	"github.com/chowk-chat/chowk/internal/settings"
)

// Complete sets the fields that are zero to their defaults, unless c comes from
// [Defaults], fills in what follows from other settings, and checks all of them. Its
// error joins an error for each setting that is wrong. [Open] calls it.
func (c *Config) Complete() error {
	if !c.complete {
		settings.SetDefaults(c)
		c.complete = true
	}
	if c.DatabaseURL == "" {
		c.DatabaseURL = "sqlite:" + filepath.ToSlash(filepath.Join(c.DataDir, "chowk.db"))
	}
	if problems := settings.Check(c); len(problems) > 0 {
		return errors.Join(problems...)
	}
	check := conflicts{Config: c}
	check.auth()
	check.listener()
	check.mail()
	check.database()
	check.relay()
	check.durations()
	return errors.Join(check.problems...)
}

// conflicts finds settings that are each allowed and contradict each other.
type conflicts struct {
	*Config
	problems []error
}

// refuse adds a problem of the setting called name. The text follows the name in a
// sentence.
func (c *conflicts) refuse(name, format string, args ...any) {
	c.problems = append(c.problems, &settings.Error{Setting: name, Reason: fmt.Sprintf(format, args...)})
}

func (c *conflicts) auth() {
	a := &c.Auth
	hasKey := a.JWTSecret != "" || a.JWTKeyFile != "" || a.JWKSURL != ""
	switch mode := auth.Mode(a.Mode); {
	case mode == auth.ModeNone && !a.AllowInsecure && !settings.IsLoopback(c.Listen):
		c.refuse("auth", "is \"none\", so anyone can impersonate anyone, but listen is %q, which others can reach; "+
			"listen on 127.0.0.1, choose accounts or jwt, or set --auth.allow-insecure", c.Listen)
	case mode == auth.ModeNone && hasKey:
		c.refuse("auth", "is \"none\", but a JWT secret or key is set; choose jwt, or remove the secret or key")
	case mode == auth.ModeJWT && !hasKey:
		c.refuse("auth", "is \"jwt\", but there is no key to check tokens with; set auth.jwt-secret "+
			"(preferably as CHOWK_AUTH_JWT_SECRET), auth.jwt-key-file or auth.jwks-url")
	}
	if a.JWTKeyFile != "" && a.JWKSURL != "" {
		c.refuse("auth.jwks-url", "and auth.jwt-key-file are both set; choose one")
	}
	for _, claim := range [][2]string{{"auth.jwt-issuer", a.JWTIssuer}, {"auth.jwt-audience", a.JWTAudience}} {
		if claim[1] != "" && !hasKey {
			c.refuse(claim[0], "is %q, but no JWT is accepted; set auth.jwt-secret, auth.jwt-key-file or "+
				"auth.jwks-url as well", claim[1])
		}
	}
}

func (c *conflicts) listener() {
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		c.refuse("tls.cert-file", "is %q and tls.key-file is %q; set both or neither", c.TLS.CertFile, c.TLS.KeyFile)
	}
	if c.Transport == string(netpoll.Epoll) && c.TLS.CertFile != "" {
		c.refuse("transport", "is \"epoll\", which cannot wait for TLS, but tls.cert-file is set; "+
			"choose auto or goroutine, or terminate TLS at a proxy")
	}
	if c.Limits.FrameBytes > c.Limits.MessageBytes {
		c.refuse("limits.frame-bytes", "is %s and limits.message-bytes is %s; a frame cannot be larger than the command",
			settings.Bytes(c.Limits.FrameBytes), settings.Bytes(c.Limits.MessageBytes))
	}
}

func (c *conflicts) mail() {
	if c.Mail.SMTPURL != "" && c.Mail.From == "" {
		c.refuse("mail.smtp-url", "is set, but mail.from, the sender, is not")
	}
	if c.Mail.SMTPURL != "" && c.PublicURL == "" {
		c.refuse("mail.smtp-url", "is set, but public-url, which links in emails need, is not")
	}
}

func (c *conflicts) database() {
	if len(c.DatabaseRead) > 0 && c.embedded() {
		c.refuse("database-read-url", "is set, but the database is an SQLite file, which has no replicas")
	}
}

// embedded reports whether the database is an SQLite file.
func (c *Config) embedded() bool { return strings.HasPrefix(c.DatabaseURL, "sqlite:") }

func (c *conflicts) durations() {
	if c.DB.HoldSoft >= c.DB.HoldHard {
		c.refuse("db.hold-soft", "is %s and db.hold-hard is %s; the soft limit must be the shorter one",
			c.DB.HoldSoft, c.DB.HoldHard)
	}
	if c.Drain.Window >= c.Drain.Timeout {
		c.refuse("drain.window", "is %s and drain.timeout is %s; the window must be the shorter one",
			c.Drain.Window, c.Drain.Timeout)
	}
}

// relay checks how nodes connect.
func (c *conflicts) relay() {
	r := &c.Relay
	first := c.firstRelaySetting()
	switch {
	case first == "":
		return
	case c.embedded():
		c.refuse(first, "is set, but the database is an SQLite file, which only one node can use; "+
			"set database-url to a postgres:// URL, or remove this setting")
		return
	case r.Listen == "" && len(r.URL) == 0:
		c.refuse(first, "is set, but neither relay.listen nor relay.url says how nodes connect; set one of them")
		return
	case r.Listen != "" && len(r.URL) > 0:
		c.refuse("relay.url", "is set, and relay.listen is %q; choose one", r.Listen)
		return
	}
	if len(r.URL) == 0 {
		c.routes()
	} else if len(r.Routes) > 0 {
		c.refuse("relay.routes", "is %q, but with relay.url the nodes meet there; remove relay.routes",
			strings.Join(r.Routes, ","))
	}
	if (r.TLSCertFile == "") != (r.TLSKeyFile == "") {
		c.refuse("relay.tls-cert-file", "is %q and relay.tls-key-file is %q; set both or neither",
			r.TLSCertFile, r.TLSKeyFile)
	}
}

// firstRelaySetting returns the name of a relay setting that is set, "" when none is.
func (c *Config) firstRelaySetting() string {
	r := &c.Relay
	for _, s := range []struct{ name, value string }{
		{"relay.listen", r.Listen},
		{"relay.url", strings.Join(r.URL, ",")},
		{"relay.routes", strings.Join(r.Routes, ",")},
		{"relay.secret", r.Secret},
		{"relay.credentials-file", r.CredentialsFile},
		{"relay.tls-cert-file", r.TLSCertFile},
		{"relay.tls-ca-file", r.TLSCAFile},
	} {
		if s.value != "" {
			return s.name
		}
	}
	return ""
}

// routes checks a node that listens for others.
func (c *conflicts) routes() {
	r := &c.Relay
	reachable := !settings.IsLoopback(r.Listen)
	for _, route := range r.Routes {
		reachable = reachable || !settings.IsLoopback(route)
	}
	if r.Secret == "" && reachable {
		c.refuse("relay.listen", "is %q, which others can reach, or relay.routes leads to other machines, "+
			"but relay.secret is not set; set it on all nodes, preferably as CHOWK_RELAY_SECRET", r.Listen)
	}
	if r.CredentialsFile != "" {
		c.refuse("relay.credentials-file", "is for relay.url, which is not set")
	}
	if (r.TLSCertFile == "") != (r.TLSCAFile == "") {
		c.refuse("relay.tls-cert-file", "is %q and relay.tls-ca-file is %q; nodes authenticate each other: "+
			"set both or neither", r.TLSCertFile, r.TLSCAFile)
	}
}

// Warnings returns what is allowed and unsafe, a sentence each.
func (c *Config) Warnings() (all []string) {
	if c.Auth.Mode == string(auth.ModeNone) {
		all = append(all, "auth is none: anyone can impersonate anyone; for development only")
	}
	if strings.HasPrefix(c.Auth.JWKSURL, "http://") {
		all = append(all, "auth.jwks-url is not https: anyone on the way to it can forge tokens")
	}
	if !settings.IsLoopback(c.Listen) && c.TLS.CertFile == "" && !strings.HasPrefix(c.PublicURL, "https://") {
		all = append(all, "no TLS: tokens cross the network unencrypted, unless a proxy in front terminates TLS "+
			"(then set public-url to its https address)")
	}
	return all
}
