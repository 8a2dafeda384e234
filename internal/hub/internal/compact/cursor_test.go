package compact

import (
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/chowk-chat/chowk/chat"
)

type state uint8

func TestCursorTakes16Bytes(t *testing.T) {
	if got := unsafe.Sizeof(Cursor[state]{}); got != 16 {
		t.Errorf("a cursor takes %d bytes, want 16", got)
	}
}

// fields are all that a Cursor stores.
type fields struct {
	Seq, JoinedSeq   chat.Seq
	State            state
	NotMember, Ended bool
	Holds, Index     int
}

func fieldsOf(c *Cursor[state]) fields {
	f := fields{
		Seq: c.Seq(), JoinedSeq: c.JoinedSeq(), State: c.State(),
		NotMember: c.NotMember(), Ended: c.Ended(), Index: c.Index(),
	}
	for c.Held() {
		c.Release()
		f.Holds++
	}
	for range f.Holds {
		c.Hold()
	}
	return f
}

func TestCursorFieldsDoNotAffectEachOther(t *testing.T) {
	var c Cursor[state]
	want := fields{Index: -1}
	check := func(call string) {
		t.Helper()
		if diff := cmp.Diff(want, fieldsOf(&c)); diff != "" {
			t.Errorf("after %s (-want +got):\n%s", call, diff)
		}
	}
	check("no call")
	for _, i := range []int{0, 7, MaxIndex, -1, 12} {
		c.SetIndex(i)
		want.Index = i
		check("SetIndex")
	}
	for _, seq := range []chat.Seq{1, 1 << 40, MaxSeq, 12} {
		c.SetSeq(seq)
		want.Seq = seq
		check("SetSeq")
	}
	for _, s := range []state{3, 1, 0, 2} {
		c.SetState(s)
		want.State = s
		check("SetState")
	}
	for _, notMember := range []bool{true, false, true} {
		c.SetNotMember(notMember)
		want.NotMember = notMember
		check("SetNotMember")
	}
	c.Join(MaxJoinedSeq)
	want.JoinedSeq = MaxJoinedSeq
	check("Join")
	c.End()
	want.Ended = true
	check("End")
	c.Join(MaxJoinedSeq + 77)
	want.Ended = false
	check("Join beyond MaxJoinedSeq")
	c.Join(77)
	want.JoinedSeq = 77
	check("the last Join")
	for range MaxHolds {
		if !c.Hold() {
			t.Fatal("Hold reports false before MaxHolds")
		}
		want.Holds++
	}
	if c.Hold() {
		t.Error("Hold reports true beyond MaxHolds")
	}
	check("Hold")
	for range MaxHolds {
		c.Release()
		want.Holds--
	}
	check("Release")
}
