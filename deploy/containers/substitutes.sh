#!/usr/bin/env bash
# Builds substitutes, from Debian packages and this machine's Go, for the images that the
# Dockerfile and the compose file start from, where those cannot be pulled. They provide what
# the files rely on: names, programs, users, volumes, variables and entry points. They differ
# from the real images: PostgreSQL and Prometheus have Debian's versions, and there is no
# Grafana.
set -euo pipefail
cd "$(dirname "$0")"
root=../..
name() { sed -nE "s/$1/\1/p" "$2" | head -1; }
golang=$(name '^FROM .*(golang:[^ ]+) AS build' $root/deploy/docker/Dockerfile)
static=$(name '^FROM (.*distroless.*)' $root/deploy/docker/Dockerfile)
postgres=$(name '^ *image: (postgres:.*)' $root/deploy/compose/compose.yaml)
prometheus=$(name '^ *image: (prom.*)' $root/deploy/compose/compose.yaml)

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
cp substitutes/* "$context"
# This machine may need its own certificates to reach the module proxy.
cp /etc/ssl/certs/ca-certificates.crt "$context"
if ! docker image inspect substitute-debian:2 >/dev/null 2>&1; then
	echo "installing Debian for the substitutes (half a minute)"
	mmdebstrap --quiet --variant=minbase --include=ca-certificates,tzdata,postgresql-15,gosu,prometheus,systemd-sysv,curl bookworm "$context/debian.tar"
	docker import "$context/debian.tar" substitute-debian:2 >/dev/null
	rm "$context/debian.tar"
fi
echo "substitute images: $golang $static $postgres $prometheus"
build() { docker build -q -t "$2" -f "$context/$1.Dockerfile" "${3:-$context}" >/dev/null; }
build static "$static"
build postgres "$postgres"
build prometheus "$prometheus"
if ! docker image inspect "$golang" >/dev/null 2>&1; then
	cp -r "$(go env GOROOT)" "$context/go"
	build golang "$golang"
fi
