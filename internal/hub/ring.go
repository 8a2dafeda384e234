package hub

import (
	"sync/atomic"

	"github.com/go-json-experiment/json"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/frame"
)

// entry is one event, encoded: a whole WebSocket frame that any number of sockets
// share.
type entry struct {
	seq    chat.Seq
	all    []byte
	user   chat.UserID // who is sent own instead of all, "" for nobody
	own    []byte
	joins  chat.UserID // a user whose membership begins here
	leaves chat.UserID // a user whose membership ends here
	kind   chat.EventType
}

// encode makes an event's frames. Encoding our own structs cannot fail.
func encode(ev *chat.Event) entry {
	e := entry{seq: ev.Seq, all: encodeFrame(ev.Wire()), kind: ev.Type, leaves: ev.Leaves()}
	if e.user = ev.Special(); e.user != "" {
		e.own = encodeFrame(ev.WireSpecial())
	}
	if ev.Type == chat.EventMemberJoined {
		e.joins = ev.Subject
	}
	return e
}

func encodeFrame(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("hub: encode a frame: " + err.Error())
	}
	return frame.Text(b)
}

func (e *entry) size() int64 { return int64(len(e.all)+len(e.own)) + 128 }

// frameFor is what the user is sent of the entry.
func (e *entry) frameFor(u chat.UserID) []byte {
	if e.user == u && u != "" {
		return e.own
	}
	return e.all
}

// ring is a channel's recent entries, without a hole, the newest last.
type ring struct {
	entries []entry
	bytes   int64
}

const (
	ringEntries = 512       // the most entries of one channel
	ringBytes   = 256 << 10 // the most bytes of one channel
)

// ringBudget is what all rings may hold together.
type ringBudget struct {
	max   int64
	used  atomic.Int64
	gauge prometheus.Gauge
}

func (b *ringBudget) add(n int64) { b.gauge.Set(float64(b.used.Add(n))) }

// push appends an entry and drops the oldest beyond the bounds. When all rings
// together are over the budget, whoever pushes keeps no more than his newest.
func (r *ring) push(e entry, budget *ringBudget) {
	r.entries = append(r.entries, e)
	r.bytes += e.size()
	budget.add(e.size())
	drop := 0
	for bytes := r.bytes; drop < len(r.entries)-1; drop++ {
		over := len(r.entries)-drop > ringEntries || bytes > ringBytes || budget.used.Load()-(r.bytes-bytes) > budget.max
		if !over {
			break
		}
		bytes -= r.entries[drop].size()
	}
	r.drop(drop, budget)
}

func (r *ring) drop(n int, budget *ringBudget) {
	if n == 0 {
		return
	}
	var freed int64
	for i := range n {
		freed += r.entries[i].size()
		r.entries[i] = entry{}
	}
	r.entries = r.entries[n:]
	r.bytes -= freed
	budget.add(-freed)
}

func (r *ring) reset(budget *ringBudget) {
	budget.add(-r.bytes)
	*r = ring{}
}

// after gives the entries after seq, ok being false when the ring does not reach
// back that far.
func (r *ring) after(seq chat.Seq) (due []entry, ok bool) {
	if len(r.entries) == 0 || r.entries[0].seq > seq+1 {
		return nil, false
	}
	skip := min(seq+1-r.entries[0].seq, int64(len(r.entries)))
	return r.entries[skip:], true
}
