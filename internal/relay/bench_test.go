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

// BenchmarkAnEntryCrosses measures the time from a commit on one node until a listener on
// another one is sent the entry: p50 and p99, with one sender that waits for each commit.
func BenchmarkAnEntryCrosses(b *testing.B) {
	here, there, _ := startPair(b, quick)
	id := here.channel("ada", "bob")
	bob := there.connect("bob")
	received := make(chan chat.Seq, 1024)
	bob.received = func(w wire) {
		if w.Seq > 0 {
			received <- w.Seq
		}
	}
	there.awaitSubscriptions(3)
	var took []time.Duration
	for b.Loop() {
		ev := here.send(id, "ada", strings.Repeat("x", 100))
		committed := time.Now()
		for seq := range received {
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

// BenchmarkManyCross measures how many entries a second come from one node to another, in
// 200 channels, and how many reads of the log they cost.
func BenchmarkManyCross(b *testing.B) {
	here, there, _ := startPair(b, quick)
	const channels = 200
	ids := make([]chat.ID, channels)
	for i := range ids {
		ids[i] = here.channel("ada", "bob")
	}
	bob := there.connect("bob")
	var all sync.WaitGroup
	bob.received = func(w wire) {
		if w.Seq > 1 {
			all.Done()
		}
	}
	there.awaitSubscriptions(2 + channels)
	all.Add(b.N)
	b.ResetTimer()
	var senders sync.WaitGroup
	for s := range channels {
		senders.Go(func() {
			for i := s; i < b.N; i += channels {
				here.send(ids[s], "ada", "x")
			}
		})
	}
	senders.Wait()
	all.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
	b.ReportMetric(value(b, there.metrics.Hub.GapFills), "log-reads")
	b.ReportMetric(there.dropped("slow")+here.dropped("queue"), "dropped")
}

// BenchmarkSubscriptions makes and ends 10,000 subscriptions at a time. It measures the
// bytes that a channel with listeners takes on its node and on the other one together.
func BenchmarkSubscriptions(b *testing.B) {
	here, there, _ := startPair(b, quick)
	fixed := there.subscriptions()
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
		there.awaitSubscriptions(fixed + many)
		grown += heap() - before
		for _, id := range ids {
			there.relay.Unlisten(id)
		}
		there.awaitSubscriptions(fixed)
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
