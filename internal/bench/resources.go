package bench

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/chowk-chat/chowk/internal/async"
	"github.com/chowk-chat/chowk/internal/bench/report"
)

// resources polls the metrics of the server's operations listener.
type resources struct {
	url string

	mu    sync.Mutex // guards what follows
	first map[string]float64
	last  map[string]float64
	most  map[string]float64
	held  float64 // memory with all sockets open and no load
}

const (
	cpuMetric        = "process_cpu_seconds_total"
	memoryMetric     = "process_resident_memory_bytes"
	goroutinesMetric = "go_goroutines"
	useEvery         = 500 * time.Millisecond
	useTimeout       = 2 * time.Second
)

// watch polls until ctx ends; failed polls are ignored.
func (u *resources) watch(ctx context.Context) {
	for async.Sleep(ctx, useEvery) {
		_ = u.poll(ctx)
	}
}

func (u *resources) poll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, useTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(u.url, "/")+"/metrics", nil)
	if err != nil {
		return err
	}
	r.Close = true // no idle connection that the server would have to wait for
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("read the server's metrics: %w", err)
	}
	defer resp.Body.Close()
	found := make(map[string]float64)
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		switch name {
		case cpuMetric, memoryMetric, goroutinesMetric:
			if v, err := strconv.ParseFloat(value, 64); err == nil {
				found[name] = v
			}
		}
	}
	if len(found) == 0 {
		return fmt.Errorf("read the server's metrics: %s has none of a process", u.url)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.first == nil {
		u.first, u.most = found, make(map[string]float64)
	}
	u.last = found
	for name, v := range found {
		u.most[name] = max(u.most[name], v)
	}
	return nil
}

// opened records the memory when all sockets are open.
func (u *resources) opened(ctx context.Context) {
	if u.poll(ctx) == nil {
		u.mu.Lock()
		u.held = u.last[memoryMetric]
		u.mu.Unlock()
	}
}

func (u *resources) report(sockets int64) *report.Server {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.first == nil {
		return nil
	}
	s := &report.Server{
		CPUSeconds: u.last[cpuMetric] - u.first[cpuMetric], MemoryStart: u.first[memoryMetric],
		MemoryMost: u.most[memoryMetric],
		Goroutines: u.most[goroutinesMetric],
	}
	if grown := u.held - s.MemoryStart; sockets > 0 && grown > 0 {
		s.PerSocket = grown / float64(sockets)
	}
	return s
}
