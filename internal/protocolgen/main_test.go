package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const root = "../.."

// TestGeneratedFilesAreFresh: run `make generate` if it fails.
func TestGeneratedFilesAreFresh(t *testing.T) {
	files, err := generate(root)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Error(err)
			continue
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is not what the generator writes (-generator +file):\n%s", name, diff)
		}
	}
	stale, err := staleSchemas(root, files)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range stale {
		t.Errorf("%s is the schema of something that no longer exists", name)
	}
}

// TestAPageWithoutATableIsAnError, so that a table cannot silently disappear.
func TestAPageWithoutATableIsAnError(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, pageFile))
	if err != nil {
		t.Fatal(err)
	}
	for name := range tables {
		mark := fmt.Sprintf(tableBegin, name)
		if _, err := protocolPage(bytes.Replace(page, []byte(mark), nil, 1)); err == nil {
			t.Errorf("a page without the table of %s is accepted", name)
		}
	}
	if _, err := protocolPage(bytes.ReplaceAll(page, []byte(tableEnd), nil)); err == nil {
		t.Error("a table without an end is accepted")
	}
}
