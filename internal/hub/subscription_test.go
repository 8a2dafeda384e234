package hub

import (
	"testing"
	"unsafe"

	"github.com/chowk-chat/chowk/chat"
)

func TestACursorIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(subscription{}); n > 24 {
		t.Errorf("a cursor takes %d bytes, and an idle socket has one for each channel", n)
	}
}

// TestWhatAPairSaysIsApart: what is packed together does not change each other.
func TestWhatAPairSaysIsApart(t *testing.T) {
	type said struct {
		cursor, began chat.Seq
		state         pairState
		out, ended    bool
		holds, place  int
	}
	ask := func(p *subscription) said {
		s := said{cursor: p.cursor(), began: p.began(), state: p.state(), out: p.notMember(), ended: p.ended(), place: p.place()}
		for p.held() {
			p.letGo()
			s.holds++
		}
		for range s.holds {
			p.hold()
		}
		return s
	}
	var p subscription
	want := said{place: -1}
	check := func(what string) {
		t.Helper()
		if got := ask(&p); got != want {
			t.Errorf("after %s: %+v, want %+v", what, got, want)
		}
	}
	check("nothing")
	for _, at := range []int{0, 7, placeBits - 1, -1, 12} {
		p.setPlace(at)
		want.place = at
		check("setPlace")
	}
	for _, seq := range []chat.Seq{1, 1 << 40, 1<<48 - 1, 12} {
		p.moveTo(seq)
		want.cursor = seq
		check("moveTo")
	}
	for _, st := range []pairState{unsubscribed, live, opening, behind} {
		p.become(st)
		want.state = st
		check("become")
	}
	for _, out := range []bool{true, false, true} {
		p.setNotMember(out)
		want.out = out
		check("setOut")
	}
	p.begin(beganMost)
	want.began = beganMost
	check("begin")
	p.end()
	want.ended = true
	check("end")
	p.begin(77)
	want.began, want.ended = 77, false
	check("begin again")
	for range holdMost {
		if !p.hold() {
			t.Fatal("no hold left")
		}
		want.holds++
	}
	if p.hold() {
		t.Error("one hold more than there is room for")
	}
	check("hold")
	p.become(live)
	if want.state = live; p.served() {
		t.Error("served although it is held")
	}
	for range holdMost {
		p.letGo()
	}
	if want.holds = 0; !p.served() {
		t.Error("not served although it is live and not held")
	}
	check("letGo")
}
