package buildinfo

import (
	"runtime/debug"
	"testing"
)

func TestVersion(t *testing.T) {
	revision := []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef0123"}}
	own := debug.Module{Path: module, Version: "v1.2.3"}
	for name, c := range map[string]struct {
		info            debug.BuildInfo
		linked          string
		version, commit string
	}{
		"recorded by the Go tool":          {debug.BuildInfo{Main: own, Settings: revision}, "", "v1.2.3", "0123456789ab"},
		"linked":                           {debug.BuildInfo{Main: own, Settings: revision}, "v2", "v2", "0123456789ab"},
		"a checkout":                       {debug.BuildInfo{Main: debug.Module{Path: module, Version: "(devel)"}}, "", "development", ""},
		"another program's commit":         {debug.BuildInfo{Main: debug.Module{Path: "example.org/app", Version: "v9"}, Deps: []*debug.Module{&own}, Settings: revision}, "", "v1.2.3", ""},
		"another program that replaces it": {debug.BuildInfo{Main: debug.Module{Path: "example.org/app"}, Deps: []*debug.Module{{Path: module, Version: "(devel)"}}}, "", "development", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if version, commit := of(&c.info, c.linked); version != c.version || commit != c.commit {
				t.Errorf("got %q and %q, want %q and %q", version, commit, c.version, c.commit)
			}
		})
	}
}
