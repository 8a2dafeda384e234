package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/chowk-chat/chowk/internal/settings"
)

// TestAnOldNameStopsTheStartAndNamesTheNewOne, in the file, in the environment and on
// the command line.
func TestAnOldNameStopsTheStartAndNamesTheNewOne(t *testing.T) {
	for old, name := range renamedSettings {
		t.Run(old, func(t *testing.T) {
			group, key, _ := strings.Cut(old, ".")
			for _, yaml := range []string{old + ": 1\n", group + ":\n  " + key + ": 1\n", group + ": {" + key + ": 1}\n"} {
				_, err := load(t, yaml, nil, nil)
				want := old + " has been renamed to " + name
				if err == nil || !strings.HasPrefix(err.Error(), "chowk.yaml:") || !strings.HasSuffix(err.Error(), ": "+want) {
					t.Errorf("%q: got error %v, want %s", yaml, err, want)
				}
			}

			_, err := load(t, "", []string{settings.EnvName(old) + "=1"}, nil)
			want := settings.EnvName(old) + " has been renamed to " + settings.EnvName(name)
			if err == nil || err.Error() != want {
				t.Errorf("environment: got error %v, want %s", err, want)
			}

			for _, flag := range []string{"--" + old, "--" + group + "-" + key, "--no-" + old} {
				code, out, errOut := call(t, newRecords(), nil, "serve", flag+"=1")
				want := "chowk: " + flag + " has been renamed to --" + name + "\n"
				if code != exitUsage || out != "" || errOut != want {
					t.Errorf("%s: got exit code %d and %q, want %q", flag, code, errOut, want)
				}
			}
		})
	}
}

// TestNewNamesExist: each old name leads to a setting, and none is a setting itself.
func TestNewNamesExist(t *testing.T) {
	isSetting := func(name string) bool {
		return slices.ContainsFunc(allSettings(), func(s settings.Setting) bool { return s.Name == name })
	}
	for old, name := range renamedSettings {
		if isSetting(old) || !isSetting(name) {
			t.Errorf("%s was renamed to %s: want a setting of the new name only", old, name)
		}
	}
}
