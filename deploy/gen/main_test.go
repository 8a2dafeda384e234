package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/chowk-chat/chowk/internal/metric"
)

func TestTheDashboardIsFresh(t *testing.T) {
	want, err := dashboard(metric.New().Definitions)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../grafana/chowk.json")
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("deploy/grafana/chowk.json is stale: run make generate (%v)", err)
	}
}

func TestTheHelpOfSettingsIsFresh(t *testing.T) {
	want, err := settingsHelp("../../")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../" + helpFile)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is stale: run make generate (%v)", helpFile, err)
	}
}

func TestEachMetricHasAPanel(t *testing.T) {
	b, err := os.ReadFile("../grafana/chowk.json")
	if err != nil {
		t.Fatal(err)
	}
	used := namesIn(string(b))
	for _, d := range metric.New().Definitions {
		if !slices.Contains(used, d.Name) {
			t.Errorf("%s is not on any panel", d.Name)
		}
	}
}

// TestDefinitionsAreComplete: each metric that is registered is defined, and vice versa.
func TestDefinitionsAreComplete(t *testing.T) {
	m := metric.New()
	described := make(chan *prometheus.Desc, 1000)
	m.Registry.Describe(described)
	close(described)
	names := make(map[string]bool)
	for d := range described {
		names[regexp.MustCompile(`fqName: "([^"]+)"`).FindStringSubmatch(d.String())[1]] = true
	}
	for _, d := range m.Definitions {
		if !names[d.Name] {
			t.Errorf("%s is defined and not registered", d.Name)
		}
		delete(names, d.Name)
		isCounter, isTotal := d.Type == metric.CounterType, strings.HasSuffix(d.Name, "_total")
		if !strings.HasPrefix(d.Name, "chowk_") || isCounter != isTotal {
			t.Errorf("%s, a %s, does not follow the conventions for names", d.Name, d.Type)
		}
		if d.Help == "" {
			t.Errorf("%s has no help", d.Name)
		}
	}
	for name := range names {
		t.Errorf("%s is registered and not defined", name)
	}
}

// namesIn returns the metrics in a text, without the suffixes of histograms.
func namesIn(text string) (names []string) {
	for _, name := range regexp.MustCompile(`\b(chowk|process|go)_[a-z0-9_]+`).FindAllString(text, -1) {
		for _, suffix := range []string{"_bucket", "_count", "_sum"} {
			if base, cut := strings.CutSuffix(name, suffix); cut && strings.HasPrefix(name, "chowk_") {
				name = base
			}
		}
		names = append(names, name)
	}
	return names
}

// exported returns the names of all metrics that a server exports.
func exported(t *testing.T) map[string]bool {
	t.Helper()
	m := metric.New()
	m.Runtime("v", "c")
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, f := range families {
		names[f.GetName()] = true
	}
	for _, d := range m.Definitions {
		names[d.Name] = true
	}
	return names
}

type rules struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert, Expr string
			Labels      struct{ Severity string }
			Annotations map[string]string
		}
	}
}

func readYAML(t *testing.T, path string, into any) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = yaml.Unmarshal(b, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return string(b)
}

func TestRulesAndPanelsUseMetricsThatExist(t *testing.T) {
	names := exported(t)
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	b, err := os.ReadFile("../grafana/chowk.json")
	if err == nil {
		err = json.Unmarshal(b, &board)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			for _, name := range namesIn(target.Expr) {
				if !names[name] && name != "go_gc_duration_seconds_sum" {
					t.Errorf("the panel %q uses %s, which does not exist", p.Title, name)
				}
			}
		}
	}
	var r rules
	readYAML(t, "../prometheus/chowk.rules.yml", &r)
	for _, g := range r.Groups {
		for _, rule := range g.Rules {
			found := namesIn(rule.Expr)
			for _, name := range found {
				if !names[name] {
					t.Errorf("%s uses %s, which does not exist", rule.Alert, name)
				}
			}
			if len(found) == 0 && rule.Alert != "ChowkDown" {
				t.Errorf("%s uses no metric", rule.Alert)
			}
		}
	}
}

// TestEachAlertHasAPage in the runbook that says what it means, what users see and what to
// do, a line in the runbook's table, and cases that fire and that are calm.
func TestEachAlertHasAPage(t *testing.T) {
	var r rules
	readYAML(t, "../prometheus/chowk.rules.yml", &r)
	var cases struct {
		Tests []struct {
			Name  string
			Rules []struct {
				Alertname string
				Alerts    []any `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	readYAML(t, "../prometheus/chowk.test.yml", &cases)
	fires, calm := make(map[string]bool), make(map[string]bool)
	for _, c := range cases.Tests {
		for _, a := range c.Rules {
			if len(a.Alerts) > 0 {
				fires[a.Alertname] = true
			} else {
				calm[a.Alertname] = true
			}
		}
	}
	table, err := os.ReadFile("../../docs/runbook/README.md")
	if err != nil {
		t.Fatal(err)
	}
	pages := make(map[string]bool)
	for _, g := range r.Groups {
		for _, rule := range g.Rules {
			pages[rule.Alert+".md"] = true
			b, err := os.ReadFile("../../docs/runbook/" + rule.Alert + ".md")
			if err != nil {
				t.Error(err)
				continue
			}
			line := fmt.Sprintf("| [%s](%[1]s.md) | %s | %s |\n", rule.Alert, rule.Labels.Severity, rule.Annotations["summary"])
			if !strings.Contains(string(table), line) {
				t.Errorf("docs/runbook/README.md has no line %q", line)
			}
			for _, part := range []string{
				"# " + rule.Alert + "\n", "\n## What it means\n", "\n## What users see\n", "\n## What to do\n",
			} {
				if !strings.Contains(string(b), part) {
					t.Errorf("docs/runbook/%s.md has no %q", rule.Alert, strings.TrimSpace(part))
				}
			}
			if !strings.HasSuffix(rule.Annotations["runbook_url"], "/docs/runbook/"+rule.Alert+".md") {
				t.Errorf("%s links to %s", rule.Alert, rule.Annotations["runbook_url"])
			}
			if s := rule.Labels.Severity; s != "page" && s != "ticket" {
				t.Errorf("%s has severity %q, want page or ticket", rule.Alert, s)
			}
			if !fires[rule.Alert] || !calm[rule.Alert] {
				t.Errorf("%s has a case that fires: %v, and one that is calm: %v", rule.Alert, fires[rule.Alert], calm[rule.Alert])
			}
		}
	}
	found, err := filepath.Glob("../../docs/runbook/Chowk*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range found {
		if !pages[filepath.Base(path)] {
			t.Errorf("%s has no alert", path)
		}
	}
}

// TestDocumentsNameMetricsThatExist, so that no one searches for one at three in the
// morning.
func TestDocumentsNameMetricsThatExist(t *testing.T) {
	names := exported(t)
	pages, err := filepath.Glob("../../docs/runbook/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, "../../docs/operations.md") {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range namesIn(string(b)) {
			if !names[name] {
				t.Errorf("%s names %s, which does not exist", page, name)
			}
		}
	}
}

// TestPromtool checks the rules with Prometheus's own tool and runs their cases.
func TestPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed: make tools installs Debian's package prometheus")
	}
	for _, args := range [][]string{
		{"check", "rules", "chowk.rules.yml"}, {"test", "rules", "chowk.test.yml"}, {"check", "config", "prometheus.yml"},
	} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = "../prometheus"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
