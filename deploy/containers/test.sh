#!/usr/bin/env bash
# Builds the image from the Dockerfile and starts what the compose file describes,
# both as they are, with podman, and looks whether they do what they promise. On a
# machine that cannot reach the registries of images it makes stand-ins for those
# that they name; Grafana, which Debian does not have, is left out.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=${CHOWK_CONTAINERS_WORK:-$(mktemp -d)}
version=v0.0.0-test
step() { printf '\n== %s\n' "$*"; }
fail() {
	printf 'FAILED: %s\n' "$*" >&2
	for c in $(podman ps -aq 2>/dev/null); do podman logs --tail 5 "$c"; done >&2
	exit 1
}
until_so() { # SECONDS WHAT COMMAND...
	local end=$((SECONDS + $1)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || fail "not so: $what"
		sleep 0.5
	done
	echo "ok: $what"
}

step "tools"
need=()
for tool in podman buildah runc mmdebstrap podman-compose curl jq; do command -v $tool >/dev/null || need+=("$tool"); done
for part in netavark aardvark-dns; do [ -e /usr/lib/podman/$part ] || need+=($part); done
command -v iptables >/dev/null || need+=(iptables)
if [ ${#need[@]} -gt 0 ]; then
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends "${need[@]}" >/dev/null
fi
# Containers of this test alone, without what a sandbox may lack: overlays, systemd,
# and limits above its own.
export STORAGE_DRIVER=vfs CONTAINERS_CONF=$work/containers.conf CONTAINERS_STORAGE_CONF=$work/storage.conf BUILDAH_ISOLATION=chroot
cat >"$CONTAINERS_STORAGE_CONF" <<END
[storage]
driver = "vfs"
graphroot = "$work/storage"
runroot = "$work/run"
END
cat >"$CONTAINERS_CONF" <<END
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark" # its DNS also says that there is no IPv6 address, and does not ask elsewhere for it
END
cat >"$work/limits.yaml" <<END
services:
$(for s in primary standby prometheus; do printf '  %s:\n    ulimits: { nofile: { soft: %d, hard: %d }, nproc: { soft: 4096, hard: 4096 } }\n' $s "$(ulimit -Hn)" "$(ulimit -Hn)"; done)
  chowk:
    ulimits: { nofile: { soft: $(ulimit -Hn), hard: $(ulimit -Hn) }, nproc: { soft: 4096, hard: 4096 } }
    environment: { CHOWK_TRUSTED_PROXIES: "127.0.0.1" } # Debian's podman-compose takes an empty default for a word
END
p() { podman --log-level error "$@"; }
limits=(--ulimit "nofile=$(ulimit -Hn):$(ulimit -Hn)" --ulimit nproc=4096:4096)

step "images"
deploy/containers/standins.sh "$work"

step "build"
if buildah --log-level error build --network host --pull=never --format docker -q -f deploy/docker/Dockerfile . >/dev/null 2>"$work/build.log"; then
	fail "an image without a version was built"
fi
grep -q "say which version" "$work/build.log" || fail "the build without a version failed for another reason: $(tail -3 "$work/build.log")"
echo "ok: no image without a version"
buildah --log-level error build --network host --pull=never --format docker -f deploy/docker/Dockerfile --build-arg VERSION=$version -t chowk:$version . >"$work/build.log" 2>&1 || fail "$(tail -5 "$work/build.log")"
p image inspect chowk:$version | jq -r '.[0] | "ok: \(.Size / 1e6 | floor) MB, user \(.Config.User), \(.Config.StopSignal), \(.Config.Labels["org.opencontainers.image.version"])"'

step "one container: SQLite in a volume, nothing writable, no capability, no root"
trap 'p rm -f chowk-alone >/dev/null 2>&1; p volume rm chowk-alone >/dev/null 2>&1; compose down -v >/dev/null 2>&1 || true' EXIT
compose() { podman-compose -p chowk -f deploy/compose/compose.yaml -f "$work/limits.yaml" "$@"; }
p run -d --name chowk-alone "${limits[@]}" --read-only --cap-drop all --security-opt no-new-privileges -v chowk-alone:/data -p 127.0.0.1:18080:8080 chowk:$version >/dev/null
until_so 30 "it is ready" curl -fsS http://127.0.0.1:18080/readyz
until_so 30 "its health check passes" p healthcheck run chowk-alone
[ "$(p exec chowk-alone /chowk version | cut -d, -f1)" = "chowk $version" ] || fail "the version is not $version"
p exec chowk-alone /bin/sh -c true 2>/dev/null && fail "there is a shell"
token=$(p exec chowk-alone /chowk token --user bot --create)
call() { # METHOD PATH [BODY]
	curl -fsS -X "$1" "$address/api/v1$2" -H "Authorization: Bearer $token" -H 'Content-Type: application/json' ${3:+-d "$3"}
}
address=http://127.0.0.1:18080
channel=$(call POST /channels/ '{"name":"general","channel_type":"group"}' | jq -r .id)
call POST "/channels/$channel/messages" '{"content":"kept"}' >/dev/null
p stop -t 30 chowk-alone >/dev/null
[ "$(p inspect chowk-alone --format '{{.State.ExitCode}}')" = 0 ] || fail "it did not stop well"
p logs chowk-alone 2>&1 | grep -q '"msg":"stopped","clean":true' || fail "it did not drain"
p rm chowk-alone >/dev/null
p run -d --name chowk-alone "${limits[@]}" --read-only --cap-drop all -v chowk-alone:/data -p 127.0.0.1:18080:8080 chowk:$version >/dev/null
until_so 30 "another container on the volume is ready" curl -fsS $address/readyz
call GET "/channels/$channel/messages" | grep -q '"kept"' || fail "the message is gone"
echo "ok: the message is still there"
p rm -f chowk-alone >/dev/null

step "compose: chowk, PostgreSQL and its standby, Prometheus"
export CHOWK_VERSION=$version CHOWK_PUBLIC_URL=http://127.0.0.1:8080 CHOWK_DB_PASSWORD=db0password CHOWK_REPLICATION_PASSWORD=rep0password GRAFANA_PASSWORD=none
compose up -d --no-build chowk primary standby prometheus >"$work/up.log" 2>&1 || fail "$(tail -5 "$work/up.log")"
address=http://127.0.0.1:8080
until_so 90 "chowk is ready" curl -fsS $address/readyz
token=$(p exec chowk_chowk_1 /chowk token --user bot --create)
channel=$(call POST /channels/ '{"name":"general","channel_type":"group"}' | jq -r .id)
for n in $(seq 20); do call POST "/channels/$channel/messages" "{\"content\":\"message $n\"}" >/dev/null; done
export PGPASSWORD=$CHOWK_DB_PASSWORD
has_all() { [ "$(p exec -e PGPASSWORD="$PGPASSWORD" "$1" psql -h 127.0.0.1 -U chowk -d chowk -Atc "SELECT count(*) FROM messages WHERE content LIKE 'message %'")" = 20 ]; }
until_so 30 "the primary has the messages" has_all chowk_primary_1
until_so 60 "the standby has them" has_all chowk_standby_1
prometheus() { curl -fsSG http://127.0.0.1:9090/api/v1/query --data-urlencode "query=$1" | jq -e "$2"; }
until_so 60 "Prometheus hears chowk" prometheus 'up{job="chowk"}' '.data.result | length == 1 and .[0].value[1] == "1"'
reads() { call GET "/channels/$channel/messages" && prometheus 'chowk_db_replica_reads_total{result="served"}' '.data.result[0].value[1] | tonumber > 0'; }
until_so 60 "history is read from the standby" reads
curl -fsS http://127.0.0.1:9090/api/v1/rules | jq -e '[.data.groups[].rules[] | select(.type == "alerting")] | length > 20 and all(.health != "err")' >/dev/null || fail "Prometheus has not loaded the alerts"
echo "ok: the alerts are loaded"
compose down >/dev/null 2>&1
compose up -d --no-build chowk primary standby >"$work/up.log" 2>&1
until_so 90 "after down and up chowk is ready" curl -fsS $address/readyz
call GET "/channels/$channel/messages" | grep -q '"message 20"' || fail "the messages are gone"
echo "ok: the messages are still there"

printf '\nAll well. PostgreSQL and Prometheus were Debian'"'"'s, and Grafana was left out.\n'
