//go:build !windows

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/chowk-chat/chowk/bench/internal/usage"
	"github.com/chowk-chat/chowk/internal/async"
	"github.com/chowk-chat/chowk/internal/testkit"
)

// patience bounds every wait; nothing is expected to take this long.
const patience = 60 * time.Second

// server is the server's binary, which can be stopped and started again at the same
// address.
type server struct {
	*testkit.Server
	url, ops string
	ready    time.Time // of the last start
}

// database creates an empty database and returns its URL.
func (b *bench) database(kind string) (string, error) {
	b.count++
	if kind == "sqlite" {
		return "sqlite:" + filepath.Join(b.dir, fmt.Sprintf("db%d.sqlite", b.count)), nil
	}
	return b.pg.Create(fmt.Sprintf("bench_%d", b.count))
}

// serve starts the server on a database. A token is a user id; all settings except the
// given ones have their defaults.
func (b *bench) serve(ctx context.Context, database string, settings ...string) (*server, error) {
	address, err := testkit.Address()
	if err != nil {
		return nil, err
	}
	ops, err := testkit.Address()
	if err != nil {
		return nil, err
	}
	s := &server{url: "http://" + address, ops: "http://" + ops}
	s.Server = testkit.NewServer(testkit.Options{Binary: b.binary, Dir: b.dir, Settings: append([]string{
		"listen=" + address, "ops.listen=" + ops, "auth=none", "log.level=warn", "database-url=" + database,
		"canary.interval=10s",
	}, settings...)})
	return s, s.start(ctx)
}

// generous lifts the limits of a single socket, where a few sockets represent many
// users.
var generous = []string{
	"--limits.commands-per-second=100000", "--limits.commands-burst=1000000",
	"--limits.user-commands-per-second=400000", "--limits.user-commands-burst=4000000",
}

// start starts the server, and waits until it is ready.
func (s *server) start(ctx context.Context) error {
	if err := s.Start(); err != nil {
		return err
	}
	for until := time.Now().Add(patience); time.Now().Before(until); async.Sleep(ctx, 5*time.Millisecond) {
		if code, _ := get(ctx, s.url+"/readyz"); code == http.StatusOK {
			s.ready = time.Now()
			return nil
		}
		select {
		case <-s.Exited():
			return fmt.Errorf("the server ended:\n%s", s.Log.Tail(30))
		default:
		}
	}
	return errors.New("the server is not ready")
}

// cpu returns the CPU time of all the server's processes.
func (s *server) cpu() float64 {
	select {
	case <-s.Exited():
		return s.EndedCPU().Seconds()
	default:
		return s.EndedCPU().Seconds() + usage.Process(s.Pid(), false)
	}
}

// getTimeout bounds a request to the server's health and metrics.
const getTimeout = time.Second

func get(ctx context.Context, url string) (code int, lines []string) {
	ctx, cancel := context.WithTimeout(ctx, getTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil
	}
	r.Close = true
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	for scan := bufio.NewScanner(resp.Body); scan.Scan(); {
		lines = append(lines, scan.Text())
	}
	return resp.StatusCode, lines
}

// numbers returns the server's metrics; nil when it does not answer.
func (s *server) numbers(ctx context.Context) map[string]float64 {
	code, lines := get(ctx, s.ops+"/metrics")
	if code != http.StatusOK {
		return nil
	}
	all := make(map[string]float64)
	for _, line := range lines {
		if i := strings.LastIndexByte(line, ' '); i > 0 && line[0] != '#' {
			if v, err := strconv.ParseFloat(line[i+1:], 64); err == nil {
				all[line[:i]] = v
			}
		}
	}
	return all
}

// watch polls a server until it is stopped.
type watch struct {
	connections, inUse float64 // to the database, the maximum
	memory             float64 // bytes resident, the maximum
	goroutines         float64 // the maximum
	requests, silent   int     // of its health, and how many of them were not answered within a second
	slowest            time.Duration
	notReady           int

	end  context.CancelFunc
	done sync.WaitGroup
}

const watchEvery = 50 * time.Millisecond

func (s *server) watch(ctx context.Context) *watch {
	w := &watch{}
	ctx, w.end = context.WithCancel(ctx)
	w.done.Go(func() { // ends with stop
		for async.Sleep(ctx, watchEvery) {
			n := s.numbers(ctx)
			w.inUse = max(w.inUse, n["chowk_db_pool_in_use"])
			w.connections = max(w.connections, n["chowk_db_pool_in_use"]+n["chowk_db_pool_idle"]+n["chowk_db_pool_opening"]+1)
			w.memory = max(w.memory, n["process_resident_memory_bytes"])
			w.goroutines = max(w.goroutines, n["go_goroutines"])
		}
	})
	w.done.Go(func() { // ends with stop
		for async.Sleep(ctx, 2*watchEvery) {
			start := time.Now()
			code, _ := get(ctx, s.url+"/healthz")
			if ctx.Err() != nil {
				return
			}
			w.requests++
			w.slowest = max(w.slowest, time.Since(start))
			if code != http.StatusOK {
				w.silent++
			}
			if code, _ := get(ctx, s.url+"/readyz"); code != http.StatusOK {
				w.notReady++
			}
		}
	})
	return w
}

func (w *watch) stop() {
	w.end()
	w.done.Wait()
}

// foreign measures the CPU usage of other processes.
type foreign struct {
	b      *bench
	s      []*server
	at     time.Time
	before float64
}

func (b *bench) foreign(s ...*server) *foreign {
	f := &foreign{b: b, s: s, at: time.Now()}
	f.before = f.others()
	return f
}

// others returns the CPU time of all other processes.
func (f *foreign) others() float64 {
	t := usage.Machine() - usage.Own() - usage.Family(f.b.pg.Pid())
	for _, s := range f.s {
		t -= s.cpu()
	}
	return t
}

func (f *foreign) percent() float64 {
	return max(0, (f.others()-f.before)/time.Since(f.at).Seconds()*100)
}
