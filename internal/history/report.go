package history

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"time"
)

// Report is the result of Check.
type Report struct {
	Violations []Violation

	Records   int
	Stored    int // entries in the database
	Invoked   int // changes requested
	Acked     int // changes acknowledged, Messages of them messages
	Messages  int
	Refused   int
	Unknown   int // attempts without an answer, before they were repeated
	Received  int // over the wire, Repeated of them for another time (a cost, not an error)
	Repeated  int
	Delivered int // to applications
	Resyncs   int // channels to be reloaded

	// Staleness is the time from an ack to each delivery.
	Staleness Percentiles
	// FirstAck and Resumed have an element for each fault: the time from its end to the
	// first ack, and to the moment at which 95% of the sessions that had to reconnect had
	// caught up.
	FirstAck, Resumed []time.Duration
	// Silent is the total time beyond one second without any ack, Longest the longest.
	Silent, Longest time.Duration
}

// Percentiles are those of a distribution, to about 6%.
type Percentiles struct {
	P50, P99, Max time.Duration
}

// String returns the report in a few lines.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d records: %d changes acknowledged (%d messages), %d refused; %d entries stored, "+
		"%d received (%d repeated), %d delivered, %d channels reloaded\n",
		r.Records, r.Acked, r.Messages, r.Refused, r.Stored, r.Received, r.Repeated, r.Delivered, r.Resyncs)
	fmt.Fprintf(&b, "ack to delivery p50 %v, p99 %v, max %v; after faults first ack %v, 95%% caught up %v; "+
		"without acks %v, at most %v\n",
		round(r.Staleness.P50), round(r.Staleness.P99), round(r.Staleness.Max), worst(r.FirstAck), worst(r.Resumed),
		round(r.Silent), round(r.Longest))
	if len(r.Violations) == 0 {
		b.WriteString("no guarantee was broken\n")
	}
	for _, v := range r.Violations {
		fmt.Fprintln(&b, v)
	}
	return b.String()
}

func round(d time.Duration) time.Duration {
	if d > time.Second {
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}

func worst(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	return round(slices.Max(all))
}

// timing records when things happened.
type timing struct {
	staleness [64 * 16]int
	samples   int
	max       int64

	lastAck    int64
	waiting    bool  // for the first ack after a fault
	began      int64 // when the fault began; 0 for no fault
	ended      int64
	reconnects map[uint32]bool // sessions that connected since the fault began: whether they have caught up
	levels     []int64
	firstAck   []time.Duration
	resumed    []time.Duration
	silent     int64
	longest    int64
}

func (t *timing) acked(r *Record) {
	if gap := r.At - t.lastAck; t.lastAck > 0 {
		t.longest = max(t.longest, gap)
		if gap > int64(time.Second) {
			t.silent += gap
		}
	}
	t.lastAck = r.At
	if t.waiting {
		t.waiting = false
		t.firstAck = append(t.firstAck, time.Duration(r.At-t.ended))
	}
}

func (t *timing) delivered(at, ackedAt int64) {
	if ackedAt == 0 {
		return // delivered before the sender knew
	}
	d := max(at-ackedAt, 1)
	t.max = max(t.max, d)
	t.samples++
	t.staleness[bucket(d)]++
}

// bucket numbers durations in steps of a sixteenth of a power of two.
func bucket(d int64) int {
	n := bits.Len64(uint64(d))
	if n <= 5 {
		return int(d)
	}
	return (n-5)*16 + int(d>>(n-5))
}

func lower(b int) int64 {
	if b < 32 {
		return int64(b)
	}
	return int64(16+b%16) << (b/16 - 1)
}

func (t *timing) percentile(p float64) time.Duration {
	rank := int(p * float64(t.samples))
	for b, n := range t.staleness {
		if rank -= n; rank < 0 {
			return time.Duration(lower(b))
		}
	}
	return time.Duration(t.max)
}

func (t *timing) mark(r *Record) {
	switch r.Kind {
	case FaultBegins:
		t.close()
		t.began, t.ended, t.waiting = r.At, 0, false
		t.reconnects = make(map[uint32]bool)
	case FaultEnds:
		t.ended, t.waiting = r.At, true
	case Connected:
		if t.began > 0 {
			t.reconnects[r.Session] = false
		}
	case CaughtUp:
		if level, counted := t.reconnects[r.Session]; counted && !level {
			t.reconnects[r.Session] = true
			t.levels = append(t.levels, r.At)
		}
	}
}

// close finishes a fault.
func (t *timing) close() {
	if n := len(t.levels); n > 0 && t.ended > 0 {
		slices.Sort(t.levels)
		at := t.levels[min(n-1, len(t.reconnects)*95/100)]
		t.resumed = append(t.resumed, time.Duration(max(at-t.ended, 0)))
	}
	t.began, t.levels, t.reconnects = 0, nil, nil
}

func (t *timing) fill(r *Report) {
	t.close()
	r.Staleness = Percentiles{t.percentile(0.5), t.percentile(0.99), time.Duration(t.max)}
	r.FirstAck, r.Resumed = t.firstAck, t.resumed
	r.Silent, r.Longest = time.Duration(t.silent), time.Duration(t.longest)
}
