// Package buildinfo reports which version of chowk a binary holds.
package buildinfo

import "runtime/debug"

// module is the module of chowk.
const module = "github.com/chowk-chat/chowk"

// commitLength is how many letters of a commit are shown.
const commitLength = 12

// Version returns the version of chowk in this binary and the commit that it was built
// from. The version is linked, if the linker has set one, or else what the Go tool has
// recorded. The commit is "" where that has not recorded it: in another program that
// embeds chowk, for one.
func Version(linked string) (version, commit string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return linked, ""
	}
	return of(info, linked)
}

func of(info *debug.BuildInfo, linked string) (version, commit string) {
	version = linked
	if info.Main.Path == module {
		commit = commitOf(info)
	}
	if version == "" {
		version = recorded(info)
	}
	if version == "" || version == "(devel)" {
		version = "development"
	}
	return version, commit
}

// recorded returns the version of the module, which is the main one or a dependency.
func recorded(info *debug.BuildInfo) string {
	for _, d := range info.Deps {
		if d.Path == module {
			return d.Version
		}
	}
	return info.Main.Version
}

func commitOf(info *debug.BuildInfo) string {
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value[:min(commitLength, len(s.Value))]
		}
	}
	return ""
}
