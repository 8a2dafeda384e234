package settings

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// set parses text into field. Its error says what is allowed, to follow "must be".
func (s Setting) set(field reflect.Value, text string) error {
	if text == "" && s.Default == "" {
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
		return s.setBounded(field, text, "a whole number", parseInt)
	case *int64:
		return s.setBounded(field, text, "a size such as 65536 or 64KiB,", parseBytes)
	case *time.Duration:
		return s.setBounded(field, text, "a duration such as 30s or 5m,", parseDuration)
	case *float64:
		return s.setRatio(field, text)
	case *[]string:
		return s.setList(field, text)
	case *[]netip.Prefix:
		return setPrefixes(field, text)
	}
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, text) {
		return fmt.Errorf("one of %s", strings.Join(s.Enum, ", "))
	}
	text, err := checkKind(s.Kind, text)
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

func parseInt(text string) (int64, error) { return strconv.ParseInt(text, 10, 0) }

func parseDuration(text string) (int64, error) {
	d, err := time.ParseDuration(text)
	return int64(d), err
}

func parseBytes(text string) (int64, error) {
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
	return n * factor, nil
}

func (s Setting) setBounded(field reflect.Value, text, what string, parse func(string) (int64, error)) error {
	low, _ := parse(s.min) // a test reads all bounds
	high, _ := parse(s.max)
	n, err := parse(text)
	if err != nil || n < low || n > high {
		return fmt.Errorf("%s from %s to %s", what, s.min, s.max)
	}
	field.SetInt(n)
	return nil
}

func (s Setting) setRatio(field reflect.Value, text string) error {
	low, _ := strconv.ParseFloat(s.min, 64) // a test reads all bounds
	high, _ := strconv.ParseFloat(s.max, 64)
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f >= low && f <= high) { // NaN is neither
		return fmt.Errorf("a number from %s to %s", s.min, s.max)
	}
	field.SetFloat(f)
	return nil
}

func (s Setting) setList(field reflect.Value, text string) error {
	var list []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		item, err := checkKind(s.Kind, item)
		if err != nil {
			return fmt.Errorf("a list in which each item is %w", err)
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
		p, err := parsePrefix(item)
		if err != nil {
			return errors.New("a list of networks such as 10.0.0.0/8 or addresses such as 192.0.2.1")
		}
		list = append(list, p.Masked())
	}
	field.Set(reflect.ValueOf(list))
	return nil
}

func parsePrefix(text string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p, nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}
