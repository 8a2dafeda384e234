#!/usr/bin/env bash
# Builds a release of the checked-out commit in dist/: archives, checksums and bills of
# materials. On a tag, the workflow publishes them as a draft whose notes are the
# version's section of CHANGELOG.md; with --snapshot nothing leaves the machine. Other
# arguments are passed to goreleaser.
set -euo pipefail
cd "$(dirname "$0")/.."
goreleaser=v2.16.0 # the last version that Go 1.26 can build
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
	echo "install jq and run this again" >&2
	exit 1
}

# notes VERSION prints that version's section of the changelog.
notes() {
	awk -v version="[$1]" '/^## / {inside = ($2 == version); next} inside' CHANGELOG.md
}
if [ "${1:-}" != --snapshot ]; then
	tag=$(git describe --tags --exact-match)
	mkdir -p bin
	notes "${tag#v}" >bin/notes.md
	grep -q '[^[:space:]]' bin/notes.md || {
		echo "CHANGELOG.md has no section for ${tag#v}" >&2
		exit 1
	}
	set -- "--release-notes=$PWD/bin/notes.md" "$@"
fi
PATH=$tools:$PATH goreleaser release --clean "$@"
