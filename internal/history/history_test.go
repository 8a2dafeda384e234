package history_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

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
		stored = append(stored, history.Record{Kind: history.Stored, What: history.Founds, Channel: uint32(ch), Seq: 1})
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
					Kind: history.Stored, What: history.Leaves, Channel: 0, Seq: int64(n),
					User: 3,
				})
				deliver(ch, n, history.Record{What: history.Leaves, User: 3})
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
	if r.Acked != 3*(perChannel-1)-1 || r.Repeated == 0 || r.Unknown == 0 || len(r.FirstAck) != 1 || len(r.Resumed) != 1 ||
		r.Staleness.Max == 0 {
		t.Errorf("%+v", r)
	}
}

// find returns the position of the nth record that f accepts.
func find(t *testing.T, h *history.History, f func(*history.Record) bool) int {
	t.Helper()
	for i := range h.Records {
		if f(&h.Records[i]) {
			return i
		}
	}
	t.Fatal("there is nothing to forge")
	return -1
}

func is(kind history.Kind, channel uint32, seq chat.Seq, session uint32) func(*history.Record) bool {
	return func(r *history.Record) bool {
		return r.Kind == kind && r.Channel == channel && r.Seq == seq && r.Session == session
	}
}

func stored(channel uint32, seq chat.Seq) func(*history.Record) bool {
	return func(r *history.Record) bool {
		return r.Kind == history.Stored && r.Channel == channel && r.Seq == seq
	}
}

