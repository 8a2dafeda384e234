package schema

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/chowk-chat/chowk/chat"
)

const protocolPage = "../../docs/protocol.md"

// block matches a fenced example: its language, who sends it, and its text.
var block = regexp.MustCompile("(?ms)^```(\\w+) ?(\\w*)\n(.*?)^```$")

// TestExamplesInTheDocumentationMatchTheirSchemas, and every command and every event has
// one.
func TestExamplesInTheDocumentationMatchTheirSchemas(t *testing.T) {
	page, err := os.ReadFile(protocolPage)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]int)
	for _, m := range block.FindAllStringSubmatch(string(page), -1) {
		language, side, text := m[1], m[2], m[3]
		switch {
		case language == "text" && side == "resume":
			checkCompact(t, strings.TrimSpace(text))
		case language != "json" || side != "client" && side != "server" && side != "problem":
			t.Errorf("an example of %q %q is not checked", language, side)
		default:
			for _, example := range examples(t, text) {
				checkExample(t, side, example, seen)
			}
		}
	}
	for _, dir := range []string{"client", "server"} {
		entries, err := Files.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if name := dir + " " + strings.TrimSuffix(e.Name(), ".json"); seen[name] == 0 {
				t.Errorf("there is no example of %s", name)
			}
		}
	}
	if seen["problem"] == 0 {
		t.Error("there is no example of a problem")
	}
}

// examples splits a block that holds several values.
func examples(t *testing.T, text string) (all []json.RawMessage) {
	t.Helper()
	for d := json.NewDecoder(strings.NewReader(text)); ; {
		var raw json.RawMessage
		err := d.Decode(&raw)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Errorf("an example is not JSON: %v\n%s", err, text)
			return all
		}
		all = append(all, raw)
	}
}

func checkExample(t *testing.T, side string, raw json.RawMessage, seen map[string]int) {
	t.Helper()
	if side == "problem" {
		var p struct {
			Status int
			Detail string
			Code   chat.Code
		}
		if err := json.Unmarshal(raw, &p); err != nil || p.Detail == "" || p.Code.HTTPStatus() != p.Status {
			t.Errorf("%v: %s", err, raw)
		}
		seen[side]++
		return
	}
	if err := check(side, raw); err != nil {
		t.Errorf("%v\n%s", err, raw)
	}
	var head chat.Request
	if err := json.Unmarshal(raw, &head); err != nil {
		t.Error(err)
	}
	seen[side+" "+head.Type]++
}

// checkCompact compares the compact form with the resume that precedes it.
func checkCompact(t *testing.T, text string) {
	t.Helper()
	epoch, cursors, err := chat.ParseCursors(text)
	if err != nil || epoch != "a31f753a2a8462a4" || cursors[id1] != 42 || cursors[id2] != 1000 || len(cursors) != 2 {
		t.Errorf("%v: %s %v", err, epoch, cursors)
	}
}
