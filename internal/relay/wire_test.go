package relay

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chowk-chat/chowk/chat"
)

// TestUnknownMessagesAreIgnored: malformed ones, and those of a later version.
func TestUnknownMessagesAreIgnored(t *testing.T) {
	t.Parallel()
	id := newNodeID()
	good, err := encode(id, kindHead, time.UnixMicro(1), headNote{Channel: chat.NewID()})
	if err != nil {
		t.Fatal(err)
	}
	h, _, why := split(good)
	if diff := cmp.Diff(header{kindHead, id.String(), 1}, h, cmp.AllowUnexported(header{})); diff != "" || why != "" {
		t.Fatalf("ignored as %q; header (-want +got):\n%s", why, diff)
	}
	change := func(at int, to byte) []byte {
		m := append([]byte(nil), good...)
		m[at] = to
		return m
	}
	for _, c := range []struct {
		name string
		m    []byte
		why  ignored
	}{
		{"empty", nil, ignoredMalformed},
		{"a truncated header", good[:headerSize-1], ignoredMalformed},
		{"another version", change(0, 2), ignoredVersion},
		{"an unknown kind", change(1, 'Z'), ignoredKind},
		{"too large", append(good, make([]byte, maxBody)...), ignoredSize},
	} {
		if _, _, why := split(c.m); why != c.why {
			t.Errorf("%s: ignored as %q, want %q", c.name, why, c.why)
		}
	}
	if _, err := encode(id, kindJoins, time.UnixMicro(0), make([]byte, maxBody)); err == nil {
		t.Error("a message that is too large is encoded")
	}
}

// TestEveryKindHasAHandlerAndAName, and no other byte does.
func TestEveryKindHasAHandlerAndAName(t *testing.T) {
	t.Parallel()
	handlers := New(Config{}).handlers()
	for k := range kind(255) {
		name, isKind := kindNames[k]
		if _, handled := handlers[k]; handled != isKind || isKind && name == "" {
			t.Errorf("kind %q: handled is %v, name is %q", k, handled, name)
		}
	}
}

// TestUserTokensAreReversible: an id may have dots, which separate the parts of a subject.
func TestUserTokensAreReversible(t *testing.T) {
	t.Parallel()
	for _, id := range []chat.UserID{"ada", "eve.of.no-where:1"} {
		token := userToken(id)
		if got := userOf(token); got != id {
			t.Errorf("%s becomes %s, and that %s", id, token, got)
		}
	}
}
