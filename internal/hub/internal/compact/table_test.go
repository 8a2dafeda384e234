package compact

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

type item struct{ key string }

func (i *item) Key() string { return i.key }

// TestTableBehavesAsAMap adds and removes items at random, first more additions than
// removals and then the reverse.
func TestTableBehavesAsAMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	table, want := NewTable[*item](), make(map[string]*item)
	for step := range 40_000 {
		key := fmt.Sprintf("user-%d", rng.IntN(3000))
		known := want[key]
		if got := table.Get(key); got != known {
			t.Fatalf("step %d: Get returns %v, want %v", step, got, known)
		}
		removes := rng.IntN(10) < 2
		if step > 20_000 {
			removes = !removes
		}
		switch {
		case known == nil && !removes:
			added := &item{key}
			want[key] = added
			table.Add(added)
		case known != nil && removes:
			delete(want, key)
			table.Remove(known)
		case known == nil:
			table.Remove(&item{key}) // is not there
		}
		if table.Len() != len(want) {
			t.Fatalf("step %d: %d items, want %d", step, table.Len(), len(want))
		}
		if table.n*5 > len(table.slots)*4 {
			t.Fatalf("step %d: %d items in %d slots, want at most 80 percent", step, table.n, len(table.slots))
		}
	}
	all := table.All()
	if len(all) != len(want) {
		t.Fatalf("All returns %d items, want %d", len(all), len(want))
	}
	for _, i := range all {
		if want[i.key] != i {
			t.Fatalf("All returns %q, which was removed", i.key)
		}
		table.Remove(i)
	}
	if table.Len() != 0 || len(table.slots) != minTable {
		t.Fatalf("%d items in %d slots are left, want 0 in %d", table.Len(), len(table.slots), minTable)
	}
}

func TestRemoveSparesAnotherItemWithTheSameKey(t *testing.T) {
	table := NewTable[*item]()
	ada := &item{"ada"}
	table.Add(ada)
	table.Remove(&item{"ada"})
	if got := table.Get("ada"); got != ada {
		t.Errorf("Get returns %v, want the item that was added", got)
	}
}
