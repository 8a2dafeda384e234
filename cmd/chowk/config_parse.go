package main

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/chowk-chat/chowk/internal/auth"
)

// Size is a number of bytes, written as 65536 or 64KiB.
type Size int64

var sizeUnits = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

func (s Size) String() string {
	for _, u := range sizeUnits {
		if s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return "0B"
}

func parseSize(text string) (Size, error) {
	factor := int64(1)
	for _, u := range sizeUnits {
		if number, ok := strings.CutSuffix(text, u.name); ok {
			text, factor = strings.TrimSpace(number), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/factor {
		return 0, errors.New("not a size")
	}
	return Size(n * factor), nil
}

// set understands a value. Its error says what is allowed, to follow "must be".
func (s setting) set(field reflect.Value, text string) error {
	if text == "" && s.defaultValue == "" {
		return nil
	}
	switch field.Addr().Interface().(type) {
	case *bool:
		b, err := parseBool(text)
		if err != nil {
			return err
		}
		field.SetBool(b)
		return nil
	case *int:
		return setBounded(s, field, text, "a whole number", func(t string) (int64, error) { return strconv.ParseInt(t, 10, 0) })
	case *float64:
		return setRatio(s, field, text)
	case *Size:
		return setBounded(s, field, text, "a size such as 65536 or 64KiB,", func(t string) (int64, error) { n, err := parseSize(t); return int64(n), err })
	case *time.Duration:
		return setBounded(s, field, text, "a duration such as 30s or 5m,", func(t string) (int64, error) { d, err := time.ParseDuration(t); return int64(d), err })
	case *[]string:
		return s.setList(field, text)
	case *[]netip.Prefix:
		return setPrefixes(field, text)
	}
	if len(s.enum) > 0 && !slices.Contains(s.enum, text) {
		return fmt.Errorf("one of %s", strings.Join(s.enum, ", "))
	}
	text, err := checkText(s.is, text)
	if err != nil {
		return err
	}
	field.SetString(text)
	return nil
}

func parseBool(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "true", "yes", "on", "1":
		return true, nil
	case "false", "no", "off", "0", "":
		return false, nil
	}
	return false, errors.New("true or false")
}

func setBounded(s setting, field reflect.Value, text, what string, parse func(string) (int64, error)) error {
	low, _ := parse(s.min) // a test reads all bounds
	high, _ := parse(s.max)
	n, err := parse(text)
	if err != nil || n < low || n > high {
		return fmt.Errorf("%s from %s to %s", what, s.min, s.max)
	}
	field.SetInt(n)
	return nil
}

func setRatio(s setting, field reflect.Value, text string) error {
	low, _ := strconv.ParseFloat(s.min, 64) // a test reads all bounds
	high, _ := strconv.ParseFloat(s.max, 64)
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f >= low && f <= high) { // NaN is neither
		return fmt.Errorf("a number from %s to %s", s.min, s.max)
	}
	field.SetFloat(f)
	return nil
}

func (s setting) setList(field reflect.Value, text string) error {
	var list []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		item, err := checkText(s.is, item)
		if err != nil {
			return fmt.Errorf("a list of which each is %w", err)
		}
		list = append(list, item)
	}
	field.Set(reflect.ValueOf(list))
	return nil
}

