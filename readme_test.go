package chowk_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

var packageRow = regexp.MustCompile("(?m)^\\| ((?:`[\\w/]+`(?:, )?)+)[^|]*\\|")

// TestTheReadmeDescribesEachInternalPackage: each package below internal is in one row
// of internal/README.md, or below a package that is, and each row is a package.
func TestTheReadmeDescribesEachInternalPackage(t *testing.T) {
	text, err := os.ReadFile("internal/README.md")
	if err != nil {
		t.Fatal(err)
	}
	described := make(map[string]bool)
	for _, row := range packageRow.FindAllStringSubmatch(string(text), -1) {
		for name := range strings.SplitSeq(row[1], ", ") {
			described[strings.Trim(name, "`")] = true
		}
	}
	existing := map[string]bool{"chat": true, "client": true, "chowk": true}
	for path := range imports {
		name, isInternal := strings.CutPrefix(path, "internal/")
		if !isInternal {
			continue
		}
		existing[name] = true
		parent, _, _ := strings.Cut(name, "/")
		if !described[name] && !described[parent] {
			t.Errorf("internal/README.md does not describe internal/%s", name)
		}
	}
	for name := range described {
		if !existing[name] {
			t.Errorf("internal/README.md describes %s, which does not exist", name)
		}
	}
}
