package hub

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// TestARosterIsAMap lets users come and go at random, many more coming than going at
// first and then the other way, and compares with a map.
func TestARosterIsAMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	r, want := newRoster(), make(map[chat.UserID]*user)
	most := 0
	for step := range 40_000 {
		id := chat.UserID(fmt.Sprintf("user-%d", rng.IntN(3000)))
		u := want[id]
		if got := r.get(id); got != u {
			t.Fatalf("step %d: found %v, want %v", step, got, u)
		}
		leaving := rng.IntN(10) < 2
		if step > 20_000 {
			leaving = !leaving
		}
		switch {
		case u == nil && !leaving:
			u = &user{id: id}
			want[id] = u
			r.add(u)
		case u != nil && leaving:
			delete(want, id)
			r.remove(u)
		case u == nil:
			r.remove(&user{id: id}) // is not there
		}
		most = max(most, len(r.slots))
		if r.n != len(want) {
			t.Fatalf("step %d: %d users, want %d", step, r.n, len(want))
		}
		if r.n*5 > len(r.slots)*4 {
			t.Fatalf("step %d: %d users in %d slots: too full", step, r.n, len(r.slots))
		}
	}
	all := r.all()
	if len(all) != len(want) {
		t.Fatalf("all gives %d users of %d", len(all), len(want))
	}
	for _, u := range all {
		if want[u.id] != u {
			t.Fatalf("all gives %v, who is not there", u.id)
		}
		r.remove(u)
	}
	if r.n != 0 || len(r.slots) != rosterLeast {
		t.Fatalf("%d users are left, in %d slots (there were %d)", r.n, len(r.slots), most)
	}
}

// TestARosterOfSomeoneElseWithTheSameID: whoever was replaced takes nobody else out.
func TestARosterOfSomeoneElseWithTheSameID(t *testing.T) {
	r := newRoster()
	u := &user{id: "ada"}
	r.add(u)
	r.remove(&user{id: "ada"})
	if r.get("ada") != u {
		t.Fatal("another user of that name took her out")
	}
}

// TestAUserWhoWasForgottenWhileHeArrived: another socket of the same user came and
// closed between his being made known and his first socket. That place is used up,
// and he is made known elsewhere.
func TestAUserWhoWasForgottenWhileHeArrived(t *testing.T) {
	h := Start(Config{Store: nowhere{}})
	defer h.Close()
	var place user
	h.withUser("ada", &place, func(u *user) {
		if u != &place {
			t.Error("a place that is free is not used")
		}
	})
	h.release(&place)
	done := make(chan *user, 1)
	go h.withUser("ada", &place, func(u *user) { done <- u }) // ends at once, or never
	select {
	case u := <-done:
		if u == &place || h.lookupUser("ada") != u {
			t.Error("he is known as somebody who was forgotten")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("he is still looked for")
	}
}
