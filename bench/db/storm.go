//go:build !windows

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/store"
)

// counter counts statements and connections in use.
type counter struct{ statements atomic.Int64 }

func (*counter) Acquired(string, time.Duration, time.Duration) {}
func (*counter) Refused(string, string)                        {}
func (*counter) HeldLong(string)                               {}
func (*counter) Cancelled(string)                              {}

// Executed counts statements that read rows; it ignores BEGIN and COMMIT.
func (c *counter) Executed(_ string, statements []string, _ time.Duration, _ error) {
	for _, name := range statements {
		if name != "begin" && name != "commit" {
			c.statements.Add(1)
		}
	}
}

// storm lets 20,000 users request their memberships at once.
func (b *bench) storm(ctx context.Context, kind string) error {
	const users = 20_000
	name := kind + "/storm"
	w := newWorld(users, 10_000, 10)
	db, err := b.fresh(ctx, kind, w)
	if err != nil {
		return err
	}
	count := &counter{}
	s, err := store.Open(ctx, store.Options{URL: db.url(), Observer: count})
	if err != nil {
		return err
	}
	watch := newWatch(s)
	count.statements.Store(0)
	before := usageNow(b.postmaster(kind))
	err = requestAll(ctx, s, w)
	after := usageNow(b.postmaster(kind))
	most := watch.stop()
	if err := errors.Join(err, s.Close()); err != nil {
		return err
	}
	m := take(name, "memberships of 20,000 users", users, nil, before, after)
	m.Senders, m.Channels = users, len(w.channels)
	statements := count.statements.Load()
	m.Note = fmt.Sprintf("%d statements, at most %d connections at a time, %.2f s", statements, most,
		after.at.Sub(before.at).Seconds())
	b.add(m)
	b.mark(name+": connections in use", float64(most), false, 10, m)
	b.mark(name+": users per statement", users/float64(statements), true, 100, m)
	return nil
}

// requestAll lets all users request at once, and checks the replies.
func requestAll(ctx context.Context, s *store.Store, w *world) error {
	var asking sync.WaitGroup
	errs := make(chan error, len(w.users))
	for _, u := range w.users {
		asking.Go(func() { // ends when answered
			errs <- oneUser(ctx, s, u, w.each)
		})
	}
	asking.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func oneUser(ctx context.Context, s *store.Store, u chat.UserID, want int) error {
	all, err := s.ChannelStates(ctx, u)
	if err == nil && len(all) != want {
		err = fmt.Errorf("user %s received %d memberships, want %d", u, len(all), want)
	}
	return err
}

// watch polls the pool until stopped.
type watch struct {
	most int
	end  chan struct{}
	done chan struct{}
}

func newWatch(s *store.Store) *watch {
	w := &watch{end: make(chan struct{}), done: make(chan struct{})}
	go func() { // ends with stop
		defer close(w.done)
		for {
			select {
			case <-w.end:
				return
			case <-time.After(200 * time.Microsecond):
				w.most = max(w.most, s.PoolStats().InUse)
			}
		}
	}()
	return w
}

func (w *watch) stop() int {
	close(w.end)
	<-w.done
	return w.most
}
