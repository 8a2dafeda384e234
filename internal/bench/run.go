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

// Options are how a plan is carried out.
type Options struct {
	// Processes are how many share the sockets; 0 is as many as the limit on open
	// files asks for. Command starts one that calls Serve.
	Processes int
	Command   []string
	// Ops is the server's operations listener, whose metrics are read; "" is none.
	Ops string
	// Say is told, in words, what happens before and after the load.
	Say func(text string)
	// See is told now and then how it goes; nil is not at all.
	See func(Now)
	// Keep leaves the channels that were made as they are; else they are archived.
	Keep bool
}

// Now is how a run goes.
type Now struct {
	Scenario, Phase string
	Elapsed, Whole  time.Duration
	Point           report.Point
}

// Bounds on the hands of a run.
const (
	maxProcesses   = 64
	ownDescriptors = 100   // of a process, for what is not a socket
	portsPerSource = 5_000 // that the kernel finds quickly, of the 28,000 of an address
	endTimeout     = 30 * time.Second
	seeEvery       = 250 * time.Millisecond
)

// Run carries out a plan. When ctx ends it ends early, with what it has.
func Run(ctx context.Context, p Plan, o Options) (*report.Report, error) {
	if p.Run == "" {
		var b [3]byte
		rand.Read(b[:])
		p.Run = hex.EncodeToString(b[:])
	}
	if err := p.complete(); err != nil {
		return nil, err
	}
	if err := p.spread(&o); err != nil {
		return nil, err
	}
	scene := scenarios[p.Scenario]
	var watched *resources
	if o.Ops != "" {
		watched = &resources{url: o.Ops}
		if err := watched.look(ctx); err != nil {
			return nil, err
		}
	}
	if scene.talks {
		mine := len(p.Channels) == 0
		made, err := p.setUp(ctx)
		if err != nil {
			return nil, err
		}
		o.say(made)
		if mine && !o.Keep {
			defer func() {
				end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
				defer cancel()
				if err := p.tidyUp(end); err != nil {
					o.say(err.Error())
				}
			}()
		}
	}
	return p.carryOut(ctx, scene, o, watched)
}

func (o *Options) say(text string) {
	if o.Say != nil {
		o.Say(text)
	}
}

// spread finds the processes and source addresses that so many sockets need.
func (p *Plan) spread(o *Options) error {
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
		return fmt.Errorf("--processes would be %d, but must be from 1 to %d and at most the number of sockets", o.Processes, maxProcesses)
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

// workers starts the hands.
func (p *Plan) workers(o *Options, tell func(Tick)) (hands []hand, err error) {
	if o.Processes == 1 {
		return []hand{newWorker(p.share(0, 1), tell)}, nil
	}
	for i := range o.Processes {
		h, err := startProcess(o.Command, p.share(i, o.Processes), tell)
		if h != nil {
			hands = append(hands, h)
		}
		if err != nil {
			return nil, errors.Join(err, everyHand(hands, hand.close))
		}
	}
	return hands, nil
}

func (p *Plan) carryOut(ctx context.Context, scene scenario, o Options, watched *resources) (*report.Report, error) {
	p.Start = time.Now()
	collector := newBook(p, scene)
	hands, err := p.workers(&o, collector.add)
	if err != nil {
		return nil, err
	}
	var beside sync.WaitGroup
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	if watched != nil {
		beside.Go(func() { watched.watch(watching) }) // ends with the run
	}
	if o.See != nil {
		beside.Go(func() { collector.show(watching, o.See) }) // ends with the run
	}
	var errs []error
	for n, ph := range scene.phases {
		if ctx.Err() != nil {
			break
		}
		collector.begin(ph.name)
		if errs = append(errs, everyHand(hands, func(h hand) error { return h.do(ctx, n) })); errors.Join(errs...) != nil {
			break
		}
		collector.finish(ph.name)
		if n == 0 && watched != nil {
			watched.opened(ctx)
		}
	}
	stop()
	beside.Wait()
	if watched != nil {
		errs = append(errs, watched.look(context.WithoutCancel(ctx)))
	}
	errs = append(errs, everyHand(hands, hand.close))
	r := collector.report(ctx.Err() != nil, o.Processes)
	if watched != nil {
		r.Server = watched.report(collector.most)
	}
	return r, errors.Join(errs...)
}

// machine is where the load came from.
func machine() string {
	return fmt.Sprintf("load from %s/%s with %d processors, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
}
