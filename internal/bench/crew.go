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

// hand carries out phases with a share of the sockets: here, or in a process of
// its own.
type hand interface {
	// do carries out the nth phase; it ends soon after ctx does.
	do(ctx context.Context, n int) error
	// close ends its connections.
	close() error
}

// order is what a worker's process is told, answer what it tells.
type (
	order struct {
		Plan  *Plan `json:",omitempty"` // first of all
		Phase int
		End   bool // of the phase under way
	}
	answer struct {
		Tick *Tick `json:",omitempty"`
		Done bool
	}
)

// Serve is a worker's process: it takes orders from in, and answers on out, until
// in ends.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	orders := json.NewDecoder(bufio.NewReader(in))
	var first order
	if err := orders.Decode(&first); err != nil || first.Plan == nil {
		return errors.Join(errors.New("a worker is started by chowk bench itself, which tells it what to do"), err)
	}
	var mu sync.Mutex // guards out
	answers := json.NewEncoder(out)
	say := func(a answer) {
		mu.Lock()
		defer mu.Unlock()
		_ = answers.Encode(a) // whoever started us is gone: in ends as well
	}
	w := newWorker(*first.Plan, func(t Tick) { say(answer{Tick: &t}) })
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
			_ = w.do(phaseCtx, o.Phase) // here it has no error
			say(answer{Done: true})
		})
	}
}

// process is a hand in a process of its own.
type process struct {
	cmd    *exec.Cmd
	orders io.WriteCloser
	mu     sync.Mutex // guards orders
	done   chan struct{}
	ended  chan struct{} // closed when it answers no more
}

// startProcess starts command, which calls Serve, with its share of the plan.
func startProcess(command []string, p Plan, tell func(Tick)) (*process, error) {
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
		return nil, fmt.Errorf("start a process for sockets: %w", err)
	}
	h := &process{cmd: cmd, orders: orders, done: make(chan struct{}), ended: make(chan struct{})}
	go func() { // ends when the process does
		defer close(h.ended)
		from := json.NewDecoder(bufio.NewReader(answers))
		for {
			var a answer
			if from.Decode(&a) != nil {
				return
			}
			if a.Tick != nil {
				tell(*a.Tick)
			}
			if a.Done {
				h.done <- struct{}{}
			}
		}
	}()
	return h, h.order(order{Plan: &p})
}

func (h *process) order(o order) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := json.NewEncoder(h.orders).Encode(o); err != nil {
		return fmt.Errorf("tell a process what to do: %w", err)
	}
	return nil
}

var errProcess = errors.New("a process with a share of the sockets ended before its time")

func (h *process) do(ctx context.Context, n int) error {
	if err := h.order(order{Phase: n}); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = h.order(order{End: true}) }) // it is gone: ended tells
	defer stop()
	select {
	case <-h.done:
		return nil
	case <-h.ended:
		return errProcess
	}
}

// patience is how long a process may take to end.
const patience = 20 * time.Second

func (h *process) close() error {
	h.mu.Lock()
	err := h.orders.Close()
	h.mu.Unlock()
	late := time.AfterFunc(patience, func() { _ = h.cmd.Process.Kill() })
	defer late.Stop()
	<-h.ended
	return errors.Join(err, h.cmd.Wait())
}

// everyHand does something with all hands at once.
func everyHand(hands []hand, f func(hand) error) error {
	errs := make([]error, len(hands))
	var all sync.WaitGroup
	for i, h := range hands {
		all.Go(func() { errs[i] = f(h) }) // ends when f does
	}
	all.Wait()
	return errors.Join(errs...)
}
