//go:build !windows

// Package alerts proves on real servers that every alert of
// deploy/prometheus/chowk.rules.yml fires when something is wrong, ends when it is
// right again, and keeps silent under ordinary load. A real Prometheus looks at the
// servers with the same rules, whose clocks run faster.
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

// speed is how much faster the rules' clocks run: an alert that waits for five
// minutes waits for ten seconds.
const speed = 30

// fault is something that goes wrong, and the alerts that must say so.
type fault struct {
	name  string // of the test
	what  string // for the table
	fires []string
	speed int  // when another one than usual
	quick bool // it is for every run of the tests
	alone bool // nothing else may fire
	// arrange starts what is needed and gives what breaks it, which gives what
	// mends it.
	arrange func(t *testing.T, st *stage) (breakIt func() (mend func()))
}

// stage is what a fault is played on.
type stage struct {
	speed   int
	targets []string // operations listeners, when they are not that of the one server
	prom    *prometheus
	server  *server
}

// serve starts the server that is looked at.
func (st *stage) serve(t *testing.T, database string, settings ...string) *server {
	t.Helper()
	st.server = serve(t, st.speed, database, settings...)
	st.look(t)
	return st.server
}

// look starts Prometheus.
func (st *stage) look(t *testing.T) {
	t.Helper()
	if len(st.targets) == 0 {
		st.targets = []string{st.server.ops}
	}
	st.prom = watch(t, st.speed, st.targets...)
}

// after waits as long as d would be for the rules.
func (st *stage) after(d time.Duration) { time.Sleep(d / time.Duration(st.speed)) }

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
			f.play(t)
		})
	}
}

func (f fault) play(t *testing.T) {
	st := &stage{speed: speed}
	if f.speed != 0 {
		st.speed = f.speed
	}
	breakIt := f.arrange(t, st)
	// What is unusual at a start must be over, and the rates must have something to
	// look back at.
	st.after(2 * time.Minute)
	for _, name := range f.fires {
		if a := st.prom.firing(name); a != nil {
			t.Errorf("%s fires before anything is wrong: %+v", name, a)
		}
	}
	broken := time.Now()
	mend := sync.OnceFunc(breakIt())
	t.Cleanup(mend)
	f.each(st, "fires", func(name string) bool {
		fired := st.prom.firing(name)
		if fired != nil {
			results.fired(name, f, st.speed, time.Since(broken))
			fired.check(t)
		}
		return fired != nil
	})
	mend()
	mended := time.Now()
	f.each(st, "ends", func(name string) bool {
		ended := st.prom.firing(name) == nil
		if ended {
			results.ended(name, f, time.Since(mended))
		}
		return ended
	})
	seen := st.prom.states()
	t.Logf("seen: %s", strings.Join(seen, ", "))
	for _, s := range seen {
		if name, fired := strings.CutSuffix(s, " firing"); f.alone && fired && !slices.Contains(f.fires, name) {
			t.Errorf("%s fires, though nobody notices anything", name)
		}
	}
	if t.Failed() && st.server != nil {
		t.Logf("the server's log:\n\t%s", lines(st.server.Log.Text()))
	}
}

// each waits until something has been found of every alert.
func (f fault) each(st *stage, what string, found func(name string) bool) {
	left := slices.Clone(f.fires)
	st.prom.await(fmt.Sprintf("each of %v %s", f.fires, what), func() bool {
		left = slices.DeleteFunc(left, found)
		return len(left) == 0
	})
}

// check looks at what the one who is woken reads.
func (a *alert) check(t *testing.T) {
	t.Helper()
	said := a.Annotations["description"]
	for what, wrong := range map[string]bool{
		"no severity":                   a.Labels["severity"] == "",
		"no job":                        a.Labels["job"] == "" && strings.Contains(said, "of  "),
		"no summary":                    a.Annotations["summary"] == "",
		"a value that is missing":       strings.Contains(said, "<no value>") || strings.Contains(said, "NaN") || strings.Contains(said, "Inf"),
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

// unprovable are alerts that no fault from outside makes fire, with the reason. Their
// cases in deploy/prometheus/chowk.test.yml are all there is.
var unprovable = map[string]string{
	// The hub appends only the next number to a channel, and the log is read only up to
	// a hole: rows that are lost stop the channel, which ChowkCanaryFailing tells. That
	// the canary notices is tested in internal/canary, with a false server.
	"ChowkOutOfOrder": "the server tells nothing beyond a hole",
	// No code outside of the store can have a connection, and no unit of work calls
	// anybody. That a write is noticed is tested in internal/store, with a unit of work
	// that only tests have.
	"ChowkHeldAcrossWrite": "no unit of work can write to a socket",
}

// TestNoAlertIsForgotten: each has a fault here, or a reason, and the runbook's table
// says which.
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

// results are what the faults took, for the table in docs/runbook.
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
		fmt.Fprintf(&b, "| [%s](%s.md) | %s | %s | %s | x %d |\n", a.alert, a.alert, a.what, real(a.fire), real(a.end), a.speed)
	}
	return os.WriteFile(path, []byte(b.String()), 0o600)
}
