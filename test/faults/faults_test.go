// Package faults breaks the server, its database and the network while clients send
// and receive, and proves with internal/history that nothing was lost, repeated,
// reordered or delivered to the wrong users.
package faults

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/internal/history"
	"github.com/chowk-chat/chowk/internal/testkit/faultresult"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// fault breaks something and repairs it, then returns.
type fault struct {
	name string
	only string // a kind of database; "" for both
	do   func(w *world, r *rand.Rand)
}

// between returns a random duration.
func between(r *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(r.Int64N(int64(to-from)))
}

func pause(r *rand.Rand, from, to time.Duration) { time.Sleep(between(r, from, to)) }

func (w *world) postgres() *pgtest.Server { return w.db.(postgres).server }

var faults = []fault{
	{"nothing", "", func(_ *world, r *rand.Rand) { pause(r, time.Second, 2*time.Second) }},
	{"server killed (-9)", "", func(w *world, r *rand.Rand) {
		w.server.kill()
		pause(r, 0, time.Second)
		w.server.start()
	}},
	{"server stopped (drain)", "", func(w *world, _ *rand.Rand) {
		w.server.stop()
		w.server.start()
	}},
	{"PostgreSQL killed (-9)", "postgres", func(w *world, r *rand.Rand) {
		w.postgres().Kill()
		pause(r, 0, 2*time.Second)
		w.postgres().Start()
	}},
	{"PostgreSQL restarted", "postgres", func(w *world, r *rand.Rand) {
		w.postgres().Stop()
		pause(r, 0, time.Second)
		w.postgres().Start()
	}},
	{"PostgreSQL frozen", "postgres", func(w *world, r *rand.Rand) {
		w.postgres().Pause()
		pause(r, 500*time.Millisecond, 8*time.Second)
		w.postgres().Continue()
	}},
	{"database connections cut", "postgres", func(w *world, r *rand.Rand) {
		for range 1 + r.IntN(5) {
			err := w.postgres().Exec("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '"+
				w.db.(postgres).name+"'")
			if err != nil {
				w.t.Errorf("cut connections: %v", err)
			}
			pause(r, 0, 200*time.Millisecond)
		}
	}},
	{"connections cut in mid-frame", "", func(w *world, r *rand.Rand) {
		for range 5 {
			for _, l := range w.proxy.Some(r, 0.3) {
				l.Cut()
			}
			pause(r, 0, 300*time.Millisecond)
		}
	}},
	{"network slow, 0 to 200 ms", "", func(w *world, r *rand.Rand) {
		w.proxy.Delay(200 * time.Millisecond)
		pause(r, time.Second, 3*time.Second)
		w.proxy.Delay(0)
	}},
	{"clients vanish half-open", "", func(w *world, r *rand.Rand) {
		for _, l := range w.proxy.Some(r, 0.3) {
			l.Silence()
		}
		pause(r, 2*time.Second, 4*time.Second)
	}},
	{"reconnect storm", "", func(w *world, r *rand.Rand) {
		w.proxy.Reset()
		pause(r, 500*time.Millisecond, time.Second)
	}},
	{"another epoch", "", func(w *world, _ *rand.Rand) {
		w.server.kill()
		w.db.forgetEpoch(w.t)
		w.server.start()
	}},
	{"clock 1 h ahead", "", undisturbed(func(w *world, r *rand.Rand) {
		w.server.setClock(3600)
		pause(r, 2*time.Second, 4*time.Second)
		w.server.setClock(0)
	})},
	{"clock 1 h back", "", undisturbed(func(w *world, r *rand.Rand) {
		w.server.setClock(-3600)
		pause(r, 2*time.Second, 4*time.Second)
		w.server.setClock(0)
	})},
	{"clock a second to and fro", "", undisturbed(func(w *world, r *rand.Rand) {
		for range 10 {
			w.server.setClock(-1)
			pause(r, 0, 200*time.Millisecond)
			w.server.setClock(1)
			pause(r, 0, 200*time.Millisecond)
		}
		w.server.setClock(0)
	})},
	{"clock a second back and forth", "", func(w *world, r *rand.Rand) {
		var some []*person
		for _, p := range w.people {
			if r.IntN(3) == 0 {
				some = append(some, p)
				p.paused.Store(true)
			}
		}
		pause(r, time.Second, 4*time.Second)
		for _, p := range some {
			p.paused.Store(false)
		}
	}},
}

// undisturbed is a fault that clients must not notice: sockets stay, and messages are
// acknowledged meanwhile. (A busy machine makes a few clients reconnect.)
func undisturbed(do func(w *world, r *rand.Rand)) func(w *world, r *rand.Rand) {
	return func(w *world, r *rand.Rand) {
		connected, acked := w.connected.Load(), w.acked.Load()
		do(w, r)
		if !w.alone {
			return // others are still coming back from the previous fault
		}
		if n := w.connected.Load() - connected; n > int64(len(w.people)/5) {
			w.t.Errorf("%d of %d clients had to reconnect", n, len(w.people))
		}
		if w.acked.Load() == acked {
			w.t.Error("nothing was acknowledged during the fault")
		}
	}
}

// short is what plain go test runs: all faults mixed, on both databases.
var short = size{
	users: 40, channels: 20, members: 6, think: 30 * time.Millisecond, time: 12 * time.Second,
	quiet: 500 * time.Millisecond,
}

// long is what make test-faults runs, for each fault.
var long = size{
	users: 200, channels: 100, members: 4, think: 25 * time.Millisecond, time: 35 * time.Second,
	quiet: time.Second,
}

