package client_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/client"
)

// TestWhateverTheNetworkDoes: a server that cuts, repeats, skips and answers late
// is followed exactly.
func TestWhateverTheNetworkDoes(t *testing.T) {
	const n = 300
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			var head atomic.Int64
			f := newFake(t, func(s *talk) {
				(&unreliable{talk: s, random: rand.New(rand.NewPCG(seed, uint64(head.Load()))), head: &head, n: n}).run()
			})
			c := dialFake(t, f, func(o *client.Options) { o.Buffer = 16; o.Backoff.Cap = 5 * time.Millisecond })
			for i := 1; i <= n; i++ {
				expectSeqs(t, c, chat.Seq(i))
			}
		})
	}
}

// unreliable is a server with one channel, whose log grows up to n.
type unreliable struct {
	*talk
	random *rand.Rand
	head   *atomic.Int64
	n      int64
}

func (u *unreliable) run() {
	u.hello("e", int(u.head.Load()))
	heard := make(chan request, 100)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(heard)
		for {
			r, ok := u.hear()
			if !ok {
				return
			}
			heard <- r
		}
	})
	defer reading.Wait()
	defer u.conn.CloseNow()
	var late func() // an answer that is given a few messages later
	pos, in := u.head.Load(), 0
	for {
		if in--; in == 0 {
			late()
		}
		select {
		case r, ok := <-heard:
			if !ok {
				return
			}
			pos, in = r.Data.Cursors[room], 1+u.random.IntN(5)
			late = func() { u.ack(r, `{"status":"resumed","channels":{}}`) }
			continue
		default:
		}
		if pos == u.head.Load() {
			if pos == u.n {
				time.Sleep(time.Millisecond)
				continue
			}
			u.head.Add(1)
		}
		switch u.random.IntN(20) {
		case 0:
			return // cut
		case 1:
			u.say(message(int(max(pos, 1)))) // again
		case 2:
			if in < 0 && pos < u.n-10 { // lost, but not the last: no one would notice
				pos++
			}
		}
		pos++
		if pos > u.head.Load() {
			u.head.Store(pos)
		}
		if !u.say(message(int(pos))) {
			return
		}
	}
}
