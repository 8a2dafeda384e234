package compact

import "unsafe"

// MaxBlock is the most items of a Block.
const MaxBlock = 64

// Block is a fixed number of T in one allocation. Allocated one by one, with
// pointers to each, they would be most of the memory of an idle socket. F fills
// bytes of the Block that would otherwise be padding. The zero Block is empty.
type Block[T, F any] struct {
	first *T
	count uint8
	Flags F
}

// Allocate allocates n items, MaxBlock at most. It does nothing if the Block has
// items already.
func (b *Block[T, F]) Allocate(n int) {
	if b.first == nil && n > 0 {
		items := make([]T, min(n, MaxBlock))
		b.first, b.count = &items[0], uint8(len(items))
	}
}

// Free drops the items. Pointers to them stay valid.
func (b *Block[T, F]) Free() { b.first, b.count = nil, 0 }

// Items returns all items. The slice is not a copy.
func (b *Block[T, F]) Items() []T { return unsafe.Slice(b.first, b.count) }

// Contains reports whether p points to an item of the Block.
func (b *Block[T, F]) Contains(p *T) bool {
	items := b.Items()
	for i := range items {
		if &items[i] == p {
			return true
		}
	}
	return false
}
