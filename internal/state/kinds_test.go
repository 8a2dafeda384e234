package state

import (
	"strings"
	"testing"
)

// TestALineThatLacksAPartIsFound removes each part of each line in turn.
func TestALineThatLacksAPartIsFound(t *testing.T) {
	if err := checkKinds(kinds[1:]); err != nil {
		t.Fatal(err)
	}
	for _, k := range Kinds() {
		for part, remove := range map[string]func(*kind){
			"name":    func(k *kind) { k.name = "" },
			"about":   func(k *kind) { k.about = 0 },
			"actors":  func(k *kind) { k.actors = 0 },
			"roles":   func(k *kind) { k.roles, k.author = 0, false },
			"refusal": func(k *kind) { k.refusal = "" },
			"archive": func(k *kind) { k.archive = 0 },
			"load":    func(k *kind) { k.load = nil },
			"apply":   func(k *kind) { k.apply = nil },
		} {
			lines := kinds
			remove(&lines[k])
			if err := checkKinds(lines[1:]); err == nil || !strings.Contains(err.Error(), " has no "+part) {
				t.Errorf("%s without its %s: error %v", k, part, err)
			}
		}
	}
}

func TestALineMustMakeSense(t *testing.T) {
	for part, change := range map[string]func(*[endOfKinds]kind){
		"name of its own":        func(lines *[endOfKinds]kind) { lines[EditMessage].name = lines[DeleteMessage].name },
		"message for its author": func(lines *[endOfKinds]kind) { lines[AddMember].author = true },
		"name":                   func(lines *[endOfKinds]kind) { lines[AddReaction] = kind{} },
	} {
		lines := kinds
		change(&lines)
		if err := checkKinds(lines[1:]); err == nil || !strings.Contains(err.Error(), " has no "+part) {
			t.Errorf("a line without a %s: error %v", part, err)
		}
	}
}

func TestKindsHaveNames(t *testing.T) {
	for _, k := range Kinds() {
		if got := k.String(); got == "" || strings.ToLower(got) != got || strings.Contains(got, " ") {
			t.Errorf("kind %d has the name %q", uint8(k), got)
		}
	}
	for _, k := range []ChangeKind{0, endOfKinds, 255} {
		if got := k.String(); !strings.HasPrefix(got, "change kind ") {
			t.Errorf("kind %d has the name %q", uint8(k), got)
		}
	}
}
