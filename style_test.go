package chowk_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// Limits on source files. A tab counts as one column.
const (
	maxLines   = 400
	maxColumns = 120
)

// sources returns the contents of the hand-written source files, by path.
func sources(t *testing.T) map[string][]byte {
	t.Helper()
	skipped := []string{".git", "bin", "node_modules", "web/dist", "sdk/js/dist"}
	files := make(map[string][]byte)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (slices.Contains(skipped, filepath.ToSlash(path)) || slices.Contains(skipped, d.Name())) {
			return filepath.SkipDir
		}
		if d.IsDir() || !slices.Contains([]string{".go", ".ts", ".svelte"}, filepath.Ext(path)) {
			return nil
		}
		source, err := os.ReadFile(path)
		if !isGenerated(path, source) {
			files[path] = source
		}
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("found %d source files (%v)", len(files), err)
	}
	return files
}

func isGenerated(path string, source []byte) bool {
	return strings.Contains(filepath.Base(path), ".gen.") || bytes.HasPrefix(source, []byte("// Code generated "))
}

func TestFilesAreShort(t *testing.T) {
	for path, source := range sources(t) {
		if lines := bytes.Count(source, []byte("\n")); lines > maxLines {
			t.Errorf("%s has %d lines, want at most %d", path, lines, maxLines)
		}
	}
}

func TestLinesAreShort(t *testing.T) {
	for path, source := range sources(t) {
		n := 0
		for line := range bytes.Lines(source) {
			n++
			if columns := utf8.RuneCount(bytes.TrimRight(line, "\r\n")); columns > maxColumns {
				t.Errorf("%s:%d has %d columns, want at most %d", path, n, columns, maxColumns)
			}
		}
	}
}
