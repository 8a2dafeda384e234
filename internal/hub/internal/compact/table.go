package compact

import (
	"hash/maphash"
	"math/bits"
	"slices"
)

// Keyed is an item of a Table: a pointer with a key that does not change while the
// item is in the Table.
type Keyed interface {
	comparable
	Key() string
}

// Table finds items by their keys. A map needs about fifty bytes for each: the key
// once more, and up to half of its space is unused. A Table needs ten: a pointer, in a
// hash table with linear probing that is a third empty after it has grown.
type Table[T Keyed] struct {
	seed  maphash.Seed
	slots []T // at least a fifth of them zero
	n     int
}

const minTable = 8

// NewTable returns an empty Table.
func NewTable[T Keyed]() Table[T] {
	return Table[T]{seed: maphash.MakeSeed(), slots: make([]T, minTable)}
}

// Get returns the item with a key, the zero T when there is none.
func (t *Table[T]) Get(key string) T { return t.slots[t.find(key)] }

// Len returns the number of items.
func (t *Table[T]) Len() int { return t.n }

// Add adds an item. The Table must not have one with the same key.
func (t *Table[T]) Add(item T) {
	if t.n++; t.n*5 > len(t.slots)*4 {
		t.resize()
	}
	t.slots[t.find(item.Key())] = item
}

// Remove removes an item. It does nothing if the Table has none or another one under
// that key. The items behind it move up (Knuth, "The Art of Computer Programming",
// volume 3, section 6.4, algorithm R), so that no mark has to stay in its slot.
func (t *Table[T]) Remove(item T) {
	var none T
	gap := t.find(item.Key())
	if t.slots[gap] != item {
		return
	}
	t.n--
	for i := t.next(gap); t.slots[i] != none; i = t.next(i) {
		home := t.home(t.slots[i].Key())
		// An item stays if its search begins behind the gap.
		if gap < i && gap < home && home <= i || gap > i && (gap < home || home <= i) {
			continue
		}
		t.slots[gap], gap = t.slots[i], i
	}
	t.slots[gap] = none
	if len(t.slots) > minTable && t.n*4 < len(t.slots) {
		t.resize()
	}
}

// All returns every item, in no order.
func (t *Table[T]) All() []T {
	var none T
	return slices.DeleteFunc(slices.Clone(t.slots), func(item T) bool { return item == none })
}

// home returns the slot at which the search for a key begins. It grows with the
// hash, so that any number of slots will do (Lemire, "Fast random integer generation
// in an interval", 2019).
func (t *Table[T]) home(key string) int {
	slot, _ := bits.Mul64(maphash.String(t.seed, key), uint64(len(t.slots)))
	return int(slot)
}

// find returns the slot of the item with a key, or the slot where it would be.
func (t *Table[T]) find(key string) int {
	var none T
	i := t.home(key)
	for t.slots[i] != none && t.slots[i].Key() != key {
		i = t.next(i)
	}
	return i
}

func (t *Table[T]) next(i int) int {
	if i++; i == len(t.slots) {
		return 0
	}
	return i
}

func (t *Table[T]) resize() {
	var none T
	old := t.slots
	t.slots = make([]T, max(t.n+t.n/2, minTable))
	for _, item := range old {
		if item != none {
			t.slots[t.find(item.Key())] = item
		}
	}
}
