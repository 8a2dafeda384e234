package bench

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"runtime"
	"sync"
	"time"

	"github.com/chowk-chat/chowk/internal/bench/report"
)

// Options are how a plan is executed.
type Options struct {
	// Processes is the number of processes that share the sockets; 0 derives it from the
	// limit on open files. Command runs one of them, which calls Serve.
	Processes int
	Command   []string
	// Ops is the server's operations listener, whose metrics are read; "" for none.
	Ops string
	// Print is called with messages before and after the load.
	Print func(text string)
	// OnProgress is called a few times per second; nil for never.
	OnProgress func(Now)
	// Keep leaves the created channels as they are; otherwise they are archived.
	Keep bool
}

// Now is the current state of a run.
type Now struct {
	Scenario, Phase string
	Elapsed, Whole  time.Duration
	Point           report.Point
}

// Bounds of the workers of a run.
const (
	maxProcesses   = 64
	ownDescriptors = 100   // of a process, for everything except sockets
	portsPerSource = 5_000 // that the kernel finds quickly, of the 28,000 of an address
	endTimeout     = 30 * time.Second
	progressEvery  = 250 * time.Millisecond
)

// Run executes a plan. When ctx ends, it ends early and returns what it has.
func Run(ctx context.Context, p Plan, o Options) (*report.Report, error) {
	if p.Run == "" {
		var b [3]byte
		rand.Read(b[:])
		p.Run = hex.EncodeToString(b[:])
	}
	if err := p.complete(); err != nil {
		return nil, err
	}
	if err := p.allocate(&o); err != nil {
		return nil, err
	}
	scene := scenarios[p.Scenario]
	var watched *resources
	if o.Ops != "" {
		watched = &resources{url: o.Ops}
		if err := watched.poll(ctx); err != nil {
			return nil, err
		}
	}
	if scene.needsChannels {
		mine := len(p.Channels) == 0
		made, err := p.setUp(ctx)
		if err != nil {
			return nil, err
		}
		o.print(made)
		if mine && !o.Keep {
			defer func() {
				end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
				defer cancel()
				if err := p.tidyUp(end); err != nil {
					o.print(err.Error())
				}
			}()
		}
	}
	return p.execute(ctx, scene, o, watched)
}

func (o *Options) print(text string) {
	if o.Print != nil {
		o.Print(text)
	}
}

// allocate determines the processes and source addresses that the sockets need.
func (p *Plan) allocate(o *Options) error {
	limit := descriptors()
	if o.Processes == 0 {
		o.Processes = 1
		if each := limit - ownDescriptors; limit > 0 && p.Sockets > each {
			if each < 1 {
				return fmt.Errorf("the limit on open files is %d: raise it (ulimit -n)", limit)
			}
			o.Processes = (p.Sockets + each - 1) / each
		}
	}
	if o.Processes < 1 || o.Processes > min(maxProcesses, p.Sockets) {
		return fmt.Errorf("--processes would be %d, but must be from 1 to %d and at most the number of sockets", o.Processes,
			maxProcesses)
	}
	u, err := url.Parse(p.URL)
	if err != nil {
		return err
	}
	target := net.ParseIP(u.Hostname())
	if len(p.Sources) > 0 || p.Sockets <= portsPerSource || target == nil || !target.IsLoopback() || target.To4() == nil {
		return nil
	}
	for i := range (p.Sockets + portsPerSource - 1) / portsPerSource {
		p.Sources = append(p.Sources, fmt.Sprintf("127.0.0.%d", i+2))
	}
	return nil
}

// startWorkers starts the workers.
func (p *Plan) startWorkers(o *Options, emit func(Tick)) (workers []worker, err error) {
	if o.Processes == 1 {
		return []worker{newLocalWorker(p.share(0, 1), emit)}, nil
	}
	for i := range o.Processes {
		h, err := startProcess(o.Command, p.share(i, o.Processes), emit)
		if h != nil {
			workers = append(workers, h)
		}
		if err != nil {
			return nil, errors.Join(err, everyWorker(workers, worker.close))
		}
	}
	return workers, nil
}

func (p *Plan) execute(ctx context.Context, scene scenario, o Options, watched *resources) (*report.Report, error) {
	p.Start = time.Now()
	collector := newCollector(p, scene)
	workers, err := p.startWorkers(&o, collector.add)
	if err != nil {
		return nil, err
	}
	var background sync.WaitGroup
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	if watched != nil {
		background.Go(func() { watched.watch(watching) }) // ends with the run
	}
	if o.OnProgress != nil {
		background.Go(func() { collector.show(watching, o.OnProgress) }) // ends with the run
	}
	var errs []error
	for n, ph := range scene.phases {
		if ctx.Err() != nil {
			break
		}
		collector.begin(ph.name)
		if errs = append(errs, everyWorker(workers, func(h worker) error { return h.do(ctx, n) })); errors.Join(
			errs...) != nil {
			break
		}
		collector.finish(ph.name)
		if n == 0 && watched != nil {
			watched.opened(ctx)
		}
	}
	stop()
	background.Wait()
	if watched != nil {
		errs = append(errs, watched.poll(context.WithoutCancel(ctx)))
	}
	errs = append(errs, everyWorker(workers, worker.close))
	r := collector.report(ctx.Err() != nil, o.Processes)
	if watched != nil {
		r.Server = watched.report(collector.most)
	}
	return r, errors.Join(errs...)
}

// machine describes where the load came from.
func machine() string {
	return fmt.Sprintf("load from %s/%s with %d processors, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(),
		runtime.Version())
}
