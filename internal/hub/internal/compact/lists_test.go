package compact

import (
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
)

func TestBlockTakes16BytesWithItsFlags(t *testing.T) {
	if got := unsafe.Sizeof(Block[int, [7]bool]{}); got != 16 {
		t.Errorf("a block takes %d bytes, want 16", got)
	}
}

func TestBlockKeepsItsItems(t *testing.T) {
	var b Block[int, struct{}]
	if got := len(b.Items()); got != 0 {
		t.Errorf("the zero block has %d items, want 0", got)
	}
	b.Allocate(0)
	b.Allocate(3)
	second := &b.Items()[1]
	*second = 42
	b.Allocate(5)
	if diff := cmp.Diff([]int{0, 42, 0}, b.Items()); diff != "" {
		t.Errorf("items (-want +got):\n%s", diff)
	}
	if !b.Contains(second) || b.Contains(new(int)) {
		t.Error("Contains confuses an item with another value")
	}
	b.Free()
	if len(b.Items()) != 0 || b.Contains(second) || *second != 42 {
		t.Error("Free keeps items, or invalidates a pointer to one")
	}
	b.Allocate(MaxBlock + 1)
	if got := len(b.Items()); got != MaxBlock {
		t.Errorf("the block has %d items, want %d", got, MaxBlock)
	}
}

func TestSlotListMovesTheLastPair(t *testing.T) {
	var l SlotList[string]
	for i, owner := range []string{"a", "b", "c", "d"} {
		l.Add(owner, uint8(i))
	}
	l.Remove(1)
	l.Remove(2)
	if diff := cmp.Diff([]string{"a", "d"}, l.owners); diff != "" {
		t.Errorf("owners (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]uint8{0, 3}, l.slots); diff != "" {
		t.Errorf("slots (-want +got):\n%s", diff)
	}
}

func TestSlotListShrinks(t *testing.T) {
	var l SlotList[int]
	for i := range 1000 {
		l.Add(i, 0)
	}
	for l.Len() > 0 {
		l.Remove(0)
	}
	if got := cap(l.owners); got > 64 {
		t.Errorf("an empty list has a capacity of %d, want at most 64", got)
	}
}

func TestArenaCopies(t *testing.T) {
	var a Arena
	source := []byte("user-1")
	first := a.Copy(unsafe.String(&source[0], len(source)))
	clear(source)
	long := strings.Repeat("x", 2*chunkSize)
	if diff := cmp.Diff([]string{"user-1", long, "user-2"}, []string{first, a.Copy(long), a.Copy("user-2")}); diff != "" {
		t.Errorf("copies (-want +got):\n%s", diff)
	}
}

func TestArenaAllocatesChunks(t *testing.T) {
	var a Arena
	name := strings.Repeat("u", chunkSize/8)
	allocations := testing.AllocsPerRun(100, func() {
		for range 8 {
			a.Copy(name)
		}
	})
	if allocations != 1 {
		t.Errorf("%v allocations for a chunk of strings, want 1", allocations)
	}
}

func TestTableReturnsAllItemsOnce(t *testing.T) {
	table := NewTable[*item]()
	for _, key := range []string{"ada", "bob", "eve"} {
		table.Add(&item{key})
	}
	var keys []string
	for _, i := range table.All() {
		keys = append(keys, i.key)
	}
	slices.Sort(keys)
	if diff := cmp.Diff([]string{"ada", "bob", "eve"}, keys); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}
