package canary

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	dto "github.com/prometheus/client_model/go"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/metric"
)

// fakeServer answers each message with the frames that script returns.
type fakeServer struct {
	channel chat.ID
	head    chat.Seq
	script  func(d *fakeServer, id, clientID string) []string
	mu      sync.Mutex // held while script runs; guards head and resumes
	resumes []chat.ResumeRequest
}

func (d *fakeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{chat.Protocol}})
	if err != nil {
		return
	}
	defer c.CloseNow()
	write := func(v any) {
		b, _ := json.Marshal(v)
		_ = c.Write(r.Context(), websocket.MessageText, b)
	}
	d.mu.Lock()
	head := d.head
	d.mu.Unlock()
	write(
		map[string]any{"type": "connection", "epoch": "e", "channels": []map[string]any{{"id": d.channel, "last_seq": head}}},
	)
	for {
		_, b, err := c.Read(r.Context())
		if err != nil {
			return
		}
		var req struct {
			Type, ID string
			Data     struct {
				ClientID string `json:"client_id"`
				chat.ResumeRequest
			}
		}
		if json.Unmarshal(b, &req) != nil {
			return
		}
		if req.Type == "resume" {
			d.mu.Lock()
			d.resumes = append(d.resumes, req.Data.ResumeRequest)
			d.mu.Unlock()
			continue
		}
		d.mu.Lock()
		frames := d.script(d, req.ID, req.Data.ClientID)
		d.mu.Unlock()
		for _, f := range frames {
			_ = c.Write(r.Context(), websocket.MessageText, []byte(f))
		}
	}
}

func (d *fakeServer) message(seq chat.Seq, clientID string) string {
	b, _ := json.Marshal(
		map[string]any{"type": "message", "channel_id": d.channel, "seq": seq, "data": map[string]any{"client_id": clientID}},
	)
	return string(b)
}

func ack(id string, seq chat.Seq) string {
	b, _ := json.Marshal(map[string]any{"type": "ack", "id": id, "response": map[string]any{"seq": seq}})
	return string(b)
}

func value(t *testing.T, m prometheus.Metric) float64 {
	t.Helper()
	var d dto.Metric
	if err := m.Write(&d); err != nil {
		t.Fatal(err)
	}
	if d.Counter != nil {
		return d.Counter.GetValue()
	}
	return d.Gauge.GetValue()
}

// tries sends n messages through d's script with this timeout for each, and returns
// the metrics.
func tries(t *testing.T, d *fakeServer, n int, timeout time.Duration) *metric.Canary {
	t.Helper()
	server := httptest.NewServer(d)
	defer server.Close()
	m := metric.New().Canary
	c := &Canary{
		URL: strings.Replace(server.URL, "http", "ws", 1), Token: "t", Channel: d.channel, Interval: time.Hour,
		Timeout: timeout,
		Metrics: m, Log: slog.New(slog.DiscardHandler), DeleteUpTo: func(context.Context, chat.Seq) error { return nil },
	}
	var s *socket
	for range n {
		took, err := c.once(t.Context(), &s)
		c.count(t.Context(), took, err)
		if err != nil {
			s.close()
			s = nil
		}
	}
	s.close()
	return m
}

