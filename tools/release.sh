#!/usr/bin/env bash
# Makes a release of what is checked out into dist/: archives, checksums and bills of
# materials. On a tag the workflow makes a draft of them, whose notes are the version's
# part of CHANGELOG.md; with --snapshot nothing leaves the machine. Other arguments are
# goreleaser's.
set -euo pipefail
cd "$(dirname "$0")/.."
goreleaser=v2.16.0 # the last that Go 1.26 builds
syft=v1.57.0
tools=$PWD/bin/tools

install() { # NAME PACKAGE VERSION [FLAGS]
	local name=$1 package=$2 version=$3
	shift 3
	go version -m "$tools/$name" 2>/dev/null | awk '$1 == "mod" {print $3}' | grep -qxF "$version" && return
	echo "building $name $version"
	GOBIN=$tools GOFLAGS='' go install "$@" "$package@$version"
}
install goreleaser github.com/goreleaser/goreleaser/v2 $goreleaser
install syft github.com/anchore/syft/cmd/syft $syft -ldflags "-X main.version=$syft"
command -v jq >/dev/null || {
	echo "please install jq" >&2
	exit 1
}

# notes VERSION prints that version's part of the changelog.
notes() {
	awk -v version="[$1]" '/^## / {inside = ($2 == version); next} inside' CHANGELOG.md
}
if [ "${1:-}" != --snapshot ]; then
	tag=$(git describe --tags --exact-match)
	mkdir -p bin
	notes "${tag#v}" >bin/notes.md
	grep -q '[^[:space:]]' bin/notes.md || {
		echo "CHANGELOG.md says nothing of ${tag#v}" >&2
		exit 1
	}
	set -- "--release-notes=$PWD/bin/notes.md" "$@"
fi
PATH=$tools:$PATH goreleaser release --clean "$@"
