//go:build !windows

package alerts

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/internal/testkit"
)

// interval is the scrape interval in deploy/prometheus/prometheus.yml.
const interval = 15 * time.Second

// prometheus is a Prometheus for one test, whose clocks run speed times as fast.
type prometheus struct {
	t     *testing.T
	url   string
	speed int
}

// watch starts a Prometheus that scrapes the targets and evaluates the rules.
func watch(t *testing.T, speed int, targets ...string) *prometheus {
	t.Helper()
	binary, dir := program(t, "prometheus"), t.TempDir()
	every := fmt.Sprintf("%dms", interval.Milliseconds()/int64(speed))
	config := fmt.Sprintf(`global: {scrape_interval: %s, scrape_timeout: %s, evaluation_interval: %s}
rule_files: [rules.yml]
scrape_configs: [{job_name: chowk, static_configs: [{targets: ["%s"]}]}]
`, every, every, every, strings.Join(targets, `","`))
	for name, text := range map[string]string{"prometheus.yml": config, "rules.yml": faster(readRules(t), speed)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	address := testkit.FreeAddress(t)
	cmd := exec.Command(binary, "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--log.level=warn",
		fmt.Sprintf("--query.lookback-delta=%dms", 5*time.Minute.Milliseconds()/int64(speed)))
	var log tail
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	p := &prometheus{t: t, url: "http://" + address, speed: speed}
	p.await("Prometheus scrapes the servers: "+log.String(), func() bool {
		up, err := p.query("sum(up)")
		return err == nil && len(up) == 1 && up[0].number() == float64(len(targets))
	})
	return p
}

// sample is one value of a query.
type sample struct {
	Metric map[string]string `json:"metric"`
	Value  [2]any            `json:"value"`
}

func (s sample) number() float64 {
	text, _ := s.Value[1].(string)
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return -1
	}
	return v
}

func (p *prometheus) query(expr string) ([]sample, error) {
	var answer struct{ Result []sample }
	return answer.Result, p.get("/api/v1/query?query="+url.QueryEscape(expr), &answer)
}

// alert is a pending or firing alert.
type alert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	State       string            `json:"state"`
	Value       string            `json:"value"`
}

func (a alert) name() string { return a.Labels["alertname"] }

func (p *prometheus) alerts() ([]alert, error) {
	var answer struct{ Alerts []alert }
	return answer.Alerts, p.get("/api/v1/alerts", &answer)
}

// firing returns a firing alert of that name, nil if there is none.
func (p *prometheus) firing(name string) *alert {
	all, err := p.alerts()
	if err != nil {
		p.t.Logf("query Prometheus: %v", err)
		return nil
	}
	if i := slices.IndexFunc(all, func(a alert) bool { return a.name() == name && a.State == "firing" }); i >= 0 {
		return &all[i]
	}
	return nil
}

// states returns the names of the alerts that have been in a state since the start,
// each with that state.
func (p *prometheus) states() (seen []string) {
	found, err := p.query("count by (alertname, alertstate) (count_over_time(ALERTS[1h]))")
	if err != nil {
		p.t.Fatal(err)
	}
	for _, s := range found {
		seen = append(seen, s.Metric["alertname"]+" "+s.Metric["alertstate"])
	}
	slices.Sort(seen)
	return seen
}

func (p *prometheus) get(path string, into any) error {
	client := http.Client{Timeout: patience}
	resp, err := client.Get(p.url + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer := struct {
		Status, Error string
		Data          any
	}{Data: into}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return fmt.Errorf("Prometheus answers %s: %s", resp.Status, answer.Error)
	}
	return nil
}

// await waits until a condition holds, and returns how long that took.
func (p *prometheus) await(what string, holds func() bool) time.Duration {
	p.t.Helper()
	const glance = 50 * time.Millisecond
	for start := time.Now(); ; time.Sleep(glance) {
		if holds() {
			return time.Since(start)
		}
		if time.Since(start) > patience {
			p.t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// tail keeps the end of a program's output.
type tail struct {
	mu sync.Mutex // guards what follows
	b  []byte
}

func (l *tail) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	const maxBytes = 8 << 10
	l.b = append(l.b, b...)
	l.b = l.b[max(0, len(l.b)-maxBytes):]
	return len(b), nil
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.b)
}