func TestOutcomes(t *testing.T) {
	channel := chat.NewID()
	for _, c := range []struct {
		name   string
		script func(d *fakeServer, id, clientID string) []string
		at     string // the stage of the failure, "" for success
	}{
		{"delivered and acknowledged", func(d *fakeServer, id, cid string) []string {
			d.head++
			return []string{d.message(d.head, cid), ack(id, d.head)}
		}, ""},
		{"with other messages in between", func(d *fakeServer, id, cid string) []string {
			d.head += 2
			return []string{d.message(d.head-1, "another"), ack(id, d.head), d.message(d.head, cid)}
		}, ""},
		{"refused", func(_ *fakeServer, id, _ string) []string {
			return []string{`{"type":"error","id":"` + id + `","message":"busy"}`}
		}, "send"},
		{"no answer", func(*fakeServer, string, string) []string { return nil }, "send"},
		{"not delivered", func(d *fakeServer, id, _ string) []string { return []string{ack(id, d.head+1)} }, "deliver"},
		{"a gap", func(d *fakeServer, id, cid string) []string {
			return []string{ack(id, d.head+2), d.message(d.head+2, cid)}
		}, "order"},
		{"twice", func(d *fakeServer, id, cid string) []string {
			return []string{d.message(d.head+1, "x"), d.message(d.head+1, "x"), ack(id, d.head+1)}
		}, "order"},
		{"a seq other than the acknowledged one", func(d *fakeServer, id, cid string) []string {
			return []string{ack(id, d.head+9), d.message(d.head+1, cid)}
		}, "order"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			timeout := 30 * time.Second
			if c.name == "no answer" || c.name == "not delivered" {
				timeout = 300 * time.Millisecond
			}
			m := tries(t, &fakeServer{channel: channel, head: 7, script: c.script}, 1, timeout)
			if ok := value(t, m.OK) == 1; ok != (c.at == "") {
				t.Errorf("ok is %v", ok)
			}
			for _, at := range []string{"connect", "send", "deliver", "order"} {
				want := 0.0
				if at == c.at {
					want = 1
				}
				if got := value(t, m.Failures.WithLabelValues(at)); got != want {
					t.Errorf("%s: %v failures, want %v", at, got, want)
				}
			}
		})
	}
}

// TestAGapAcrossAReconnectIsReported: the canary resumes from the last entry it
// received.
func TestAGapAcrossAReconnectIsReported(t *testing.T) {
	for name, replay := range map[string][]chat.Seq{"nothing is lost": {8, 9}, "one entry is lost": {9}} {
		t.Run(name, func(t *testing.T) {
			n := 0
			d := &fakeServer{channel: chat.NewID(), head: 7, script: func(d *fakeServer, id, cid string) (out []string) {
				n++
				if n == 1 {
					return nil // no answer: a new socket
				}
				if n == 2 {
					for _, seq := range replay {
						out = append(out, d.message(seq, "missed"))
					}
				}
				return append(out, d.message(10, cid), ack(id, 10))
			}}
			m := tries(t, d, 2, time.Second)
			if got := value(t, m.OK) == 1; got != (len(replay) == 2) {
				t.Errorf("ok is %v", got)
			}
			if len(d.resumes) != 1 || d.resumes[0].Cursors[d.channel] != 7 {
				t.Errorf("%+v", d.resumes)
			}
		})
	}
}

// TestALongAbsenceIsNotAGap: the other nodes have deleted what this one missed, so
// it starts over instead of waiting for it.
func TestALongAbsenceIsNotAGap(t *testing.T) {
	d := &fakeServer{channel: chat.NewID(), head: 7}
	d.script = func(d *fakeServer, id, cid string) []string {
		if d.head == 7 {
			d.head += keep // and no answer
			return nil
		}
		d.head++
		return []string{d.message(d.head, cid), ack(id, d.head)}
	}
	m := tries(t, d, 3, time.Second)
	if value(t, m.OK) != 1 || value(t, m.Failures.WithLabelValues("order")) != 0 || len(d.resumes) != 0 {
		t.Errorf(
			"ok %v, order failures %v, resumes %+v",
			value(t, m.OK),
			value(t, m.Failures.WithLabelValues("order")),
			d.resumes,
		)
	}
}

func TestAServerThatRefuses(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	m := metric.New().Canary
	c := &Canary{
		URL:     strings.Replace(server.URL, "http", "ws", 1),
		Timeout: time.Second,
		Metrics: m,
		Log:     slog.New(slog.DiscardHandler),
	}
	var s *socket
	took, err := c.once(t.Context(), &s)
	c.count(t.Context(), took, err)
	if value(t, m.Failures.WithLabelValues("connect")) != 1 {
		t.Error(err)
	}
}
