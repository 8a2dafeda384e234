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

// counter is something that is counted.
type counter int

const (
	opened     counter = iota // sockets that received their connection frame
	refused                   // handshakes that were refused
	failed                    // handshakes without a response
	ended                     // sockets closed by the server or the network
	sent                      // commands written
	acked                     // commands that succeeded
	stored                    // messages among them
	denied                    // commands that were refused
	unanswered                // commands whose socket closed before the answer
	delivered                 // message frames received
	gaps                      // seqs that were skipped
	repeats                   // seqs that were received again
	received                  // bytes
	counterCount
)

var counterNames = [counterCount]string{
	"opened", "refused", "failed", "ended", "sent", "acked", "stored", "denied", "unanswered", "delivered", "gaps",
	"repeats", "received_bytes",
}

// clock is something that is timed.
type clock int

const (
	connecting   clock = iota // from when a socket was due to its connection frame
	reconnecting              // the same for a socket that was disconnected
	ack                       // from when a command was due to its answer
	delivery                  // from when a message was due to its arrival
	late                      // the same at sockets that had stopped reading
	clocks
)

var clockNames = [clocks]string{"open", "back", "ack", "delivery", "delivery_slow"}

// Latencies are recorded from one microsecond to ten minutes, with three digits.
const (
	longest = 10 * time.Minute
	digits  = 3
)

func newHistogram() *hdr.Histogram { return hdr.New(1, longest.Microseconds(), digits) }

// Tick is what one worker counted in one slot of the run, within one phase.
type Tick struct {
	// First identifies the worker: it is the number of its first socket.
	First  int
	Slot   int
	Phase  string
	Counts [counterCount]int64
	// Open is the number of open sockets at the end; Usable counts those of them without a
	// request that has been pending for more than a second.
	Open, Usable int64
	// Codes count refusals and closes by their codes.
	Codes  map[string]int64
	Clocks [clocks]*hdr.Histogram
	// Seconds is the length of the slot.
	Seconds float64
	// After means that this came after the last slot, when everything was closed.
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

// MarshalJSON encodes the histograms in their own compressed form.
func (t Tick) MarshalJSON() ([]byte, error) {
	w := wireTick{
		First: t.First, Slot: t.Slot, Phase: t.Phase, Counts: t.Counts, Open: t.Open, Usable: t.Usable,
		Codes: t.Codes, Seconds: t.Seconds, After: t.After,
	}
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

// UnmarshalJSON decodes what MarshalJSON encodes.
func (t *Tick) UnmarshalJSON(b []byte) error {
	var w wireTick
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	*t = Tick{
		First: w.First, Slot: w.Slot, Phase: w.Phase, Counts: w.Counts, Open: w.Open, Usable: w.Usable,
		Codes: w.Codes, Seconds: w.Seconds, After: w.After,
	}
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

// add adds another tick: another worker's, or the next one.
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

// counters is where a worker's sockets count. Histograms are sharded, because every
// delivery is recorded in one.
type counters struct {
	counts [counterCount]atomic.Int64
	clocks [clocks][shards]shard

	mu    sync.Mutex // guards what follows
	codes map[string]int64
}

const (
	shards   = 4
	maxCodes = 100 // how many different codes are kept
)

type shard struct {
	mu sync.Mutex // guards what follows
	h  *hdr.Histogram
}

func (t *counters) count(c counter, n int64) { t.counts[c].Add(n) }

// note records how long something took; i selects the shard.
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

// drain returns what was counted since the last call.
func (t *counters) drain() Tick {
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
