package history_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/history"
)

const (
	perChannel = 60
	removedAt  = 40 // u3 is removed from channel 0 here
)

func id(n uint64) (id chat.ID) {
	binary.BigEndian.PutUint64(id[8:], n)
	id[6] = 0x70
	return id
}

// calm returns a history without a fault: every user is a member of every channel,
// sends in turn, and receives everything; one is removed; one reconnects in between and
// is sent some entries twice.
func calm(channels, users, messages int) *history.History {
	h := &history.History{}
	for i := range channels {
		h.Channels = append(h.Channels, id(uint64(1e9+i)))
	}
	for i := range users {
		h.Names = append(h.Names, chat.UserID(fmt.Sprint("u", i)))
	}
	var stored, events []history.Record
	at := int64(0)
	add := func(r history.Record) {
		at += 1000
		r.At = at
		events = append(events, r)
	}
	for u := range users {
		add(history.Record{Kind: history.Connected, Session: uint32(u), ID: id(7)})
		for ch := range channels {
			add(history.Record{Kind: history.Began, Session: uint32(u), Channel: uint32(ch), Seq: 1})
		}
	}
	for ch := range channels {
		stored = append(stored, history.Record{Kind: history.Stored, What: history.Creation, Channel: uint32(ch), Seq: 1})
		for u := range users {
			stored = append(stored, history.Record{Kind: history.InitialMember, Channel: uint32(ch), Seq: 1, User: uint32(u)})
		}
	}
	gone := func(ch, u, seq int) bool { return ch == 0 && u == 3 && seq > removedAt }
	deliver := func(ch, seq int, r history.Record) {
		for u := range users {
			if gone(ch, u, seq) {
				continue
			}
			r.Session, r.Channel, r.Seq, r.Flags = uint32(u), uint32(ch), int64(seq), 0
			r.Kind = history.Received
			add(r)
			if seq%10 == 0 {
				add(r) // raw repeats are a cost
			}
			r.Kind = history.Delivered
			add(r)
		}
	}
	for n := 2; n <= messages; n++ {
		for ch := range channels {
			if ch == 0 && n == removedAt {
				stored = append(stored, history.Record{
					Kind: history.Stored, What: history.Leave, Channel: 0, Seq: int64(n),
					User: 3,
				})
				deliver(ch, n, history.Record{What: history.Leave, User: 3})
				continue
			}
			r := history.Record{
				What: history.Message, Flags: history.FlagSend, Session: uint32((n + ch) % 3),
				Channel: uint32(ch), ID: id(uint64(n*channels + ch)),
			}
			r.Kind = history.Invoked
			add(r)
			if n%7 == 0 {
				r.Kind = history.Unknown
				add(r)
			}
			r.Kind, r.Seq = history.Acked, int64(n)
			add(r)
			stored = append(stored, history.Record{
				Kind: history.Stored, What: history.Message, Channel: uint32(ch),
				Seq: int64(n), User: r.Session, ID: r.ID,
			})
			deliver(ch, n, history.Record{What: history.Message, User: r.Session, ID: r.ID})
		}
		if n == 50 {
			add(history.Record{Kind: history.FaultBegins})
			add(history.Record{Kind: history.FaultEnds})
			add(history.Record{Kind: history.Connected, Session: 2, ID: id(7)})
			add(history.Record{Kind: history.Resumed, Session: 2, Channel: 0, Seq: 50})
			add(history.Record{Kind: history.CaughtUp, Session: 2})
		}
	}
	for u := range users {
		add(history.Record{Kind: history.Barrier, Session: uint32(u)})
	}
	slices.SortStableFunc(stored, func(a, b history.Record) int { return int(a.Channel) - int(b.Channel) })
	h.Records = append(stored, events...)
	return h
}

func TestACalmHistoryPasses(t *testing.T) {
	r := history.Check(calm(3, 5, perChannel))
	if len(r.Violations) > 0 {
		t.Errorf("%v", r)
	}
	if want := 3*(perChannel-1) - 1; r.Acked != want {
		t.Errorf("%d changes were acknowledged, want %d", r.Acked, want)
	}
	if len(r.FirstAck) != 1 || len(r.Resumed) != 1 {
		t.Errorf("first acks %v and resumes %v, want one of each", r.FirstAck, r.Resumed)
	}
	if r.Repeated == 0 || r.Unknown == 0 || r.Staleness.Max == 0 {
		t.Errorf("%d repeated, %d unknown, staleness %v; want more than 0 of each", r.Repeated, r.Unknown, r.Staleness)
	}
}

func TestFileRoundTrip(t *testing.T) {
	h := calm(3, 5, perChannel)
	var file bytes.Buffer
	if err := h.Write(&file); err != nil {
		t.Fatal(err)
	}
	whole := file.Bytes()
	back, err := history.Read(bytes.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(h, back); diff != "" {
		t.Errorf("read (+) differs from what was written (-):\n%s", diff)
	}
	for _, n := range []int{0, 10, 40, len(whole) - 1} {
		if _, err := history.Read(bytes.NewReader(whole[:n])); err == nil {
			t.Errorf("a file cut at %d of %d was read", n, len(whole))
		}
	}
}

func TestRecorderMergesByTime(t *testing.T) {
	r := history.NewRecorder()
	a, b := r.Session("a"), r.Session("b")
	for i := range 10 {
		l := a
		if i%3 == 0 {
			l = b
		}
		l.Add(history.Record{Kind: history.Delivered, Seq: int64(i + 1)}, id(9))
	}
	r.Store(history.Record{Kind: history.Stored, Seq: 1, Channel: r.Channel(id(9))})
	h := r.History()
	if len(h.Records) != 11 || h.Records[0].Kind != history.Stored {
		t.Fatalf("%d records, the first a %v", len(h.Records), h.Records[0].Kind)
	}
	for i, rec := range h.Records[1:] {
		if rec.Seq != int64(i+1) || h.Channels[rec.Channel] != id(9) {
			t.Errorf("record %d has seq %d of channel %v, want seq %d of %v", i+1, rec.Seq, h.Channels[rec.Channel], i+1, id(9))
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	h := calm(100, 20, 500)
	b.ResetTimer()
	for range b.N {
		if r := history.Check(h); len(r.Violations) > 0 {
			b.Fatal(r)
		}
	}
	b.ReportMetric(float64(len(h.Records))*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrecords/s")
}
