package chowk_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// defects are the numbers of the old system's defects, in ranges.
var defects = [][2]int{{1, 7}, {10, 26}, {30, 46}, {50, 58}, {60, 66}}

var (
	defectRow = regexp.MustCompile(`(?m)^\| (D-\d\d) \| .+ \| (.+) \|$`)
	goTest    = regexp.MustCompile("`(Test\\w+)`")
	pageTest  = regexp.MustCompile("`([\\w./-]+\\.(?:mjs|ts))`: \"([^\"]+)\"")
)

// TestEachDefectHasATest: docs/defects.md has a row for each defect, which names tests that
// exist.
func TestEachDefectHasATest(t *testing.T) {
	page, err := os.ReadFile("docs/defects.md")
	if err != nil {
		t.Fatal(err)
	}
	existing := goTests(t)
	rows := make(map[string]int)
	for _, row := range defectRow.FindAllStringSubmatch(string(page), -1) {
		rows[row[1]]++
		if !goTest.MatchString(row[2]) && !pageTest.MatchString(row[2]) {
			t.Errorf("the row of %s names no test", row[1])
		}
	}
	for _, ids := range defects {
		for n := ids[0]; n <= ids[1]; n++ {
			id := fmt.Sprintf("D-%02d", n)
			if rows[id] != 1 {
				t.Errorf("%s has %d rows, want 1", id, rows[id])
			}
			delete(rows, id)
		}
	}
	for id := range rows {
		t.Errorf("the row of %s has no defect", id)
	}
	for _, name := range goTest.FindAllStringSubmatch(string(page), -1) {
		if !existing[name[1]] {
			t.Errorf("the test %s does not exist", name[1])
		}
	}
	for _, named := range pageTest.FindAllStringSubmatch(string(page), -1) {
		source, err := os.ReadFile(named[1])
		if err != nil || !strings.Contains(string(source), "test('"+named[2]+"'") {
			t.Errorf("%s has no test %q (%v)", named[1], named[2], err)
		}
	}
}

// TestEachTestThatNamesADefectIsListed, so that the page stays complete.
func TestEachTestThatNamesADefectIsListed(t *testing.T) {
	page, err := os.ReadFile("docs/defects.md")
	if err != nil {
		t.Fatal(err)
	}
	ids := regexp.MustCompile(`D\d\d`)
	for name := range goTests(t) {
		for _, id := range ids.FindAllString(strings.TrimPrefix(name, "Test"), -1) {
			row := regexp.MustCompile(`(?m)^\| D-` + id[1:] + ` \|.*$`).FindString(string(page))
			if !strings.Contains(row, "`"+name+"`") {
				t.Errorf("%s names %s, and the row of %[2]s does not name the test", name, id)
			}
		}
	}
}

// goTests returns the names of all Go tests.
func goTests(t *testing.T) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git" || path == "bin"):
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go") && filepath.Base(filepath.Dir(path)) != "storetest":
			return nil
		}
		source, err := os.ReadFile(path)
		for _, m := range declared.FindAllStringSubmatch(string(source), -1) {
			names[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
