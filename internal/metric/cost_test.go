package metric

import (
	"testing"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// BenchmarkSend is what counting one message costs, when ten share a commit and ten
// listeners hear each: the event, its share of the commit's unit of work and of the
// fan-out.
func BenchmarkSend(b *testing.B) {
	m := New()
	id := chat.NewID()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m.Gateway.Answered("new_message", "ok", 3*time.Millisecond, id, "")
		m.Journal.Queued.Inc()
		m.Hub.Writes.Inc()
		m.Hub.Delivered.Add(10)
		m.Gateway.Held.Look()
		m.Hub.RingBytes.Set(float64(i))
		if i%10 == 0 {
			m.Journal.Group.Observe(10)
			m.Journal.Commit.Observe(0.003)
			m.Journal.Queued.Sub(10)
			m.Hub.Lag.Observe(0.001)
			m.Store.Acquired("commit", 0, 3*time.Millisecond)
		}
	}
}

// BenchmarkLook is what a write to a socket pays for HeldWrites.
func BenchmarkLook(b *testing.B) {
	held := New().Gateway.Held
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			held.Look()
		}
	})
}

// TestASlowEventIsFoundInTheLog by the connection beside its duration.
func TestASlowEventIsFoundInTheLog(t *testing.T) {
	m := New()
	slow, quick := chat.NewID(), chat.NewID()
	m.Gateway.Answered("typing", "ok", time.Millisecond, quick, "")
	m.Gateway.Answered("typing", "ok", time.Second, slow, "")
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, f := range families {
		if f.GetName() != "chowk_command_duration_seconds" {
			continue
		}
		h := f.GetMetric()[0].GetHistogram()
		if h.GetSampleCount() != 2 || h.Schema == nil {
			t.Errorf("%v", h)
		}
		for _, b := range h.GetBucket() {
			if e := b.GetExemplar(); e != nil {
				found++
				if e.GetLabel()[0].GetValue() != slow.String() {
					t.Errorf("%v", e)
				}
			}
		}
	}
	if found != 1 {
		t.Errorf("%d exemplars", found)
	}
}

// TestATracedEventIsFoundAmongTheTraces by the exemplar of its duration, however
// quick it was.
func TestATracedEventIsFoundAmongTheTraces(t *testing.T) {
	m := New()
	const id = "0af7651916cd43dd8448eb211c80319c"
	m.Gateway.Answered("typing", "ok", time.Millisecond, chat.NewID(), id)
	Observe(m.Hub.Lag, 0.001, id)
	Observe(m.Hub.Lag, 0.001, "")
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, f := range families {
		if h := f.GetMetric()[0].GetHistogram(); h.GetSampleCount() > 0 {
			for _, b := range h.GetBucket() {
				for _, l := range b.GetExemplar().GetLabel() {
					if l.GetName() == "trace_id" && l.GetValue() == id {
						found++
					}
				}
			}
		}
	}
	if found != 2 {
		t.Errorf("%d exemplars, want one of each", found)
	}
}
