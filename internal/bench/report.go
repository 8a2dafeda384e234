package bench

import (
	"encoding/json"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// What is counted.
type counter int

const (
	opened     counter = iota // sockets that got their connection frame
	refused                   // handshakes answered by no
	failed                    // handshakes that got no answer
	ended                     // sockets that the server or the network ended
	sent                      // events written
	acked                     // events carried out, messages and others
	stored                    // messages among them
	denied                    // events refused
	unanswered                // events whose socket ended first
	delivered                 // message frames that came
	gaps                      // seqs that were passed over
	repeats                   // seqs that came again
	received                  // bytes
	counterCount
)

var counterNames = [counterCount]string{
	"opened", "refused", "failed", "ended", "sent", "acked", "stored", "denied", "unanswered", "delivered", "gaps", "repeats", "received_bytes",
}

// What takes time.
type clock int

const (
	opening  clock = iota // from when a socket was due to its connection frame
	comeback              // the same, after it was cut off
	ack                   // from when an event was due to its answer
	delivery              // from when a message was due to its arrival
	late                  // the same, at sockets that had stopped reading
	clocks
)

var clockNames = [clocks]string{"open", "back", "ack", "delivery", "delivery_slow"}

// Latencies are kept from a microsecond to ten minutes, to three digits.
const (
	longest = 10 * time.Minute
	digits  = 3
)

func newHistogram() *hdr.Histogram { return hdr.New(1, longest.Microseconds(), digits) }

// Tick is what one worker saw in a moment: a part of one phase, in one slot of the
// run's time.
type Tick struct {
	// First tells the workers apart: it is the number of its first socket.
	First  int
	Slot   int
	Phase  string
	Counts [counterCount]int64
	// Open are the sockets open at its end, Usable those of them that have no
	// question unanswered for longer than a second.
	Open, Usable int64
	// Codes count refusals and endings by their codes.
	Codes  map[string]int64
	Clocks [clocks]*hdr.Histogram
	// Seconds is how long it was.
	Seconds float64
	// After is what was left when everything was closed: no moment of the run.
	After bool
}

// wireTick is a Tick between processes.
type wireTick struct {
	First, Slot  int
	Phase        string
	Counts       [counterCount]int64
	Open, Usable int64
	Codes        map[string]int64
	Clocks       [clocks][]byte
	Seconds      float64
	After        bool
}

// MarshalJSON writes the histograms in their own compressed form.
func (t Tick) MarshalJSON() ([]byte, error) {
	w := wireTick{First: t.First, Slot: t.Slot, Phase: t.Phase, Counts: t.Counts, Open: t.Open, Usable: t.Usable, Codes: t.Codes, Seconds: t.Seconds, After: t.After}
	for i, h := range t.Clocks {
		if h == nil {
			continue
		}
		b, err := h.Encode(hdr.V2CompressedEncodingCookieBase)
		if err != nil {
			return nil, fmt.Errorf("encode a histogram: %w", err)
		}
		w.Clocks[i] = b
	}
	return json.Marshal(w)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (t *Tick) UnmarshalJSON(b []byte) error {
	var w wireTick
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	*t = Tick{First: w.First, Slot: w.Slot, Phase: w.Phase, Counts: w.Counts, Open: w.Open, Usable: w.Usable, Codes: w.Codes, Seconds: w.Seconds, After: w.After}
	for i, b := range w.Clocks {
		if b == nil {
			continue
		}
		h, err := hdr.Decode(b)
		if err != nil {
			return fmt.Errorf("decode a histogram: %w", err)
		}
		t.Clocks[i] = h
	}
	return nil
}

// add adds what another worker saw, or what happened next.
func (t *Tick) add(o *Tick) {
	for i := range t.Counts {
		t.Counts[i] += o.Counts[i]
	}
	if t.Codes == nil && len(o.Codes) > 0 {
		t.Codes = make(map[string]int64)
	}
	for code, n := range o.Codes {
		t.Codes[code] += n
	}
	t.Seconds += o.Seconds
	for i, h := range o.Clocks {
		if h == nil {
			continue
		}
		if t.Clocks[i] == nil {
			t.Clocks[i] = newHistogram()
		}
		t.Clocks[i].Merge(h)
	}
}

// counters is where a worker's sockets note what happens. Histograms are sharded, as
// every delivery is noted in one.
type counters struct {
	counts [counterCount]atomic.Int64
	clocks [clocks][shards]shard

	mu    sync.Mutex // guards what follows
	codes map[string]int64
}

const (
	shards   = 4
	maxCodes = 100 // different ones that are told apart
)

type shard struct {
	mu sync.Mutex // guards what follows
	h  *hdr.Histogram
}

func (t *counters) count(c counter, n int64) { t.counts[c].Add(n) }

// note notes how long something took; i picks the shard.
func (t *counters) note(c clock, i int, took time.Duration) {
	s := &t.clocks[c][i%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.h == nil {
		s.h = newHistogram()
	}
	_ = s.h.RecordValue(min(max(took.Microseconds(), 1), longest.Microseconds())) // it is in range
}

func (t *counters) code(code string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.codes == nil {
		t.codes = make(map[string]int64)
	}
	if _, known := t.codes[code]; !known && len(t.codes) >= maxCodes {
		code = "other"
	}
	t.codes[code]++
}

// take gives what was noted since the last take.
func (t *counters) take() Tick {
	var tick Tick
	for i := range t.counts {
		tick.Counts[i] = t.counts[i].Swap(0)
	}
	for i := range t.clocks {
		for j := range t.clocks[i] {
			t.clocks[i][j].drain(&tick.Clocks[i])
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	tick.Codes = maps.Clone(t.codes)
	clear(t.codes)
	return tick
}

func (s *shard) drain(into **hdr.Histogram) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.h == nil || s.h.TotalCount() == 0 {
		return
	}
	if *into == nil {
		*into = newHistogram()
	}
	(*into).Merge(s.h)
	s.h.Reset()
}
