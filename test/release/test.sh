#!/usr/bin/env bash
# Makes the archives of the commit that is checked out twice, from two clones in folders
# of different length, whose files have different owners and modes, and compares them
# byte by byte; then installs one as the guide says and runs it. With
# CHOWK_RELEASE_COLD=1 the second time compiles everything anew (ten minutes or more).
set -euo pipefail
cd "$(dirname "$0")/../.."
source=$PWD
work=$(mktemp -d)
server=
cleanup() {
	[ -z "$server" ] || kill "$server" 2>/dev/null || true
	chmod -R u+w "$work" && rm -rf "$work"
}
trap cleanup EXIT
fail() {
	echo "FAILED: $*" >&2
	exit 1
}

# snapshot FOLDER makes the archives of a clone in it.
snapshot() {
	git clone -q "$source" "$1"
	mkdir -p "$source/bin/tools"
	ln -s "$source/bin" "$1/bin" # the tools are built once
	[ "$1" = "$work/a" ] || {
		chmod -R g+w,o-rwx "$1"
		[ "$(id -u)" != 0 ] || { chown -R nobody "$1" && export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'; }
	}
	(cd "$1" && nice tools/release.sh --snapshot >"$1.log" 2>&1) || fail "$(tail -20 "$1.log")"
	(cd "$1/dist" && sha256sum -- *.tar.gz *.zip *.spdx.json checksums.txt) >"$1.sums"
}
(umask 022 && snapshot "$work/a")
[ -z "${CHOWK_RELEASE_COLD:-}" ] || export GOCACHE=$work/cache
(umask 077 && mkdir -p "$work/another/folder" && snapshot "$work/another/folder/b")
diff "$work/a.sums" "$work/another/folder/b.sums" || fail "the same commit gave different bytes"
echo "ok: $(wc -l <"$work/a.sums") files are the same byte for byte"

for os in linux darwin windows; do
	for arch in amd64 arm64; do
		[ "$(ls "$work"/a/dist/chowk_*_${os}_$arch.{tar.gz,zip} 2>/dev/null | wc -l)" = 1 ] || fail "no archive for $os/$arch"
		[ "$(ls "$work"/a/dist/chowk_*_${os}_$arch.*.spdx.json | wc -l)" = 1 ] || fail "no bill of materials for $os/$arch"
	done
done
mkdir "$work/install" && cd "$work/install"
cp "$work"/a/dist/chowk_*_"$(go env GOOS)_$(go env GOARCH)".tar.gz "$work/a/dist/checksums.txt" .
sha256sum --quiet --check --ignore-missing checksums.txt || fail "the checksum is another"
tar xzf chowk_*.tar.gz
[ "$(ls | grep -cv '^checksums.txt$\|\.tar\.gz$')" = 1 ] || fail "the archive leaves more than one folder: $(ls)"
cd chowk_*/
for file in LICENSE README.md CHANGELOG.md deploy/systemd/chowk.service deploy/proxies/{nginx.conf,haproxy.cfg,Caddyfile,envoy.yaml} \
	deploy/prometheus/{chowk.rules.yml,prometheus.yml} deploy/grafana/chowk.json; do
	[ -s "$file" ] || fail "the archive has no $file"
done
echo "ok: $(find . -type f | wc -l) files in the archive"
version=v$(basename "$PWD" | cut -d_ -f2)
./chowk version | grep -qF "chowk $version" || fail "$(./chowk version) is not $version"
./chowk serve --listen 127.0.0.1:0 --ops.listen 127.0.0.1:0 --data-dir "$work/data" --auth none >"$work/serve.log" 2>&1 &
server=$!
url=
for _ in $(seq 100); do
	url=$(sed -n 's|.*"msg":"listening","url":"\(http://[^/]*\)/.*|\1|p' "$work/serve.log")
	[ -z "$url" ] || break
	sleep 0.1
done
curl -fsS -o /dev/null "$url/readyz" || fail "it does not serve: $(cat "$work/serve.log")"
kill -TERM "$server" && wait "$server" || fail "it did not stop well: $(tail -5 "$work/serve.log")"
server=
echo "ok: $(./chowk version) serves, and stops when told"
