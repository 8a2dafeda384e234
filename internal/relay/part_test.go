package relay

import (
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/metric"
)

// testEnv is the env of a part that is tested by itself.
func testEnv() env {
	return env{log: slog.New(slog.DiscardHandler), metrics: metric.New().Relay, now: time.Now}
}

func count(c metric.Counters, label string) float64 {
	return testutil.ToFloat64(c.WithLabelValues(label).(prometheus.Collector))
}

func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// sent is a message that a part published.
type sent struct {
	Kind kind
	To   string
	Body any
}

// recorder records messages.
type recorder struct {
	messages []sent
	err      error // what publish returns
}

func (r *recorder) publish(k kind, to string, _ time.Time, body any) error {
	if r.err == nil {
		r.messages = append(r.messages, sent{k, to, body})
	}
	return r.err
}

func (r *recorder) reply(p outgoing) {
	r.messages = append(r.messages, sent{p.kind, p.subject, p.body})
}

// fakeHub records the calls of a part of the relay.
type fakeHub struct {
	Hub
	heads, observed map[chat.ID]chat.Seq
	connected       map[chat.UserID]bool
	listeners       map[chat.ID]bool
	joined          map[chat.UserID]chat.Seq
	remote          map[chat.UserID]bool
}

func (h *fakeHub) Heads() map[chat.ID]chat.Seq       { return h.heads }
func (h *fakeHub) HasListeners(channel chat.ID) bool { return h.listeners[channel] }
func (h *fakeHub) Watched() []chat.UserID            { return []chat.UserID{"watched"} }

func (h *fakeHub) ObserveHeads(heads map[chat.ID]chat.Seq) int {
	h.observed = heads
	return len(heads)
}

func (h *fakeHub) Connected(users []chat.UserID) (connected []chat.UserID) {
	for _, id := range users {
		if h.connected[id] {
			connected = append(connected, id)
		}
	}
	return connected
}

func (h *fakeHub) LocalOnline(users []chat.UserID) []chat.UserID { return h.Connected(users) }

func (h *fakeHub) ApplyJoins(_ chat.ID, _ chat.Seq, joined map[chat.UserID]chat.Seq) {
	h.joined = joined
}

func (h *fakeHub) RemotePresence(_ string, user chat.UserID, online bool) {
	if h.remote == nil {
		h.remote = make(map[chat.UserID]bool)
	}
	h.remote[user] = online
}
