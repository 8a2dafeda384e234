package settings

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const hidden = "********"

// sizeUnits are the units of a size, the largest first.
var sizeUnits = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// Bytes formats a number of bytes as a setting, such as 64KiB.
func Bytes(n int64) string {
	for _, u := range sizeUnits {
		if n != 0 && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return "0B"
}

// duration formats 1h0m0s as 1h.
func duration(d time.Duration) string {
	text := d.String()
	if short, ok := strings.CutSuffix(text, "m0s"); ok {
		text = short + "m"
	}
	if short, ok := strings.CutSuffix(text, "h0m"); ok {
		text = short + "h"
	}
	return text
}

// text formats the setting's value in config as Set accepts it.
func (s Setting) text(config any) string {
	switch v := s.field(config).Interface().(type) {
	case []string:
		return strings.Join(v, ",")
	case []netip.Prefix:
		return strings.Join(prefixes(v), ",")
	default:
		return fmt.Sprint(v)
	}
}

func prefixes(list []netip.Prefix) []string {
	texts := make([]string, 0, len(list))
	for _, p := range list {
		texts = append(texts, p.String())
	}
	return texts
}

// Shown returns the setting's value in config for people and for JSON, with secrets
// hidden: a text, a number, true or false, or a list of texts.
func (s Setting) Shown(config any) any {
	switch v := s.field(config).Interface().(type) {
	case []netip.Prefix:
		return prefixes(v)
	case []string:
		list := append([]string{}, v...)
		for i := range list {
			if s.secret == secretURL {
				list[i] = MaskURL(list[i])
			}
		}
		return list
	case time.Duration:
		return duration(v)
	case int64:
		return Bytes(v)
	case bool, int, float64:
		return v
	default:
		return s.mask(fmt.Sprint(v))
	}
}

func (s Setting) mask(text string) string {
	switch {
	case text == "" || s.secret == "":
		return text
	case s.secret == secretURL:
		return MaskURL(text)
	default:
		return hidden
	}
}

// MaskURL hides the password in a URL, and each value in its query that may be one.
func MaskURL(text string) string {
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
			if namesSecret(key) {
				pairs[i] = key + "=" + hidden
			}
		}
		u.RawQuery = strings.Join(pairs, "&")
	}
	return strings.ReplaceAll(u.String(), url.QueryEscape(hidden), hidden)
}

func namesSecret(key string) bool {
	low := strings.ToLower(key)
	for _, word := range []string{"pass", "secret", "token", "key"} {
		if strings.Contains(low, word) {
			return true
		}
	}
	return false
}
