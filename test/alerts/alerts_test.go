//go:build !windows

// Package alerts proves on real servers that every alert of
// deploy/prometheus/chowk.rules.yml fires when something is wrong, ends when it is
// repaired, and stays silent under ordinary load. A real Prometheus scrapes the servers
// with the same rules, whose clocks run faster.
package alerts

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// speed is how much faster the clocks of the rules run: an alert that waits for five
// minutes waits for ten seconds.
const speed = 30

// fault is something that goes wrong, and the alerts that have to fire.
type fault struct {
	name  string // of the test
	what  string // for the table
	fires []string
	speed int  // if it differs
	quick bool // part of every run of the tests
	alone bool // no other alert may fire
	// setup starts what the fault needs, and returns a function that injects it, which
	// returns one that repairs it.
	setup func(t *testing.T, st *scene) (inject func() (repair func()))
}

// scene is where a fault is injected.
type scene struct {
	speed   int
	targets []string // operations listeners, if there are several servers
	prom    *prometheus
	server  *server
}

// serve starts the server that Prometheus scrapes.
func (st *scene) serve(t *testing.T, database string, settings ...string) *server {
	t.Helper()
	st.server = serve(t, st.speed, database, settings...)
	st.watch(t)
	return st.server
}

// watch starts Prometheus.
func (st *scene) watch(t *testing.T) {
	t.Helper()
	if len(st.targets) == 0 {
		st.targets = []string{st.server.ops}
	}
	st.prom = watch(t, st.speed, st.targets...)
}

// after waits for as long as the rules take for d.
func (st *scene) after(d time.Duration) { time.Sleep(d / time.Duration(st.speed)) }

func TestEveryAlertFiresAndEnds(t *testing.T) {
	program(t, "prometheus")
	if !everything() {
		t.Parallel()
	}
	for _, f := range faults {
		if !everything() && !f.quick {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			f.run(t)
		})
	}
}

func (f fault) run(t *testing.T) {
	st := &scene{speed: speed}
	if f.speed != 0 {
		st.speed = f.speed
	}
	inject := f.setup(t, st)
	// The start must be over for the rules, and rates need a past.
	st.after(2 * time.Minute)
	for _, name := range f.fires {
		if a := st.prom.firing(name); a != nil {
			t.Errorf("%s fires before anything is wrong: %+v", name, a)
		}
	}
	injected := time.Now()
	repair := sync.OnceFunc(inject())
	t.Cleanup(repair)
	f.each(st, "fires", func(name string) bool {
		fired := st.prom.firing(name)
		if fired != nil {
			results.fired(name, f, st.speed, time.Since(injected))
			fired.check(t)
		}
		return fired != nil
	})
	repair()
	repaired := time.Now()
	f.each(st, "ends", func(name string) bool {
		ended := st.prom.firing(name) == nil
		if ended {
			results.ended(name, f, time.Since(repaired))
		}
		return ended
	})
	seen := st.prom.states()
	t.Logf("seen: %s", strings.Join(seen, ", "))
	for _, s := range seen {
		if name, fired := strings.CutSuffix(s, " firing"); f.alone && fired && !slices.Contains(f.fires, name) {
			t.Errorf("%s fires, although no client notices anything", name)
		}
	}
	if t.Failed() && st.server != nil {
		t.Logf("the server's log:\n\t%s", lines(st.server.Log.Text()))
	}
}

// each waits until found has returned true for every alert.
func (f fault) each(st *scene, what string, found func(name string) bool) {
	left := slices.Clone(f.fires)
	st.prom.await(fmt.Sprintf("each of %v %s", f.fires, what), func() bool {
		left = slices.DeleteFunc(left, found)
		return len(left) == 0
	})
}