// seed returns the seed of a run: the same seed makes the same choices.
func seed(t *testing.T, name string) uint64 {
	t.Helper()
	base := uint64(time.Now().UnixNano())
	if s := os.Getenv("CHOWK_FAULTS_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("CHOWK_FAULTS_SEED: %v", err)
		}
		base = n
	}
	t.Logf("to make the same choices again: CHOWK_FAULTS_SEED=%d", base)
	for _, c := range name {
		base = base*31 + uint64(c)
	}
	return base
}

// isLong reports whether the long form is wanted, and the length of each run.
func isLong(t *testing.T) bool {
	t.Helper()
	s := os.Getenv("CHOWK_FAULTS_TIME")
	if s == "" {
		return false
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatalf("CHOWK_FAULTS_TIME: %v", err)
	}
	long.time = d
	return true
}

// TestFaults injects one fault after another while users act, and proves that nothing
// was lost. The short form mixes all faults. With CHOWK_FAULTS_TIME, the length of a
// run, each fault has a run of its own, and the mixture one of twice the length.
func TestFaults(t *testing.T) {
	z, alone := short, false
	if isLong(t) {
		z, alone = long, true
	}
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			if !alone {
				t.Parallel()
			}
			open := opener(t, kind)
			var fit []fault
			for _, f := range faults {
				if f.only == "" || f.only == kind {
					fit = append(fit, f)
				}
			}
			if !alone {
				play(t, kind, "all, at random", fit, z, open(t))
				return
			}
			for _, f := range fit {
				t.Run(strings.ReplaceAll(f.name, " ", "-"), func(t *testing.T) { play(t, kind, f.name, []fault{f}, z, open(t)) })
			}
			t.Run("mixed", func(t *testing.T) {
				z := z
				z.time *= 2
				play(t, kind, "all, at random", fit, z, open(t))
			})
		})
	}
}

// TestTheDiskIsFull: while the disk is full nothing is acknowledged, and what was
// acknowledged is kept; when there is space again, the server goes on by itself.
func TestTheDiskIsFull(t *testing.T) {
	z := short
	if isLong(t) {
		z = long
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=192m", "none", dir).CombinedOutput(); err != nil {
		t.Skipf("a small disk cannot be mounted here: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	full := fault{"disk full", "sqlite", func(w *world, r *rand.Rand) {
		ballast := filepath.Join(dir, "ballast")
		f, err := os.Create(ballast)
		if err != nil {
			t.Error(err)
			return
		}
		for piece := make([]byte, 64<<10); len(piece) > 0; {
			if _, err := f.Write(piece); err != nil {
				piece = piece[:len(piece)/2] // to the last byte
			}
		}
		_ = f.Close()
		pause(r, time.Second, 3*time.Second)
		if err := os.Remove(ballast); err != nil {
			t.Error(err)
		}
	}}
	play(t, "sqlite", full.name, []fault{full}, z, sqliteFile{filepath.Join(dir, "chowk.db")})
}

// opener returns an empty database for each run.
func opener(t *testing.T, kind string) func(t *testing.T) database {
	if kind == "sqlite" {
		return func(t *testing.T) database { return sqliteFile{filepath.Join(t.TempDir(), "chowk.db")} }
	}
	pg := pgtest.Start(t)
	return func(t *testing.T) database { return newPostgres(t, pg) }
}

// play is one run.
func play(t *testing.T, kind, name string, fit []fault, z size, db database) {
	playOn(t, nil, kind, name, fit, z, db)
}

func playOn(t *testing.T, c *cable, kind, name string, fit []fault, z size, db database) {
	w := newWorld(t, c, z, seed(t, t.Name()), db)
	w.alone = len(fit) == 1
	r := rand.New(rand.NewPCG(w.seed, 1<<41))
	w.start()
	broken := 0
	for until := time.Now().Add(z.time); time.Now().Before(until) && !t.Failed(); broken++ {
		pause(r, z.quiet, 3*z.quiet)
		f := fit[r.IntN(len(fit))]
		w.marks.Add(history.Record{Kind: history.FaultBegins}, [16]byte{})
		f.do(w, r)
		w.marks.Add(history.Record{Kind: history.FaultEnds}, [16]byte{})
	}
	pause(r, time.Second, 2*time.Second)
	report := w.finish()
	result := faultresult.Of(report)
	result.Database, result.Fault, result.Seed, result.Clients, result.Load, result.Times = kind, name, w.seed,
		len(w.people), z.time, broken
	so, err := results.add(result)
	if err != nil {
		t.Error(err)
	}
	t.Logf("%s, %s, %d times:\n%v%d messages acknowledged in all runs so far, in %v", kind, name, broken, report, so,
		time.Since(results.start).Round(time.Second))
	if report.Messages == 0 {
		t.Error("nothing was acknowledged")
	}
}

// results are those of the runs so far.
var results gathered

type gathered struct {
	start time.Time

	mu  sync.Mutex // guards what follows
	all []faultresult.Result
}

// add records a result, also in the file CHOWK_FAULTS_RESULTS, and returns how many
// messages were acknowledged so far.
func (g *gathered) add(r faultresult.Result) (messages int, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all = append(g.all, r)
	if file := os.Getenv("CHOWK_FAULTS_RESULTS"); file != "" {
		err = r.Append(file)
	}
	for _, r := range g.all {
		messages += r.Messages
	}
	return messages, err
}

func (g *gathered) print() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.all) > 0 {
		_, _ = faultresult.Table(os.Stdout, g.all)
	}
}
