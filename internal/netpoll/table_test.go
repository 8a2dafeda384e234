package netpoll

import "testing"

// An event that was reported for a socket that is closed meanwhile must not reach the
// next socket in its slot.
func TestSlotsHaveGenerations(t *testing.T) {
	var tab table
	first, second := &Conn{}, &Conn{}
	g1, err := tab.add(first, 0)
	if err != nil {
		t.Fatal(err)
	}
	if tab.find(first.slot, g1) != first {
		t.Error("find does not return the first socket")
	}
	tab.remove(first)
	if tab.find(first.slot, g1) != nil {
		t.Error("find returns a socket that was removed")
	}
	g2, err := tab.add(second, 0)
	if err != nil {
		t.Fatal(err)
	}
	if second.slot != first.slot || g2 == g1 {
		t.Fatalf("slot %d generation %d came after slot %d generation %d, want the same slot and another generation",
			second.slot, g2, first.slot, g1)
	}
	if tab.find(second.slot, g2) != second {
		t.Error("find does not return the second socket")
	}
	if tab.find(second.slot, g1) != nil {
		t.Error("find returns the second socket for the generation of the first")
	}
	if tab.find(1<<20, 0) != nil {
		t.Error("find returns a socket for a slot that does not exist")
	}
}
