package compact

import "slices"

// SlotList is a list of pairs: an owner, and a number that means something to the
// owner. They are kept in two slices, because a slice of pairs would pad each
// number to a word.
type SlotList[T comparable] struct {
	owners []T
	slots  []uint8
}

// Len returns the number of pairs.
func (l *SlotList[T]) Len() int { return len(l.owners) }

// At returns the pair at an index.
func (l *SlotList[T]) At(i int) (owner T, slot uint8) { return l.owners[i], l.slots[i] }

// Add appends a pair.
func (l *SlotList[T]) Add(owner T, slot uint8) {
	if n := len(l.owners); n == cap(l.owners) { // in smaller steps than append's: there are many lists
		more := n/8 + 4
		l.owners, l.slots = grow(l.owners, more), grow(l.slots, more)
	}
	l.owners, l.slots = append(l.owners, owner), append(l.slots, slot)
}

// Remove removes the pair at an index, and moves the last pair there.
func (l *SlotList[T]) Remove(i int) {
	last := len(l.owners) - 1
	l.owners[i], l.slots[i] = l.owners[last], l.slots[last]
	var none T
	l.owners[last] = none
	l.owners, l.slots = l.owners[:last], l.slots[:last]
	if cap(l.owners) > 64 && len(l.owners) < cap(l.owners)/4 {
		l.owners, l.slots = slices.Clone(l.owners), slices.Clone(l.slots)
	}
}

func grow[T any](list []T, more int) []T {
	return append(make([]T, 0, len(list)+more), list...)
}