// TestEveryForgeryIsFound checks that each forgery is reported under its rule, and
// nothing else is.
func TestEveryForgeryIsFound(t *testing.T) {
	remove := func(h *history.History, i int) { h.Records = slices.Delete(h.Records, i, i+1) }
	insert := func(h *history.History, i int, r history.Record) { h.Records = slices.Insert(h.Records, i, r) }
	barrier := func(r *history.Record) bool { return r.Kind == history.Barrier }
	for _, c := range []struct {
		name  string
		want  []history.Rule
		says  string
		forge func(t *testing.T, h *history.History)
	}{
		{
			"a stored message vanishes",
			[]history.Rule{history.Acknowledged, history.Gapless, history.Existing},
			"seq 19 is followed by 21", func(t *testing.T, h *history.History) {
				remove(h, find(t, h, stored(1, 20)))
			},
		},
		{
			"the last stored message vanishes",
			[]history.Rule{history.Acknowledged, history.Existing},
			"seq 60 was acknowledged", func(t *testing.T, h *history.History) {
				remove(h, find(t, h, stored(1, perChannel)))
			},
		},
		{
			"a seq is given twice",
			[]history.Rule{history.Gapless},
			"seq 20 is stored twice",
			func(t *testing.T, h *history.History) {
				i := find(t, h, stored(1, 20))
				insert(h, i, h.Records[i])
			},
		},
		{
			"a message is stored twice",
			[]history.Rule{history.OnceStored},
			"at seq 60",
			func(t *testing.T, h *history.History) {
				i := find(t, h, stored(1, perChannel))
				r := h.Records[i]
				r.Seq++
				insert(h, i+1, r)
				for u := range uint32(5) { // and everyone got it
					r.Session, r.Kind = u, history.Received
					insert(h, find(t, h, barrier), r)
					r.Kind = history.Delivered
					insert(h, find(t, h, barrier), r)
				}
			},
		},
		{
			"two acks are swapped",
			[]history.Rule{history.Acknowledged, history.RealTime},
			"was acknowledged to",
			func(t *testing.T, h *history.History) {
				a := find(t, h, func(r *history.Record) bool { return r.Kind == history.Acked && r.Channel == 1 && r.Seq == 20 })
				b := find(t, h, func(r *history.Record) bool { return r.Kind == history.Acked && r.Channel == 1 && r.Seq == 21 })
				h.Records[a].Seq, h.Records[b].Seq = 21, 20
			},
		},
		{
			"a retry is acknowledged elsewhere",
			[]history.Rule{history.SameAck, history.Acknowledged, history.RealTime},
			"with seq 20 and with seq 22", func(t *testing.T, h *history.History) {
				i := find(t, h, func(r *history.Record) bool { return r.Kind == history.Acked && r.Channel == 1 && r.Seq == 20 })
				r := h.Records[i]
				r.Seq = 22
				insert(h, i+1, r)
			},
		},
		{"a later send comes earlier", []history.Rule{history.RealTime}, "before", func(t *testing.T, h *history.History) {
			ack := find(t, h, func(r *history.Record) bool { return r.Kind == history.Acked && r.Channel == 1 && r.Seq == 21 })
			r := h.Records[ack]
			remove(h, ack)
			invoked := find(t, h, func(x *history.Record) bool {
				return x.Kind == history.Invoked && x.Channel == 1 && x.ID == h.Records[find(t, h, stored(1, 20))].ID
			})
			first := h.Records[find(t, h, func(x *history.Record) bool { return x.Kind == history.Invoked && x.ID == r.ID })]
			insert(h, invoked, first)
			insert(h, invoked+1, r)
		}},
		{
			"something is delivered that is not stored",
			[]history.Rule{history.Existing},
			"which is not stored",
			func(t *testing.T, h *history.History) {
				insert(h, find(t, h, barrier), history.Record{
					Kind: history.Received, What: history.Message, Channel: 1, Seq: 1000,
					Session: 1, ID: id(5),
				})
			},
		},
		{
			"one is delivered another message",
			[]history.Rule{history.Agreed, history.Genuine},
			"at seq 20",
			func(t *testing.T, h *history.History) {
				h.Records[find(t, h, is(history.Received, 1, 20, 4))].ID = id(5)
			},
		},
		{
			"a message is stored that nobody sent",
			[]history.Rule{history.Genuine},
			"no client sent it",
			func(t *testing.T, h *history.History) {
				i := find(t, h, stored(1, 20))
				for j := range h.Records {
					if h.Records[j].ID == h.Records[i].ID && h.Records[j].Kind >= history.Invoked &&
						h.Records[j].Kind <= history.Unknown {
						h.Records[j].Kind = history.CaughtUp
					}
				}
			},
		},
		{"a delivery is dropped", []history.Rule{history.NoGap}, "after 19", func(t *testing.T, h *history.History) {
			remove(h, find(t, h, is(history.Delivered, 1, 20, 4)))
		}},
		{
			"a join is made up to hide a gap",
			[]history.Rule{history.NoGap},
			"after 19",
			func(t *testing.T, h *history.History) {
				remove(h, find(t, h, is(history.Delivered, 1, 20, 4)))
				i := find(t, h, is(history.Delivered, 1, 21, 4))
				h.Records[i].What, h.Records[i].User = history.Joins, 4
			},
		},
		{"a delivery is repeated", []history.Rule{history.NoRepeat}, "seq 20 of", func(t *testing.T, h *history.History) {
			i := find(t, h, is(history.Delivered, 1, 20, 4))
			insert(h, i+1, h.Records[i])
		}},
		{
			"two deliveries are swapped",
			[]history.Rule{history.NoGap, history.NoRepeat},
			"after 19",
			func(t *testing.T, h *history.History) {
				a, b := find(t, h, is(history.Delivered, 1, 20, 4)), find(t, h, is(history.Delivered, 1, 21, 4))
				h.Records[a], h.Records[b] = h.Records[b], h.Records[a]
			},
		},
		{"the end never arrives", []history.Rule{history.Complete}, "up to 59 of 60", func(t *testing.T, h *history.History) {
			remove(h, find(t, h, is(history.Delivered, 1, perChannel, 4)))
		}},
		{
			"a new member receives nothing",
			[]history.Rule{history.Complete},
			"received nothing",
			func(t *testing.T, h *history.History) {
				h.Names = append(h.Names, "late")
				i := find(t, h, func(r *history.Record) bool { return r.Kind == history.InitialMember && r.Channel == 1 })
				insert(h, i, history.Record{Kind: history.InitialMember, Channel: 1, Seq: 1, User: 5})
				h.Records = append(h.Records, history.Record{Kind: history.Barrier, Session: 5})
			},
		},
		{
			"a resume skips a gap",
			[]history.Rule{history.CursorBehind},
			"resumed from seq 70",
			func(t *testing.T, h *history.History) {
				insert(h, find(t, h, barrier), history.Record{Kind: history.Resumed, Channel: 1, Seq: 70, Session: 4})
			},
		},
		{"a refusal is stored", []history.Rule{history.Refusal}, "was refused", func(t *testing.T, h *history.History) {
			i := find(t, h, func(r *history.Record) bool { return r.Kind == history.Acked && r.Channel == 1 && r.Seq == 20 })
			h.Records[i].Kind = history.Refused
		}},
		{
			"a removed member receives more",
			[]history.Rule{history.Removal},
			"while not a member",
			func(t *testing.T, h *history.History) {
				i := find(t, h, is(history.Received, 0, removedAt+1, 2))
				r := h.Records[i]
				r.Session = 3
				insert(h, i, r)
			},
		},
		{
			"another epoch is not announced",
			[]history.Rule{history.EpochTold},
			"never notified",
			func(t *testing.T, h *history.History) {
				insert(h, find(t, h, barrier), history.Record{Kind: history.Connected, Session: 4, ID: id(8)})
			},
		},
		{
			"an epoch is announced that does not exist",
			[]history.Rule{history.EpochTold},
			"but there is none",
			func(t *testing.T, h *history.History) {
				insert(h, find(t, h, barrier), history.Record{
					Kind: history.Resyncs, What: history.ReasonEpoch, Session: 4,
					Channel: 1, Seq: perChannel,
				})
			},
		},
		{
			"a tail is lost in one epoch",
			[]history.Rule{history.EpochTold},
			"in one epoch",
			func(t *testing.T, h *history.History) {
				insert(h, find(t, h, barrier), history.Record{
					Kind: history.Resyncs, What: history.ReasonAhead, Session: 4,
					Channel: 1, Seq: perChannel,
				})
			},
		},
		{
			"a send is never answered",
			[]history.Rule{history.Resolved},
			"has no answer",
			func(t *testing.T, h *history.History) {
				remove(h, find(t, h, func(r *history.Record) bool {
					return r.Kind == history.Acked && r.Channel == 1 &&
						r.Seq == 20
				}))
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := calm(3, 5, perChannel)
			c.forge(t, h)
			report := history.Check(h)
			var got []history.Rule
			said := false
			for _, v := range report.Violations {
				got = append(got, v.Rule)
				said = said || strings.Contains(v.First, c.says)
			}
			slices.Sort(got)
			slices.Sort(c.want)
			if !slices.Equal(got, c.want) || !said {
				t.Errorf("want %v with %q, got\n%v", c.want, c.says, report)
			}
		})
	}
}

func TestEveryRuleIsForged(t *testing.T) {
	// TestEveryForgeryIsFound names the rules; this keeps the list complete.
	if len(history.Rules) != 16 {
		t.Errorf("%d rules: forge a history for each new one, then count it here", len(history.Rules))
	}
}

func TestAFileReadsBackAsWritten(t *testing.T) {
	h := calm(3, 5, perChannel)
	var file bytes.Buffer
	if err := h.Write(&file); err != nil {
		t.Fatal(err)
	}
	whole := file.Bytes()
	back, err := history.Read(bytes.NewReader(whole))
	if err != nil || !slices.Equal(back.Records, h.Records) || !slices.Equal(back.Channels, h.Channels) ||
		!slices.Equal(back.Names, h.Names) {
		t.Errorf("read: %v", err)
	}
	for _, n := range []int{0, 10, 40, len(whole) - 1} {
		if _, err := history.Read(bytes.NewReader(whole[:n])); err == nil {
			t.Errorf("a file cut at %d of %d was read", n, len(whole))
		}
	}
}

func TestTheRecorderMergesByTime(t *testing.T) {
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
			t.Errorf("record %d is %+v", i, rec)
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
