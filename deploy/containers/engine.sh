#!/usr/bin/env bash
# engine.sh COMMAND ...: runs COMMAND with a working docker, docker buildx and docker compose.
#
# If a Docker daemon answers, COMMAND uses it. Otherwise, on Debian as root, this script starts
# a daemon for the duration of the command, with its data in bin/.engine. That daemon gets
# substitutes for images that cannot be pulled (substitutes.sh), under the names of the real
# ones; they stay in bin/.engine. Exit code 77: no daemon can run here.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=deploy/containers
engine="$PWD/bin/.engine"

skip() { echo "SKIP: $*" >&2; exit 77; }

plugins() {
	docker buildx version >/dev/null 2>&1 && docker compose version >/dev/null 2>&1 && return
	export DOCKER_CONFIG="$engine/config"
	mkdir -p "$DOCKER_CONFIG/cli-plugins"
	for plugin in buildx:github.com/docker/buildx/cmd/buildx compose:github.com/docker/compose/v2/cmd; do
		local program="$DOCKER_CONFIG/cli-plugins/docker-${plugin%%:*}"
		[ -x "$program" ] && continue
		echo "building docker ${plugin%%:*}"
		(cd tools/docker && CGO_ENABLED=0 go build -o "$program" "${plugin#*:}")
	done
}

if [ -z "${CHOWK_ENGINE_OWN:-}" ] && docker info >/dev/null 2>&1; then
	mkdir -p "$engine"
	plugins
	"$@"
	exit
fi

[ "$(uname -s)" = Linux ] || skip "no Docker daemon answers, and one can be started only on Linux"
[ "$(id -u)" -eq 0 ] || skip "no Docker daemon answers, and starting one needs root"
command -v apt-get >/dev/null || skip "no Docker daemon answers, and this script installs one only on Debian"

missing=()
command -v dockerd >/dev/null || missing+=(docker.io)
command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
command -v iptables >/dev/null || [ -x /usr/sbin/iptables ] || missing+=(iptables)
if [ ${#missing[@]} -gt 0 ]; then
	echo "installing: ${missing[*]}"
	apt-get update -q
	DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -q --no-install-recommends "${missing[@]}"
fi

mkdir -p "$engine"
exec 9>"$engine/lock"
flock 9 # one daemon at a time may use the directory
plugins
# The daemon gets its own mount namespace, so that its mounts do not appear on this machine.
export DOCKER_HOST="unix://$engine/docker.sock"
unshare --mount dockerd --data-root "$engine/data" --exec-root "$engine/run" --host "$DOCKER_HOST" --pidfile "$engine/docker.pid" >"$engine/docker.log" 2>&1 9>&- &
daemon=$!
stop() { kill "$daemon" 2>/dev/null || true; wait "$daemon" 2>/dev/null || true; }
trap stop EXIT
for _ in $(seq 60); do
	docker info >/dev/null 2>&1 && break
	kill -0 "$daemon" 2>/dev/null || { tail -3 "$engine/docker.log" >&2; skip "the Docker daemon cannot run here"; }
	sleep 0.5
done
docker info >/dev/null || skip "the Docker daemon does not answer"
"$here/substitutes.sh"
CHOWK_SUBSTITUTES=1 "$@"
