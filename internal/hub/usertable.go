package hub

import (
	"hash/maphash"
	"math/bits"
	"slices"

	"github.com/chowk-chat/chowk/chat"
)

// userTable finds users by their ids. Every user with a socket is in it, and a map
// would take some fifty bytes for each: the id once more, and up to half of its
// room unused. This takes ten: a pointer, in a table that is open to the next free
// slot and grows by a fifth.
type userTable struct {
	seed  maphash.Seed
	slots []*user // at least a fifth of them nil
	n     int
}

const rosterLeast = 8

func newRoster() userTable {
	return userTable{seed: maphash.MakeSeed(), slots: make([]*user, rosterLeast)}
}

// home is the slot at which the search for an id begins. It grows with the hash, so
// that any number of slots will do (Lemire, "Fast random integer generation in an
// interval", 2019).
func (r *userTable) home(id chat.UserID) int {
	slot, _ := bits.Mul64(maphash.String(r.seed, string(id)), uint64(len(r.slots)))
	return int(slot)
}

// find gives the slot of the user, or the one where he would be.
func (r *userTable) find(id chat.UserID) int {
	i := r.home(id)
	for r.slots[i] != nil && r.slots[i].id != id {
		i = r.after(i)
	}
	return i
}

func (r *userTable) after(i int) int {
	if i++; i == len(r.slots) {
		return 0
	}
	return i
}

// get gives the user, nil when he is not there.
func (r *userTable) get(id chat.UserID) *user { return r.slots[r.find(id)] }

// add is for a user who is not there.
func (r *userTable) add(u *user) {
	if r.n++; r.n*5 > len(r.slots)*4 {
		r.resize()
	}
	r.slots[r.find(u.id)] = u
}

// remove takes out u, if he is there. Those behind him move up (Knuth, "The Art of
// Computer Programming", volume 3, section 6.4, algorithm R), so that no mark has to
// stay in his place.
func (r *userTable) remove(u *user) {
	hole := r.find(u.id)
	if r.slots[hole] != u {
		return
	}
	r.n--
	for i := r.after(hole); r.slots[i] != nil; i = r.after(i) {
		home := r.home(r.slots[i].id)
		// Whose home lies behind the hole, up to where he is, stays.
		if hole < i && hole < home && home <= i || hole > i && (hole < home || home <= i) {
			continue
		}
		r.slots[hole], hole = r.slots[i], i
	}
	r.slots[hole] = nil
	if len(r.slots) > rosterLeast && r.n*4 < len(r.slots) {
		r.resize()
	}
}

func (r *userTable) resize() {
	old := r.slots
	r.slots = make([]*user, max(r.n+r.n/2, rosterLeast))
	for _, u := range old {
		if u != nil {
			r.slots[r.find(u.id)] = u
		}
	}
}

// all gives everybody.
func (r *userTable) all() []*user {
	return slices.DeleteFunc(slices.Clone(r.slots), func(u *user) bool { return u == nil })
}
