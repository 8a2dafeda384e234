//go:build !windows

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/async"
)

const (
	quietOnes  = 200 // users who obey refusals
	quietRate  = 400 // messages per second of all of them
	floodOf    = 50  // sockets of the user who does not: limits.sockets-per-user
	floodAhead = 64  // messages that each of them sends without waiting for an answer
)

// fairness lets one user send as fast as they can, over as many sockets as they may
// have, into a channel shared with one of the others. This user ignores every refusal,
// and reconnects after being disconnected.
func (b *bench) fairness(ctx context.Context, r *result) error {
	url, err := b.database("postgres")
	if err != nil {
		return err
	}
	s, err := b.serve(ctx, url) // all limits have their defaults
	if err != nil {
		return err
	}
	defer func() { _ = s.Stop() }()
	others, err := newSenderGroup(ctx, s.url, "quiet", quietOnes)
	if err != nil {
		return err
	}
	defer others.close()
	f, err := newFlood(ctx, s.url)
	if err != nil {
		return err
	}
	machine := b.foreign(s)
	talking, quiet := context.WithCancel(ctx)
	defer quiet()
	talked := make(chan error, 1)
	begin := time.Now()
	go func() { talked <- others.sendAt(talking, quietRate) }() // ends with quiet
	async.Sleep(ctx, calm)
	flooding := time.Now()
	cpu := s.cpu()
	stop, err := f.begin()
	if err != nil {
		return err
	}
	async.Sleep(ctx, calm)
	over := time.Now()
	used := s.cpu() - cpu
	n, theirs, err := stop()
	if err != nil {
		return err
	}
	quiet()
	if err := <-talked; err != nil {
		return err
	}
	if err := others.settle(ctx); err != nil {
		return err
	}
	r.Foreign = max(0, machine.percent()-theirs/time.Since(machine.at).Seconds()*100)
	all := others.messages(begin)
	alone, beside := span(all, begin, flooding), span(all, flooding.Add(time.Second), over)
	r.figure("the others alone: acknowledged per second", alone.perSecond, "")
	r.figure("  p50", alone.p50, "ms")
	r.figure("  p99", alone.p99, "ms")
	r.figure("during the flood: acknowledged per second", beside.perSecond, "")
	r.figure("  p50", beside.p50, "ms")
	r.figure("  p99", beside.p99, "ms")
	r.figure("  refused", float64(beside.refused), "")
	seconds := over.Sub(flooding).Seconds()
	r.figure("the flood: sent per second", float64(n.Sent)/seconds, "")
	r.figure("  acknowledged per second", float64(n.Acked)/seconds, "")
	r.figure("  refused per second", float64(n.Refused)/seconds, "")
	r.figure("  disconnected", float64(n.Ended), "times")
	r.figure("  not admitted", float64(n.Closed), "times")
	r.figure("CPU of the server during the flood", used/seconds*100, "% of a CPU")
	due := beside.perSecond*over.Sub(flooding.Add(time.Second)).Seconds() + float64(beside.refused)
	r.mark("the others' messages that were not acknowledged in time during the flood, %",
		float64(beside.refused)/max(due, 1)*100, 1)
	r.mark("p99 of the others during the flood, ms", beside.p99, max(2*alone.p99, 20))
	_, _, err = verify(ctx, url, others.messages(begin))
	return err
}

// flood is the user who ignores refusals. It is a process with a low priority, because
// the flooder's own performance does not matter.
type flood struct {
	URL     string
	User    chat.UserID
	Channel chat.ID

	sent, acked, refused, ended, closed atomic.Int64
}

// floodCounts is what it has counted.
type floodCounts struct{ Sent, Acked, Refused, Ended, Closed int64 }

// begin starts the process; stop ends it, and returns what it has counted and the CPU
// time that it used.
func (f *flood) begin() (stop func() (floodCounts, float64, error), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	order, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, flooder, string(order)) //nolint:gosec,noctx // this program; it ends when its input does
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() (n floodCounts, cpu float64, err error) {
		if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
			return n, 0, err
		}
		state := cmd.ProcessState
		return n, (state.UserTime() + state.SystemTime()).Seconds(), json.Unmarshal(out.Bytes(), &n)
	}, nil
}

// flooder as the first argument makes this program that process.
const flooder = "flooder"

func serveFlood(order string) {
	f := &flood{}
	if err := json.Unmarshal([]byte(order), f); err != nil {
		fmt.Fprintln(os.Stderr, "benchops: flood:", err)
		os.Exit(1)
	}
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, 19)
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { f.run(ctx) }) // ends with stop
	_, _ = io.Copy(io.Discard, os.Stdin)
	stop()
	all.Wait()
	_ = json.NewEncoder(os.Stdout).
		Encode(floodCounts{f.sent.Load(), f.acked.Load(), f.refused.Load(), f.ended.Load(), f.closed.Load()})
}

func newFlood(ctx context.Context, url string) (*flood, error) {
	f := &flood{URL: url, User: "flood"}
	if err := rest(ctx, url, f.User, "GET", "/channels/", nil, nil); err != nil { // creates the user
		return nil, err
	}
	var err error
	f.Channel, err = makeChannel(ctx, url, []chat.UserID{f.User, chat.UserID("quiet-" + strconv.Itoa(0))})
	return f, err
}

func (f *flood) run(ctx context.Context) {
	var all sync.WaitGroup
	for range floodOf {
		all.Go(func() { // ends with ctx
			for ctx.Err() == nil {
				f.one(ctx)
			}
		})
	}
	all.Wait()
}

// one is one of the sockets, until it is closed.
func (f *flood) one(ctx context.Context) {
	t, err := dial(ctx, f.URL, f.User, f.Channel)
	if err != nil {
		f.closed.Add(1)
		async.Sleep(ctx, 10*time.Millisecond)
		return
	}
	defer t.close()
	counted := 0
	for ctx.Err() == nil {
		waiting, err := t.send(time.Now())
		if err != nil {
			f.ended.Add(1)
			break
		}
		f.sent.Add(1)
		if waiting >= floodAhead {
			select {
			case <-t.answered:
			case <-ctx.Done():
			}
		}
		counted = f.count(t, counted)
	}
	f.count(t, counted)
}

// count counts the answers since the last time.
func (f *flood) count(t *sender, from int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	for ; from < t.next; from++ {
		if t.sent[from].outcome == acked {
			f.acked.Add(1)
		} else {
			f.refused.Add(1)
		}
	}
	return from
}
