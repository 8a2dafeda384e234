package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// worker executes phases with a share of the sockets, in this process or in another
// one.
type worker interface {
	// do executes the nth phase; it returns soon after ctx ends.
	do(ctx context.Context, n int) error
	// close closes all connections.
	close() error
}

// order is sent to a worker's process, answer comes back.
type (
	order struct {
		Plan  *Plan `json:",omitempty"` // in the first order
		Phase int
		End   bool // of the running phase
	}
	answer struct {
		Tick *Tick `json:",omitempty"`
		Done bool
	}
)

// Serve is the main function of a worker's process: it executes the orders from in and
// writes answers to out, until in ends.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	orders := json.NewDecoder(bufio.NewReader(in))
	var first order
	if err := orders.Decode(&first); err != nil || first.Plan == nil {
		return errors.Join(errors.New("chowk bench starts its workers by itself: use one of the other commands"), err)
	}
	var mu sync.Mutex // guards out
	answers := json.NewEncoder(out)
	say := func(a answer) {
		mu.Lock()
		defer mu.Unlock()
		_ = answers.Encode(a) // if the parent is gone, in ends as well
	}
	w := newLocalWorker(*first.Plan, func(t Tick) { say(answer{Tick: &t}) })
	defer w.close()
	var phase sync.WaitGroup
	defer phase.Wait()
	end := func() {}
	defer func() { end() }()
	for {
		var o order
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read orders: %w", err)
		}
		end()
		phase.Wait()
		if o.End {
			continue
		}
		phaseCtx, cancel := context.WithCancel(ctx)
		end = cancel
		phase.Go(func() { // ends with its phase
			_ = w.do(phaseCtx, o.Phase) // a local worker returns no error
			say(answer{Done: true})
		})
	}
}

// process is a worker in a process of its own.
type process struct {
	cmd    *exec.Cmd
	orders io.WriteCloser
	mu     sync.Mutex // guards orders
	done   chan struct{}
	ended  chan struct{} // closed when there are no more answers
}

// startProcess runs a command that calls Serve, with its share of the plan.
func startProcess(command []string, plan Plan, emit func(Tick)) (*process, error) {
	cmd := exec.Command(command[0], command[1:]...) //nolint:gosec,noctx // it is this program; it ends when its orders do
	cmd.Stderr = os.Stderr
	orders, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	answers, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a worker's process: %w", err)
	}
	p := &process{cmd: cmd, orders: orders, done: make(chan struct{}), ended: make(chan struct{})}
	go func() { // ends when the process does
		defer close(p.ended)
		from := json.NewDecoder(bufio.NewReader(answers))
		for {
			var a answer
			if from.Decode(&a) != nil {
				return
			}
			if a.Tick != nil {
				emit(*a.Tick)
			}
			if a.Done {
				p.done <- struct{}{}
			}
		}
	}()
	return p, p.order(order{Plan: &plan})
}

func (p *process) order(o order) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := json.NewEncoder(p.orders).Encode(o); err != nil {
		return fmt.Errorf("send an order to a worker's process: %w", err)
	}
	return nil
}

var errProcess = errors.New("a worker's process ended early")

func (p *process) do(ctx context.Context, n int) error {
	if err := p.order(order{Phase: n}); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = p.order(order{End: true}) }) // if it has ended, ended is closed
	defer stop()
	select {
	case <-p.done:
		return nil
	case <-p.ended:
		return errProcess
	}
}

// exitTimeout bounds how long a process may take to exit.
const exitTimeout = 20 * time.Second

func (p *process) close() error {
	p.mu.Lock()
	err := p.orders.Close()
	p.mu.Unlock()
	late := time.AfterFunc(exitTimeout, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	<-p.ended
	return errors.Join(err, p.cmd.Wait())
}

// everyWorker calls f for all workers at once.
func everyWorker(workers []worker, f func(worker) error) error {
	errs := make([]error, len(workers))
	var all sync.WaitGroup
	for i, h := range workers {
		all.Go(func() { errs[i] = f(h) }) // ends when f does
	}
	all.Wait()
	return errors.Join(errs...)
}
