package deploy

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

type workflow struct {
	Permissions map[string]string
	Jobs        map[string]struct {
		Uses        string
		Needs       string
		Permissions map[string]string
		Steps       []struct {
			Uses, Run string
			With      map[string]any
		}
	}
}

func workflows(t *testing.T) map[string]workflow {
	t.Helper()
	paths, err := filepath.Glob("../.github/workflows/*.yml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no workflow was found (%v)", err)
	}
	all := make(map[string]workflow)
	for _, path := range paths {
		var w workflow
		if err := yaml.Unmarshal([]byte(read(t, path)), &w); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all[filepath.Base(path)] = w
	}
	return all
}

// TestWorkflowsArePinned: a tag of an action can be moved to other code, a commit cannot.
func TestWorkflowsArePinned(t *testing.T) {
	pinned := regexp.MustCompile(`^\S+@[0-9a-f]{40}$`)
	commented := regexp.MustCompile(`uses: \S+@[0-9a-f]{40} # v\d+\.\d+\.\d+\n`)
	for name, w := range workflows(t) {
		count := 0
		for job, j := range w.Jobs {
			if j.Uses != "" && !strings.HasPrefix(j.Uses, "./") {
				t.Errorf("%s: the job %s is defined in another repository", name, job)
			}
			for _, s := range j.Steps {
				if s.Uses == "" {
					continue
				}
				if count++; !pinned.MatchString(s.Uses) {
					t.Errorf("%s: %s is not pinned", name, s.Uses)
				}
				if strings.HasPrefix(s.Uses, "actions/checkout@") && s.With["persist-credentials"] != false {
					t.Errorf("%s: the job %s leaves its token to later steps", name, job)
				}
			}
		}
		if n := len(commented.FindAllString(read(t, "../.github/workflows/"+name), -1)); n != count {
			t.Errorf("%s: %d of %d actions have a comment with their version", name, n, count)
		}
	}
}

// TestWorkflowsHaveFewPermissions: by default they only read, and only a release writes.
func TestWorkflowsHaveFewPermissions(t *testing.T) {
	for name, w := range workflows(t) {
		if got := fmt.Sprint(w.Permissions); got != "map[contents:read]" {
			t.Errorf("the default permissions of %s are %s, want to read contents only", name, got)
		}
		for job, j := range w.Jobs {
			if len(j.Permissions) > 0 && (name != "release.yml" || j.Needs != "test") {
				t.Errorf("%s: the job %s has the permissions %v, want the default", name, job, j.Permissions)
			}
		}
	}
	if got := workflows(t)["release.yml"].Jobs["test"].Uses; got != "./.github/workflows/ci.yml" {
		t.Errorf("a release is tested by %q, want the workflow of CI", got)
	}
}

// TestReleasesAreBuiltWithOneGo: image and archives are built with the same version of Go,
// at least the one in go.mod. That is the oldest that compiles the source, without the
// security fixes of later ones.
func TestReleasesAreBuiltWithOneGo(t *testing.T) {
	need := regexp.MustCompile(`(?m)^go (\d+\.\d+)\.(\d+)$`).FindStringSubmatch(read(t, "../go.mod"))
	image := regexp.MustCompile(`golang:(\d+\.\d+)\.(\d+)-`).FindStringSubmatch(read(t, "docker/Dockerfile"))
	if image == nil || need == nil {
		t.Fatalf("the image is built with Go %v, and go.mod requires %v", image, need)
	}
	var patch, least int
	_, _ = fmt.Sscan(image[2], &patch)
	_, _ = fmt.Sscan(need[2], &least)
	if image[1] != need[1] || patch < least {
		t.Errorf("the image is built with Go %s.%s, but go.mod requires %s.%s", image[1], image[2], need[1], need[2])
	}
	for name, w := range workflows(t) {
		for job, j := range w.Jobs {
			for _, s := range j.Steps {
				if !strings.HasPrefix(s.Uses, "actions/setup-go@") {
					continue
				}
				want := image[1] // the newest patch release
				if name == "release.yml" {
					want += "." + image[2]
				}
				if got := s.With["go-version"]; got != want {
					t.Errorf("%s: the job %s builds with Go %v, want %s", name, job, got, want)
				}
			}
		}
	}
}
