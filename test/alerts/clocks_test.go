//go:build !windows

package alerts

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

const rulesFile = "../../deploy/prometheus/chowk.rules.yml"

var (
	// A duration of Prometheus, such as 1h30m.
	promDuration = `(?:\d+(?:ms|[smhdwy]))+`
	// Where rules have clocks: in ranges and offsets, and in for, keep_firing_for and
	// interval.
	ranges = regexp.MustCompile(`\[(` + promDuration + `)(:(?:` + promDuration + `)?)?\]`)
	shifts = regexp.MustCompile(`(offset )(` + promDuration + `)`)
	waits  = regexp.MustCompile(`(?m)^( *(?:for|keep_firing_for|interval): *)(` + promDuration + `)( *)$`)
	// An age compared with seconds: time() - process_start_time_seconds < 600.
	ages = regexp.MustCompile(`(time\(\) - \w+ *[<>]=? *)(\d+)`)
	// Any other such comparison would run at the old speed.
	anyDuration = regexp.MustCompile(`\b` + promDuration + `\b`)
)

// faster returns rules whose clocks run n times as fast. Comparisons with rates stay,
// because a rate is per second, and so do the seconds of histograms, because the
// server's clock stays.
func faster(rules string, n int) string {
	rules = ranges.ReplaceAllStringFunc(rules, func(r string) string {
		m := ranges.FindStringSubmatch(r)
		step := m[2]
		if len(step) > 1 {
			step = ":" + shorter(step[1:], n)
		}
		return "[" + shorter(m[1], n) + step + "]"
	})
	replace := func(where *regexp.Regexp, with func(string) string) {
		rules = where.ReplaceAllStringFunc(rules, func(found string) string {
			m := where.FindStringSubmatch(found)
			return m[1] + with(m[2]) + strings.Join(m[3:], "")
		})
	}
	replace(shifts, func(d string) string { return shorter(d, n) })
	replace(waits, func(d string) string { return shorter(d, n) })
	replace(ages, func(seconds string) string {
		s, err := strconv.Atoi(seconds)
		if err != nil {
			panic(err) // a few digits
		}
		return strconv.FormatFloat(float64(s)/float64(n), 'f', -1, 64)
	})
	return rules
}

// shorter returns an nth of a duration, in milliseconds.
func shorter(d string, n int) string {
	return fmt.Sprintf("%dms", seconds(d).Milliseconds()/int64(n))
}

func seconds(d string) (sum time.Duration) {
	units := map[string]time.Duration{
		"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour,
		"d": 24 * time.Hour, "w": 7 * 24 * time.Hour, "y": 365 * 24 * time.Hour,
	}
	for _, part := range regexp.MustCompile(`(\d+)(ms|[smhdwy])`).FindAllStringSubmatch(d, -1) {
		count, err := strconv.Atoi(part[1])
		if err != nil {
			panic(err) // as above
		}
		sum += time.Duration(count) * units[part[2]]
	}
	return sum
}

func readRules(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// alertNames returns the names of all alerts, in the order of the file.
func alertNames(t *testing.T) (names []string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^ *- alert: (\w+)$`).FindAllStringSubmatch(readRules(t), -1) {
		names = append(names, m[1])
	}
	return names
}

func TestFasterReachesEveryClock(t *testing.T) {
	got := faster(`
expr: >-
  rate(a[2m]) > 0.1 and rate(b[1h30m] offset 10m) and max_over_time(c[1h:1m]) and d[5m:]
  and time() - process_start_time_seconds < 600
for: 1m
keep_firing_for: 1h
interval: 15s
description: '5 minutes'`, 10)
	want := `
expr: >-
  rate(a[12000ms]) > 0.1 and rate(b[540000ms] offset 60000ms) and max_over_time(c[360000ms:6000ms]) and d[30000ms:]
  and time() - process_start_time_seconds < 60
for: 6000ms
keep_firing_for: 360000ms
interval: 1500ms
description: '5 minutes'`
	if got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// TestNoRuleKeepsAClock: a duration in a form that faster does not know would make a
// rule take an hour in these tests, or prove nothing.
func TestNoRuleKeepsAClock(t *testing.T) {
	const n = 1_000_000 // the rules have no duration that long in seconds
	for i, line := range strings.Split(faster(readRules(t), n), "\n") {
		if regexp.MustCompile(`summary|description|runbook_url|^ *#`).MatchString(line) {
			continue
		}
		for _, d := range anyDuration.FindAllString(line, -1) {
			if seconds(d) > 10*time.Millisecond {
				t.Errorf("line %d keeps %s: %s", i+1, d, strings.TrimSpace(line))
			}
		}
		if strings.Contains(line, "time()") && !ages.MatchString(line) {
			t.Errorf("line %d compares the time in an unknown way: %s", i+1, strings.TrimSpace(line))
		}
	}
}

func TestFasterRulesAreRules(t *testing.T) {
	promtool := program(t, "promtool")
	path := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(path, []byte(faster(readRules(t), speed)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", path).CombinedOutput()
	if want := fmt.Sprintf("SUCCESS: %d rules found", len(alertNames(t))); err != nil ||
		!strings.Contains(string(out), want) {
		t.Errorf("%v: %s, want %s", err, out, want)
	}
}

// program returns the path of one of Prometheus's programs.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed: make tools installs Debian's package prometheus", name)
	}
	return path
}
