package settings

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/chowk-chat/chowk/internal/auth"
)

// minRelaySecret is the least length of the secret between nodes, in bytes.
const minRelaySecret = 16

// kinds are the kinds of text, by the tag is. Each checks a text and returns its
// usual spelling, or an error that says what is allowed.
var kinds = map[string]func(string) (string, error){
	"address":          address,
	"optional-address": optionalAddress,
	"web":              web,
	"database":         database,
	"replica":          replica,
	"origin":           origin,
	"jwt-secret":       jwtSecret,
	"jwks":             jwks,
	"collector":        collector,
	"node":             node,
	"nats":             nats,
	"relay-secret":     relaySecret,
	"smtp":             smtp,
	"email":            email,
}

func checkKind(kind, text string) (string, error) {
	check, ok := kinds[kind]
	if !ok {
		return text, nil
	}
	return check(text)
}

// allow returns text if ok, or else an error that says what is allowed.
func allow(ok bool, text, allowed string) (string, error) {
	if !ok {
		return "", errors.New(allowed)
	}
	return text, nil
}

func hostPort(text string) (host string, port uint64, ok bool) {
	host, portText, err := net.SplitHostPort(text)
	port, portErr := strconv.ParseUint(portText, 10, 16)
	return host, port, err == nil && portErr == nil && port <= math.MaxUint16 && !strings.ContainsAny(host, "/ ")
}

func address(text string) (string, error) {
	_, _, ok := hostPort(text)
	return allow(ok, text, "an address and port such as 127.0.0.1:8080 or :8080")
}

func optionalAddress(text string) (string, error) {
	if text == "off" || text == "" {
		return "", nil
	}
	return address(text)
}

func web(text string) (string, error) {
	u, err := url.Parse(text)
	ok := err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil &&
		strings.Trim(u.Path, "/") == "" && u.RawQuery == "" && u.Fragment == ""
	return allow(ok, strings.TrimRight(text, "/"),
		"a URL that starts with http:// or https:// and has no path, such as https://chat.example.org")
}

func isPostgres(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "postgres" || u.Scheme == "postgresql")
}

func database(text string) (string, error) {
	path, embedded := strings.CutPrefix(text, "sqlite:")
	return allow(embedded && path != "" || isPostgres(text), text,
		"postgres://user:password@host:5432/name or sqlite:path")
}

func replica(text string) (string, error) {
	return allow(isPostgres(text), text, "postgres://user:password@host:5432/name")
}

func origin(text string) (string, error) {
	o, err := auth.ParseOrigin(text)
	return allow(err == nil, o, "an origin: scheme, host and optional port, such as https://app.example.org")
}

func jwtSecret(text string) (string, error) {
	if err := auth.CheckSecret(text); err != nil {
		return "", fmt.Errorf("hard to guess: %w", err)
	}
	return text, nil
}

func jwks(text string) (string, error) {
	u, err := url.Parse(text)
	isFile := err == nil && u.Scheme == ""
	isURL := err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
	return allow(isFile || isURL, text, "an https:// URL or a file")
}

func collector(text string) (string, error) {
	u, err := url.Parse(text)
	ok := err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil &&
		u.RawQuery == "" && u.Fragment == ""
	return allow(ok, text,
		"a URL such as http://127.0.0.1:4318 without credentials, which belong in OTEL_EXPORTER_OTLP_HEADERS")
}

func node(text string) (string, error) {
	host, port, ok := hostPort(text)
	return allow(ok && port != 0 && host != "", text, "a node's host and port such as chowk-nodes:6222")
}

func nats(text string) (string, error) {
	u, err := url.Parse(text)
	ok := err == nil && (u.Scheme == "nats" || u.Scheme == "tls") && u.Host != ""
	return allow(ok, text, "nats://host:4222 or tls://user:password@host:4222")
}

func relaySecret(text string) (string, error) {
	return allow(len(text) >= minRelaySecret && !strings.ContainsAny(text, " \t\r\n"), text,
		"at least 16 characters, without spaces")
}

func smtp(text string) (string, error) {
	u, err := url.Parse(text)
	ok := err == nil && (u.Scheme == "smtp" || u.Scheme == "smtps") && u.Hostname() != ""
	return allow(ok, text, "smtp://user:password@host:587 or smtps://user:password@host:465")
}

func email(text string) (string, error) {
	_, err := mail.ParseAddress(text)
	return allow(err == nil, text, "an address such as chat@example.org or Chat <chat@example.org>")
}

// IsLoopback reports whether only this machine can reach a listener on address.
func IsLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// LocalAddress returns the address at which this machine reaches a listener on
// address: localhost where address means every interface.
func LocalAddress(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if a, err := netip.ParseAddr(host); host == "" || err == nil && a.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
