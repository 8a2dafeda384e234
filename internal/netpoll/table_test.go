package netpoll

import "testing"

// An event that the kernel reported for a socket that is closed by the time it is
// looked at must not reach whoever has its place now.
func TestAPlaceHasGenerations(t *testing.T) {
	var tab table
	first, second := &Conn{}, &Conn{}
	g1, err := tab.add(first, 0)
	if err != nil {
		t.Fatal(err)
	}
	if tab.find(first.slot, g1) != first {
		t.Error("a socket is not at its place")
	}
	tab.remove(first)
	if tab.find(first.slot, g1) != nil {
		t.Error("a socket that is gone is at its place")
	}
	g2, err := tab.add(second, 0)
	if err != nil {
		t.Fatal(err)
	}
	if second.slot != first.slot || g2 == g1 {
		t.Fatalf("place %d generation %d was followed by place %d generation %d", first.slot, g1, second.slot, g2)
	}
	if tab.find(second.slot, g1) != nil || tab.find(second.slot, g2) != second || tab.find(1<<20, 0) != nil {
		t.Error("a stale event is taken for a new socket's")
	}
}
