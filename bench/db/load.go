//go:build !windows

package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/async"
)

// content has 100 bytes, as in the published figures.
var content = func() string {
	text := make([]byte, 100)
	for i := range text {
		text[i] = "chowk "[i%6]
	}
	return string(text)
}()

// sendFunc stores one message and returns when it is durable.
type sendFunc func(ctx context.Context, channel chat.ID, user chat.UserID) error

// load is many senders, each of which waits for its ack.
type load struct {
	world      *world
	senders    int
	postmaster int
	warm, run  time.Duration
	send       sendFunc
	// rate is the number of messages begun per second in total; 0 for as many as possible.
	rate float64
}

// loaded is the result of a load. acks includes those of the warm-up.
type loaded struct {
	acks          int
	counted       int
	refused       int // overloaded, so certainly not stored
	waits         []time.Duration
	acked         []time.Duration
	late          []time.Duration // the delay from when a message was due to when it was begun
	before, after usage
	err           error
}

// do runs the load. With a rate, a latency counts from when the message was due, so
// that stalls count.
func (l load) do(ctx context.Context) loaded {
	var (
		out                 loaded
		mu                  sync.Mutex
		counting, finishing atomic.Bool
		running             sync.WaitGroup
	)
	start := time.Now()
	for s := range l.senders {
		running.Go(func() { // ends when finishing is set
			r := rand.New(rand.NewPCG(uint64(s), 7))
			user, channels := l.world.sender(s)
			acks, counted, refused, due := 0, 0, 0, start.Add(l.interval(r)*time.Duration(s)/time.Duration(l.senders))
			var waits, lates, acked []time.Duration
			var err error
			for !finishing.Load() && err == nil {
				if l.rate > 0 {
					due = due.Add(l.interval(r))
					time.Sleep(time.Until(due))
				} else {
					due = time.Now()
				}
				in, late := counting.Load(), time.Since(due)
				if err = l.send(ctx, channels[r.IntN(len(channels))], user); overloaded(err) {
					refused++
					err = nil
					async.Sleep(ctx, 10*time.Millisecond)
					continue
				} else if err != nil {
					break
				}
				acks++
				if in && counting.Load() {
					counted++
					waits, lates = append(waits, time.Since(due)), append(lates, late)
					acked = append(acked, time.Since(due)-late)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			out.acks, out.counted, out.waits = out.acks+acks, out.counted+counted, append(out.waits, waits...)
			out.late, out.acked = append(out.late, lates...), append(out.acked, acked...)
			out.refused += refused
			if err != nil && out.err == nil {
				out.err = err
			}
		})
	}
	async.Sleep(ctx, l.warm)
	out.before = usageNow(l.postmaster)
	counting.Store(true)
	async.Sleep(ctx, l.run)
	counting.Store(false)
	out.after = usageNow(l.postmaster)
	finishing.Store(true)
	running.Wait()
	return out
}

// interval is the time between two messages of one sender, randomized so that senders
// do not run in step.
func (l load) interval(r *rand.Rand) time.Duration {
	if l.rate == 0 {
		return 0
	}
	return time.Duration(float64(l.senders) / l.rate * float64(time.Second) * (0.5 + r.Float64()))
}

func overloaded(err error) bool {
	var e *chat.Error
	return errors.As(err, &e) && e.Code == chat.Overloaded
}
