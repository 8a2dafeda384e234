package history

import (
	"cmp"
	"container/heap"
	"slices"
	"sync"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// Recorder collects records from many goroutines, on one clock.
type Recorder struct {
	start time.Time

	mu       sync.Mutex // guards what follows
	channels map[chat.ID]uint32
	names    map[chat.UserID]uint32
	h        History
	logs     []*Log
	stored   []Record
}

// NewRecorder starts the clock.
func NewRecorder() *Recorder {
	return &Recorder{start: time.Now(), channels: make(map[chat.ID]uint32), names: make(map[chat.UserID]uint32)}
}

// Now returns the time on the recorder's clock.
func (r *Recorder) Now() int64 { return int64(time.Since(r.start)) }

// Channel returns a channel's index.
func (r *Recorder) Channel(id chat.ID) uint32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	i, known := r.channels[id]
	if !known {
		i = uint32(len(r.h.Channels))
		r.channels[id] = i
		r.h.Channels = append(r.h.Channels, id)
	}
	return i
}

// User returns a user's index.
func (r *Recorder) User(id chat.UserID) uint32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	i, known := r.names[id]
	if !known {
		i = uint32(len(r.h.Names))
		r.names[id] = i
		r.h.Names = append(r.h.Names, id)
	}
	return i
}

// Store adds what the database holds: Stored and InitialMember records.
func (r *Recorder) Store(records ...Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stored = append(r.stored, records...)
}

// Log is one session's part.
type Log struct {
	recorder *Recorder
	session  uint32

	mu       sync.Mutex // guards what follows
	records  []Record
	channels map[chat.ID]uint32
}

// Session opens the log of a user's session.
func (r *Recorder) Session(user chat.UserID) *Log {
	l := &Log{recorder: r, session: r.User(user), channels: make(map[chat.ID]uint32)}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.logs = append(r.logs, l)
	return l
}

// Add appends a record with the current time, about a channel unless its id is zero.
func (l *Log) Add(rec Record, channel chat.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !channel.IsZero() {
		i, known := l.channels[channel]
		if !known {
			i = l.recorder.Channel(channel)
			l.channels[channel] = i
		}
		rec.Channel = i
	}
	rec.Session = l.session
	rec.At = l.recorder.Now()
	l.records = append(l.records, rec)
}

// History merges the records. Nothing may be added meanwhile.
func (r *Recorder) History() *History {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.h
	n := len(r.stored)
	var m merge
	for i, l := range r.logs {
		if n += len(l.records); len(l.records) > 0 {
			m = append(m, part{l.records, i})
		}
	}
	h.Records = make([]Record, 0, n)
	slices.SortStableFunc(r.stored, func(a, b Record) int {
		return cmp.Or(cmp.Compare(a.Channel, b.Channel), cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Kind, b.Kind))
	})
	h.Records = append(h.Records, r.stored...)
	for heap.Init(&m); len(m) > 0; {
		h.Records = append(h.Records, m[0].records[0])
		if m[0].records = m[0].records[1:]; len(m[0].records) == 0 {
			heap.Pop(&m)
		} else {
			heap.Fix(&m, 0)
		}
	}
	return &h
}

// part is the rest of one log, merge a heap of them by time.
type part struct {
	records []Record
	at      int
}

type merge []part

func (m merge) Len() int { return len(m) }
func (m merge) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(m[i].records[0].At, m[j].records[0].At), cmp.Compare(m[i].at, m[j].at)) < 0
}
func (m merge) Swap(i, j int) { m[i], m[j] = m[j], m[i] }
func (m *merge) Push(x any)   { *m = append(*m, x.(part)) }
func (m *merge) Pop() any {
	last := (*m)[len(*m)-1]
	*m = (*m)[:len(*m)-1]
	return last
}
