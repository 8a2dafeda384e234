package chat_test

import (
	"encoding/base64"
	"maps"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/chowk-chat/chowk/chat"
)

func TestCompactFormRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		epoch := rapid.StringMatching(`[0-9a-f]{16}(-[0-9]+)*`).Draw(t, "epoch")
		cursors := make(map[chat.ID]chat.Seq)
		for range rapid.IntRange(0, 50).Draw(t, "channels") {
			id := chat.ID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
			cursors[id] = rapid.Int64Range(0, math.MaxInt64).Draw(t, "seq")
		}
		gotEpoch, got, err := chat.ParseCursors(chat.FormatCursors(epoch, cursors))
		if err != nil || gotEpoch != epoch || !maps.Equal(got, cursors) {
			t.Fatalf("got %q %v %v, want %q %v", gotEpoch, got, err, epoch, cursors)
		}
	})
}

func TestMalformedCursorsAreRefused(t *testing.T) {
	id := make([]byte, 16)
	encode := func(parts ...[]byte) string {
		var b []byte
		for _, p := range parts {
			b = append(b, p...)
		}
		return "epoch." + base64.RawURLEncoding.EncodeToString(b)
	}
	for name, s := range map[string]string{
		"empty":                   "",
		"no dot":                  "epoch",
		"not base64":              "epoch.###",
		"a truncated id":          encode(id[:7]),
		"no seq":                  encode(id),
		"a truncated seq":         encode(id, []byte{0x80}),
		"a seq that is too large": encode(id, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}),
		"a channel twice":         encode(id, []byte{1}, id, []byte{1}),
	} {
		if _, got, err := chat.ParseCursors(s); err == nil {
			t.Errorf("%s: accepted as %v", name, got)
		}
	}
}

// TestCompactFormOfOneChannel uses the vector that other clients are tested with.
func TestCompactFormOfOneChannel(t *testing.T) {
	got := chat.FormatCursors("e1", map[chat.ID]chat.Seq{chat.MustParseID("0190a5e2-7b1c-7d3e-8f00-0123456789ab"): 300})
	if got != "e1.AZCl4nscfT6PAAEjRWeJq6wC" {
		t.Errorf("got %q", got)
	}
}
