package history_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/history"
)

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

// TestEveryForgeryIsDetected checks that each forgery is reported under its rule, and
// nothing else is.
func TestEveryForgeryIsDetected(t *testing.T) {
	remove := func(h *history.History, i int) { h.Records = slices.Delete(h.Records, i, i+1) }
	insert := func(h *history.History, i int, r history.Record) { h.Records = slices.Insert(h.Records, i, r) }
	barrier := func(r *history.Record) bool { return r.Kind == history.Barrier }
	for _, c := range []struct {
		name  string
		want  []history.Rule
		first string // a part of the first violation
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
			"a stored message was not sent by any client",
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
				h.Records[i].What, h.Records[i].User = history.Join, 4
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
			[]history.Rule{history.EpochReported},
			"never notified",
			func(t *testing.T, h *history.History) {
				insert(h, find(t, h, barrier), history.Record{Kind: history.Connected, Session: 4, ID: id(8)})
			},
		},
		{
			"an epoch is announced that does not exist",
			[]history.Rule{history.EpochReported},
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
			[]history.Rule{history.EpochReported},
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
			described := false
			for _, v := range report.Violations {
				got = append(got, v.Rule)
				described = described || strings.Contains(v.First, c.first)
			}
			slices.Sort(got)
			slices.Sort(c.want)
			if !slices.Equal(got, c.want) || !described {
				t.Errorf("want %v with %q, got\n%v", c.want, c.first, report)
			}
		})
	}
}

func TestEveryRuleHasAForgery(t *testing.T) {
	// TestEveryForgeryIsDetected names the rules; this keeps the list complete.
	if len(history.Rules) != 16 {
		t.Errorf("%d rules: add a forgery for each new rule, then update this number", len(history.Rules))
	}
}
