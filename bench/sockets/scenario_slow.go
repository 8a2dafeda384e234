package main

import (
	"sync/atomic"
	"time"

	"github.com/chowk-chat/chowk/bench/internal/usage"
)

const (
	slowGroup = 250  // sockets in a channel
	slowBytes = 3000 // of content: what a slow reader misses must not fit into the kernel's buffers
	slowPause = 30   // seconds without reading
)

// runSlow makes a tenth of the sockets of every channel stop reading. The others must
// not notice, and the slow ones must receive everything afterwards.
func (b *bench) runSlow() error {
	groupSize = slowGroup
	groups := b.sockets / slowGroup
	return b.onlyChowk(0, func(t *chowk, fl *fleet) error {
		if err := t.prepare(b.sockets, slowGroup); err != nil {
			return err
		}
		socks, err := fl.open(0, b.sockets, 64, func(i int) address {
			a := t.at(i, slowGroup)
			if isSlow(i) {
				a.receive = 16 << 10 // so that the server has to wait, not the client's kernel
			}
			return a
		})
		if err != nil {
			return err
		}
		time.Sleep(2 * time.Second) // a socket that has its connection frame may not be subscribed yet
		warm := track(fl, groups, slowGroup)
		if err := t.load(groups, groups, 50); err != nil {
			return err
		}
		if err := warm.wait(time.Minute); err != nil {
			return err
		}
		perSecond := b.rate / groups * groups // each channel has the same number
		tr := trackOrdered(fl, socks, perSecond*2*slowPause, groups)
		var slow []*sock
		for i, s := range socks {
			if isSlow(i) {
				slow = append(slow, s)
			}
		}
		if err := b.slowParts(t, tr, slow, groups, perSecond); err != nil {
			return err
		}
		return b.slowWoken(tr, socks, slow)
	})
}

func isSlow(i int) bool { return i%10 == 5 }

// slowParts measures while all sockets read, and then while the slow ones do not.
func (b *bench) slowParts(t *chowk, tr *ordered, slow []*sock, groups, perSecond int) error {
	behind, err := t.counter("chowk_hub_fell_behind_total")
	if err != nil {
		return err
	}
	first := 0
	for _, part := range []struct {
		name    string
		seconds int
		stuck   bool
	}{{"all read", slowPause, false}, {"slow ones", slowPause, true}} {
		for _, s := range slow {
			s.stuck.Store(part.stuck)
		}
		count := perSecond * part.seconds
		rss, cpu := usage.AnonymousMemory(t.pid()), usage.Process(t.pid(), false)
		if err := t.loadFrom(groups, first, count, perSecond, slowBytes); err != nil {
			return err
		}
		if err := until(time.Minute, func() bool { return tr.complete(first, count) }); err != nil {
			return err
		}
		now, err := t.counter("chowk_hub_fell_behind_total")
		if err != nil {
			return err
		}
		b.add("slow", t.name()+" "+part.name, value{"p50", tr.quantile(first, count, 0.5), " ms"},
			value{"p99", tr.quantile(first, count, 0.99), " ms"},
			value{"fell behind", now - behind, ""}, value{
				"cpu", (usage.Process(t.pid(), false) - cpu) / float64(part.seconds),
				" cores",
			},
			value{"rss growth", (usage.AnonymousMemory(t.pid()) - rss) / float64(len(slow)) / 1024, " KiB per slow socket"})
		first, behind = first+count, now
	}
	return nil
}

// slowWoken lets the slow sockets read again, and checks what they have received in the
// end.
func (b *bench) slowWoken(tr *ordered, socks, slow []*sock) error {
	start := time.Now()
	for _, s := range slow {
		s.wakeUp()
	}
	err := until(2*time.Minute, func() bool { return tr.missing(slow) == 0 })
	level := time.Since(start).Seconds()
	wrong, closed := 0, 0
	for _, s := range socks {
		if s.wrong.Load() > 0 {
			wrong++
		}
		if s.closed.Load() {
			closed++
		}
	}
	b.add("slow", "chowk woken", value{"caught up after", level, " s"},
		value{"without all events", float64(tr.missing(socks)), ""},
		value{"out of order or twice", float64(wrong), ""}, value{"closed", float64(closed), ""})
	return err
}

// ordered is a tracker of events that every socket of a channel must receive in order:
// event n belongs to channel n % groups.
type ordered struct {
	tracker
	last int32 // the number of a socket's last event when it has all
}

func trackOrdered(fl *fleet, socks []*sock, events, groups int) *ordered {
	slow := make(map[*sock]bool)
	for i, s := range socks {
		if isSlow(i) {
			slow[s] = true
		}
	}
	tr := &ordered{tracker{
		want: slowGroup - slowGroup/10, got: make([]atomic.Int32, events),
		took: make([]atomic.Int64, events),
	}, int32(events / groups)}
	fl.on = func(s *sock, payload []byte) {
		numbers(payload, func(n int, sent int64) {
			if last := atomic.AddInt32(&s.last, 1); int(last-1) != n/groups {
				s.wrong.Add(1)
			}
			if !slow[s] && tr.got[n].Add(1) == tr.want {
				tr.took[n].Store(time.Now().UnixNano() - sent)
			}
		})
	}
	return tr
}

// missing counts the sockets that have not received all events.
func (t *ordered) missing(socks []*sock) (n int) {
	for _, s := range socks {
		if atomic.LoadInt32(&s.last) != t.last {
			n++
		}
	}
	return n
}

func (t *ordered) complete(first, count int) bool {
	for i := first; i < first+count; i++ {
		if t.took[i].Load() == 0 {
			return false
		}
	}
	return true
}

func (t *ordered) quantile(first, count int, q float64) float64 {
	var all []int64
	for i := first; i < first+count; i++ {
		all = append(all, t.took[i].Load())
	}
	return quantile(all, q)
}
