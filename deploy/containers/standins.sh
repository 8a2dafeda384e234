#!/usr/bin/env bash
# Makes stand-ins for the images that the Dockerfile and the compose file name, from
# Debian's packages and this machine's Go, for a machine that cannot reach the
# registries of images. They carry the same names, so that both files are used as
# they are. What is in them is not what is in the real ones: PostgreSQL and
# Prometheus are Debian's, and the build image has no C compiler.
set -euo pipefail
work=$1
cd "$(dirname "$0")/../.."
b() { buildah --log-level error "$@"; }

# image NAME ROOTFS [CONFIG...] makes one of a folder.
image() {
	local name=$1 root=$2 c
	shift 2
	c=$(b from scratch)
	cp -a "$root/." "$(b mount "$c")/" # with their owners
	b umount "$c" >/dev/null
	b config "$@" "$c"
	b commit -q --rm "$c" "$name" >/dev/null
	echo "  $name"
}
debian() { # ROOTFS PACKAGES
	[ -d "$1/usr" ] || mmdebstrap --quiet --variant=minbase --include="$2" bookworm "$1"
}
named() { grep -hoE '(FROM .*|image: )'"$1"'[^ ]*' deploy/docker/Dockerfile deploy/compose/compose.yaml | head -1 | sed 's|.* ||'; }

debian "$work/build" ca-certificates
mkdir -p "$work/build/usr/local"
[ -d "$work/build/usr/local/go" ] || cp -r "$(go env GOROOT)" "$work/build/usr/local/go"
cp /etc/ssl/certs/ca-certificates.crt "$work/build/etc/ssl/certs/" # this machine may have its own
image "docker.io/library/$(named golang)" "$work/build" --env PATH=/usr/local/go/bin:/usr/sbin:/usr/bin:/sbin:/bin --env GOPATH=/go --env GOTOOLCHAIN=local \
	--env GOPROXY="$(go env GOPROXY)" --env GOSUMDB="$(go env GOSUMDB)" --workingdir /go

# As distroless/static: certificates, time zones, users; no shell.
static=$work/static
mkdir -p "$static"/{etc/ssl/certs,usr/share,tmp,home/nonroot}
chmod 1777 "$static/tmp"
cp /etc/ssl/certs/ca-certificates.crt "$static/etc/ssl/certs/"
cp -r /usr/share/zoneinfo "$static/usr/share/" 2>/dev/null || true
printf 'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n' >"$static/etc/passwd"
printf 'root:x:0:\nnonroot:x:65532:\n' >"$static/etc/group"
chown 65532:65532 "$static/home/nonroot"
image "$(named gcr.io/distroless/static)" "$static" --user 65532 --workingdir /home/nonroot --env PATH=/usr/sbin:/usr/bin:/sbin:/bin

debian "$work/postgres" postgresql-15,gosu,libnss-wrapper
cp deploy/containers/postgres-entrypoint.sh "$work/postgres/usr/local/bin/docker-entrypoint.sh"
mkdir -p "$work/postgres/docker-entrypoint-initdb.d" "$work/postgres/var/lib/postgresql/data" "$work/postgres/run/postgresql"
chroot "$work/postgres" chown -R postgres:postgres /var/lib/postgresql /run/postgresql
image "docker.io/library/$(named postgres)" "$work/postgres" --entrypoint '["docker-entrypoint.sh"]' --cmd postgres --volume /var/lib/postgresql/data --port 5432 \
	--env PATH=/usr/local/bin:/usr/lib/postgresql/15/bin:/usr/sbin:/usr/bin:/sbin:/bin --env PGDATA=/var/lib/postgresql/data --env LANG=C.UTF-8

debian "$work/prometheus" prometheus
mkdir -p "$work/prometheus/prometheus"
chroot "$work/prometheus" chown nobody:nogroup /prometheus
image "docker.io/$(named prom/prometheus)" "$work/prometheus" --entrypoint '["/usr/bin/prometheus"]' --user nobody --workingdir /prometheus --volume /prometheus --port 9090