func setPrefixes(field reflect.Value, text string) error {
	var list []netip.Prefix
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		p, err := netip.ParsePrefix(item)
		if err != nil {
			a, errAddr := netip.ParseAddr(item)
			if errAddr != nil {
				return errors.New("a list of networks such as 10.0.0.0/8 or addresses such as 192.0.2.1")
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		list = append(list, p.Masked())
	}
	field.Set(reflect.ValueOf(list))
	return nil
}

// checkText holds the kinds of text, and brings one into its usual spelling.
func checkText(kind, text string) (string, error) {
	switch kind {
	case "address", "optional-address":
		if kind == "optional-address" && (text == "off" || text == "") {
			return "", nil
		}
		host, port, err := net.SplitHostPort(text)
		n, errPort := strconv.ParseUint(port, 10, 16)
		if err != nil || errPort != nil || n > math.MaxUint16 || strings.ContainsAny(host, "/ ") {
			return "", errors.New("an address and port such as 127.0.0.1:8080 or :8080")
		}
	case "web":
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil ||
			strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
			return "", errors.New("a URL without a path, such as https://chat.example.org")
		}
		return strings.TrimRight(text, "/"), nil
	case "database":
		u, err := url.Parse(text)
		if path, ok := strings.CutPrefix(text, "sqlite:"); ok && path != "" {
			return text, nil
		}
		if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
			return "", errors.New("postgres://user:password@host:5432/name or sqlite:path")
		}
	case "replica":
		if u, err := url.Parse(text); err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
			return "", errors.New("postgres://user:password@host:5432/name")
		}
	case "origin":
		origin, err := auth.ParseOrigin(text)
		if err != nil {
			return "", errors.New("an origin: scheme, host and maybe port, such as https://app.example.org")
		}
		return origin, nil
	case "jwt-secret":
		if err := auth.CheckSecret(text); err != nil {
			return "", fmt.Errorf("hard to guess: %w", err)
		}
	case "jwks":
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https" || u.Scheme != "" && u.Host == "" {
			return "", errors.New("an https:// URL or a file")
		}
	case "collector":
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return "", errors.New("a URL such as http://127.0.0.1:4318, whose credentials, if any, are in OTEL_EXPORTER_OTLP_HEADERS")
		}
	case "node":
		host, port, err := net.SplitHostPort(text)
		n, errPort := strconv.ParseUint(port, 10, 16)
		if err != nil || errPort != nil || n == 0 || host == "" || strings.ContainsAny(host, "/ ") {
			return "", errors.New("a node's host and port such as chowk-nodes:6222")
		}
	case "nats":
		if u, err := url.Parse(text); err != nil || u.Scheme != "nats" && u.Scheme != "tls" || u.Host == "" {
			return "", errors.New("nats://host:4222 or tls://user:password@host:4222")
		}
	case "relay-secret":
		if len(text) < leastRelaySecret || strings.ContainsAny(text, " \t\r\n") {
			return "", errors.New("16 characters or more, without spaces")
		}
	case "smtp":
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "smtp" && u.Scheme != "smtps" || u.Hostname() == "" {
			return "", errors.New("smtp://user:password@host:587 or smtps://user:password@host:465")
		}
	case "email":
		if _, err := mail.ParseAddress(text); err != nil {
			return "", errors.New("an address such as chat@example.org or Chat <chat@example.org>")
		}
	}
	return text, nil
}

// shortDuration is 1h for 1h0m0s.
func shortDuration(d time.Duration) string {
	text := d.String()
	if short, ok := strings.CutSuffix(text, "m0s"); ok {
		text = short + "m"
	}
	if short, ok := strings.CutSuffix(text, "h0m"); ok {
		text = short + "h"
	}
	return text
}

// leastRelaySecret is how many characters a secret between nodes has at least.
const leastRelaySecret = 16

const hidden = "********"

// shown is a setting's value for people: secrets are hidden.
func (s setting) shown(v any) any {
	switch v := v.(type) {
	case []netip.Prefix:
		list := make([]string, 0, len(v))
		for _, p := range v {
			list = append(list, p.String())
		}
		return list
	case []string:
		list := append([]string{}, v...)
		for i := range list {
			if s.secret == "url" {
				list[i] = maskURL(list[i])
			}
		}
		return list
	case time.Duration:
		return shortDuration(v)
	case Size:
		return v.String()
	case bool, int:
		return v
	}
	text := fmt.Sprint(v)
	switch {
	case text == "" || s.secret == "":
		return text
	case s.secret == "url":
		return maskURL(text)
	}
	return hidden
}

// maskURL hides the password in a URL, and whatever in its query looks like one.
func maskURL(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return hidden
	}
	if _, ok := u.User.Password(); ok {
		u.User = url.UserPassword(u.User.Username(), hidden)
	}
	if u.RawQuery != "" {
		pairs := strings.Split(u.RawQuery, "&")
		for i, pair := range pairs {
			key, _, _ := strings.Cut(pair, "=")
			low := strings.ToLower(key)
			for _, word := range []string{"pass", "secret", "token", "key"} {
				if strings.Contains(low, word) {
					pairs[i] = key + "=" + hidden
				}
			}
		}
		u.RawQuery = strings.Join(pairs, "&")
	}
	return strings.ReplaceAll(u.String(), url.QueryEscape(hidden), hidden)
}