// check checks the texts of a firing alert.
func (a *alert) check(t *testing.T) {
	t.Helper()
	said := a.Annotations["description"]
	for what, wrong := range map[string]bool{
		"no severity": a.Labels["severity"] == "",
		"no job":      a.Labels["job"] == "" && strings.Contains(said, "of  "),
		"no summary":  a.Annotations["summary"] == "",
		"a value that is missing": strings.Contains(said, "<no value>") || strings.Contains(said, "NaN") ||
			strings.Contains(said, "Inf"),
		"a label that is missing":       regexp.MustCompile(`^ |  | $| [.,:]|\( ?\)`).MatchString(said),
		"no instance nor all of a job":  a.Labels["instance"] == "" && a.Labels["job"] == "",
		"a runbook that does not exist": !exists("../../docs/runbook/" + a.name() + ".md"),
	} {
		if wrong {
			t.Errorf("%s has %s: %q %v", a.name(), what, said, a.Labels)
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// unprovable are alerts that no fault from outside can trigger, with the reason. They
// have only their cases in deploy/prometheus/chowk.test.yml.
var unprovable = map[string]string{
	// The hub appends only the next seq to a channel, and the log is read only up to a
	// gap: lost rows stop the channel, which ChowkCanaryFailing reports. internal/canary
	// tests with a fake server that the canary notices.
	"ChowkOutOfOrder": "the server delivers nothing after a gap",
	// No code outside of internal/database can hold a connection, and a unit of work calls
	// no other package. internal/database tests that a write is noticed, with a unit of
	// work that exists only in tests.
	"ChowkHeldAcrossWrite": "no unit of work can write to a socket",
}

// TestNoAlertIsForgotten checks that each alert has a fault here or a reason, and that
// the runbook's table says which.
func TestNoAlertIsForgotten(t *testing.T) {
	page, err := os.ReadFile("../../docs/runbook/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		for _, name := range f.fires {
			if !strings.Contains(string(page), fmt.Sprintf("| [%s](%s.md) | %s |", name, name, f.what)) {
				t.Errorf("docs/runbook/README.md does not have %s: %s", name, f.what)
			}
		}
	}
	var proved []string
	for name := range unprovable {
		proved = append(proved, name)
	}
	for _, f := range faults {
		proved = append(proved, f.fires...)
	}
	known := alertNames(t)
	for _, name := range known {
		if !slices.Contains(proved, name) {
			t.Errorf("no fault makes %s fire", name)
		}
	}
	for _, name := range proved {
		if !slices.Contains(known, name) {
			t.Errorf("there is no alert %s", name)
		}
	}
}

// results are the times of the faults, for the table in docs/runbook.
var results table

type table struct {
	mu   sync.Mutex // guards what follows
	rows []row
}

type row struct {
	alert, what string
	speed       int
	fire, end   time.Duration // at that speed
}

func (r *table) fired(name string, f fault, speed int, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows = append(r.rows, row{alert: name, what: f.what, speed: speed, fire: took})
}

func (r *table) ended(name string, f fault, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.rows {
		if r.rows[i].alert == name && r.rows[i].what == f.what {
			r.rows[i].end = took
		}
	}
}

// write writes the table as Markdown, in the order of the rules.
func (r *table) write(path string) error {
	if path == "" || len(r.rows) == 0 {
		return nil
	}
	rules, err := os.ReadFile(rulesFile)
	if err != nil {
		return err
	}
	order := func(a row) int { return strings.Index(string(rules), "alert: "+a.alert+"\n") }
	slices.SortStableFunc(r.rows, func(a, b row) int { return order(a) - order(b) })
	var b strings.Builder
	b.WriteString("| alert | what was done | fires after | ends after | clocks |\n| --- | --- | --- | --- | --- |\n")
	for _, a := range r.rows {
		real := func(d time.Duration) string {
			return fmt.Sprintf("%.1f s = %v", d.Seconds(), (d * time.Duration(a.speed)).Round(5*time.Second))
		}
		fmt.Fprintf(&b, "| [%s](%s.md) | %s | %s | %s | x %d |\n", a.alert, a.alert, a.what, real(a.fire), real(a.end),
			a.speed)
	}
	return os.WriteFile(path, []byte(b.String()), 0o600)
}
