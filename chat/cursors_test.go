package chat_test

import (
	"encoding/base64"
	"maps"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/chowk-chat/chowk/chat"
)

func TestCursorsSurviveTheCompactForm(t *testing.T) {
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
		"nothing":        "",
		"no dot":         "epoch",
		"not base64":     "epoch.###",
		"an id cut off":  encode(id[:7]),
		"no seq":         encode(id),
		"a seq cut off":  encode(id, []byte{0x80}),
		"a seq too high": encode(id, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}),
		"twice":          encode(id, []byte{1}, id, []byte{1}),
	} {
		if _, got, err := chat.ParseCursors(s); err == nil {
			t.Errorf("%s: taken as %v", name, got)
		}
	}
}

// TestTheCompactFormIsAsWritten: the vector that the other clients are tested with.
func TestTheCompactFormIsAsWritten(t *testing.T) {
	got := chat.FormatCursors("e1", map[chat.ID]chat.Seq{chat.MustParseID("0190a5e2-7b1c-7d3e-8f00-0123456789ab"): 300})
	if got != "e1.AZCl4nscfT6PAAEjRWeJq6wC" {
		t.Errorf("got %q", got)
	}
}
