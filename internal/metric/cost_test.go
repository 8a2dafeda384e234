package metric

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chowk-chat/chowk/chat"
)

// BenchmarkSend measures what counting one message costs when ten share a commit and
// ten listeners receive each: the command, its share of the unit of work that commits
// it, and its share of the fan-out.
func BenchmarkSend(b *testing.B) {
	m := New()
	id := chat.NewID()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m.Gateway.Answered("new_message", "ok", 3*time.Millisecond, id, "")
		m.Journal.Queued.Inc()
		m.Hub.Writes.Inc()
		m.Hub.Delivered.Add(10)
		m.Gateway.HeldWrites.Check()
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

// BenchmarkHeldWrites measures what a write to a socket pays for HeldWrites.
func BenchmarkHeldWrites(b *testing.B) {
	writes := New().Gateway.HeldWrites
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			writes.Check()
		}
	})
}

// exemplars returns the values of a label of all exemplars, by metric.
func exemplars(t *testing.T, m *Metrics, label string) map[string][]string {
	t.Helper()
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string][]string)
	for _, f := range families {
		for _, b := range f.GetMetric()[0].GetHistogram().GetBucket() {
			for _, l := range b.GetExemplar().GetLabel() {
				if l.GetName() == label {
					found[f.GetName()] = append(found[f.GetName()], l.GetValue())
				}
			}
		}
	}
	return found
}

func TestSlowCommandHasItsConnectionAsExemplar(t *testing.T) {
	m := New()
	slow, fast := chat.NewID(), chat.NewID()
	m.Gateway.Answered("typing", "ok", time.Millisecond, fast, "")
	m.Gateway.Answered("typing", "ok", time.Second, slow, "")
	want := map[string][]string{"chowk_command_duration_seconds": {slow.String()}}
	if diff := cmp.Diff(want, exemplars(t, m, "connection")); diff != "" {
		t.Errorf("exemplars (-want +got):\n%s", diff)
	}
}

func TestTracedCommandHasItsTraceAsExemplar(t *testing.T) {
	m := New()
	const id = "0af7651916cd43dd8448eb211c80319c"
	m.Gateway.Answered("typing", "ok", time.Millisecond, chat.NewID(), id) // however fast it was
	Observe(m.Hub.Lag, 0.001, id)
	Observe(m.Hub.Lag, 0.001, "")
	want := map[string][]string{"chowk_command_duration_seconds": {id}, "chowk_delivery_lag_seconds": {id}}
	if diff := cmp.Diff(want, exemplars(t, m, "trace_id")); diff != "" {
		t.Errorf("exemplars (-want +got):\n%s", diff)
	}
}

// Prometheus can scrape native histograms besides the classic buckets.
func TestHistogramsAreAlsoNative(t *testing.T) {
	m := New()
	m.Gateway.Answered("typing", "ok", time.Millisecond, chat.NewID(), "")
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "chowk_command_duration_seconds" {
			continue
		}
		h := f.GetMetric()[0].GetHistogram()
		if h.GetSampleCount() != 1 || h.Schema == nil {
			t.Errorf("got %v, want a native histogram of 1 sample", h)
		}
	}
}
