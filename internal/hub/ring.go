package hub

import (
	"sync"
	"sync/atomic"

	"github.com/go-json-experiment/json"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/frame"
)

// entry is one event, encoded: a whole WebSocket frame that any number of sockets
// share.
type entry struct {
	seq           chat.Seq
	all           []byte
	user          chat.UserID // who is sent own instead of all, "" for nobody
	personalFrame []byte
	joins         chat.UserID // a user whose membership begins here
	leaves        chat.UserID // a user whose membership ends here
	kind          chat.EventType
	compressed    *compressed // nil when it is not worth compressing
}

// compressed is an entry's frame for all, compressed when somebody first wants it so.
type compressed struct {
	once  sync.Once
	frame []byte // nil when compression does not make it smaller
}

// sharedFrame is what everybody is sent who is nobody special.
func (e *entry) sharedFrame(deflate bool) []byte {
	if !deflate || e.compressed == nil {
		return e.all
	}
	e.compressed.once.Do(func() { e.compressed.frame = frame.DeflatedText(frame.Payload(e.all)) })
	if e.compressed.frame == nil {
		return e.all
	}
	return e.compressed.frame
}

// encode makes an event's frames. Encoding our own structs cannot fail.
func (h *Hub) encode(ev *chat.Entry) entry {
	e := entry{seq: ev.Seq, all: encodeFrame(ev.Wire()), kind: ev.Type, leaves: ev.LeftUser()}
	if e.user = ev.PersonalRecipient(); e.user != "" {
		e.personalFrame = encodeFrame(ev.WirePersonal())
	}
	if ev.Type == chat.EventMemberJoined {
		e.joins = ev.Subject
	}
	if least := h.config.Deflate; least > 0 && len(e.all) >= least {
		e.compressed = new(compressed)
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

func (e *entry) size() int64 {
	n := int64(len(e.all)+len(e.personalFrame)) + 128
	if e.compressed != nil {
		n += int64(len(e.all)) // at most
	}
	return n
}

// frameFor is what the socket is sent of the entry.
func (e *entry) frameFor(s *Socket) []byte {
	if e.user == s.user.id && e.user != "" {
		return e.personalFrame
	}
	return e.sharedFrame(s.deflate)
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

// ringBudget is what all rings may hold together. Each has an equal share, and may
// have more as long as the others leave it.
type ringBudget struct {
	max   int64
	used  atomic.Int64
	rings atomic.Int64 // that hold something
	gauge prometheus.Gauge
}

func (b *ringBudget) add(n int64) { b.gauge.Set(float64(b.used.Add(n))) }

// share is what a ring may hold when there is not enough for all.
func (b *ringBudget) share() int64 { return b.max / max(b.rings.Load(), 1) }

// over says whether the rings together hold more than they may; far means that it
// can't wait until the others have given back what is beyond their share.
func (b *ringBudget) over() (over, far bool) {
	used := b.used.Load()
	return used > b.max, used > b.max+b.max/8
}

// push appends an entry and drops the oldest beyond the bounds. tight says that
// other rings hold more than their share of a budget that is used up.
func (r *ring) push(e entry, budget *ringBudget) (tight bool) {
	if len(r.entries) == 0 {
		budget.rings.Add(1)
	}
	r.entries = append(r.entries, e)
	r.bytes += e.size()
	budget.add(e.size())
	r.keep(ringEntries, ringBytes, budget)
	over, far := budget.over()
	if far {
		r.keep(1, 0, budget)
	} else if over {
		r.keep(ringEntries, budget.share(), budget)
	}
	over, _ = budget.over()
	return over
}

// keep drops the oldest entries until there are no more than most, of no more
// bytes than that, but for the newest.
func (r *ring) keep(most int, bytes int64, budget *ringBudget) {
	drop := 0
	for left := r.bytes; drop < len(r.entries)-1 && (len(r.entries)-drop > most || left > bytes); drop++ {
		left -= r.entries[drop].size()
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
	if len(r.entries) > 0 {
		budget.rings.Add(-1)
	}
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
