package relay_test

import (
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// BenchmarkAnEntryCrosses tells the time from a commit on one node until a listener
// on another has it: p50 and p99, at what two senders can do one after the other.
func BenchmarkAnEntryCrosses(b *testing.B) {
	here, there, _ := pair(b, quick)
	id := here.channel("ada", "bob")
	bob := there.connect("bob")
	heard := make(chan chat.Seq, 1024)
	bob.told = func(w wire) {
		if w.Seq > 0 {
			heard <- w.Seq
		}
	}
	there.settled(3)
	var took []time.Duration
	for b.Loop() {
		ev := here.publish(id, "ada", strings.Repeat("x", 100))
		committed := time.Now()
		for seq := range heard {
			if seq >= ev.Seq {
				break
			}
		}
		took = append(took, time.Since(committed))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkManyCross tells how many entries a second come from one node to another,
// in 200 channels, and how many of them had to be read from the log.
func BenchmarkManyCross(b *testing.B) {
	here, there, _ := pair(b, quick)
	const channels = 200
	ids := make([]chat.ID, channels)
	for i := range ids {
		ids[i] = here.channel("ada", "bob")
	}
	bob := there.connect("bob")
	var all sync.WaitGroup
	bob.told = func(w wire) {
		if w.Seq > 1 {
			all.Done()
		}
	}
	there.settled(2 + channels)
	all.Add(b.N)
	b.ResetTimer()
	var senders sync.WaitGroup
	for s := range channels {
		senders.Go(func() {
			for i := s; i < b.N; i += channels {
				here.publish(ids[s], "ada", "x")
			}
		})
	}
	senders.Wait()
	all.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
	b.ReportMetric(number(b, there.numbers.Hub.GapFills), "log-reads")
	b.ReportMetric(there.counted(there.numbers.Relay.Dropped, "slow")+here.counted(here.numbers.Relay.Dropped, "queue"), "dropped")
}

// BenchmarkSubscriptions makes and ends 10,000 at a time, and tells what a channel to
// which somebody listens costs the node that listens and its peer together, in bytes.
func BenchmarkSubscriptions(b *testing.B) {
	here, there, _ := pair(b, quick)
	least := there.subscriptions()
	const many = 10_000
	ids := make([]chat.ID, many)
	for i := range ids {
		ids[i] = chat.NewID()
	}
	var grown int64
	for b.Loop() {
		before := heap()
		for _, id := range ids {
			there.relay.Listen(id)
		}
		there.settled(least + many)
		grown += heap() - before
		for _, id := range ids {
			there.relay.Unlisten(id)
		}
		there.settled(least)
	}
	b.ReportMetric(float64(grown)/float64(b.N)/many, "bytes/subscription")
	runtime.KeepAlive(here)
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse)
}
