package buildinfo

import (
	"runtime/debug"
	"testing"
)

func TestVersion(t *testing.T) {
	revision := []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef0123"}}
	released := debug.Module{Path: module, Version: "v1.2.3"}
	checkout := debug.Module{Path: module, Version: "(devel)"}
	app := debug.Module{Path: "example.org/app", Version: "v9"}
	for name, c := range map[string]struct {
		info            debug.BuildInfo
		linked          string
		version, commit string
	}{
		"recorded by the Go tool": {debug.BuildInfo{Main: released, Settings: revision}, "", "v1.2.3", "0123456789ab"},
		"linked":                  {debug.BuildInfo{Main: released, Settings: revision}, "v2", "v2", "0123456789ab"},
		"a checkout":              {debug.BuildInfo{Main: checkout}, "", "development", ""},
		"in another program, with the commit of that": {
			debug.BuildInfo{Main: app, Deps: []*debug.Module{&released}, Settings: revision}, "", "v1.2.3", "",
		},
		"in another program that uses a checkout": {
			debug.BuildInfo{Main: app, Deps: []*debug.Module{&checkout}}, "", "development", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if version, commit := of(&c.info, c.linked); version != c.version || commit != c.commit {
				t.Errorf("got %q and %q, want %q and %q", version, commit, c.version, c.commit)
			}
		})
	}
}
