#!/usr/bin/env bash
# Builds the image from the Dockerfile, starts what the compose file describes, both
# unchanged, and checks that they work as documented. `make test-image` runs it with a
# Docker daemon (engine.sh).
set -euo pipefail
cd "$(dirname "$0")/../.."
version=v0.0.0-test
work=$(mktemp -d)
export CHOWK_VERSION=$version CHOWK_PUBLIC_URL=http://127.0.0.1:8080 CHOWK_DB_PASSWORD=db0password CHOWK_REPLICATION_PASSWORD=rep0password GRAFANA_PASSWORD=grafana0
files=(-f deploy/compose/compose.yaml)
services=(chowk primary standby prometheus grafana)
[ -z "${CHOWK_SUBSTITUTES:-}" ] || services=(chowk primary standby prometheus)
# A sandbox may not allow the limits that chowk's container requests.
if [ "$(ulimit -Hn)" != unlimited ] && [ "$(ulimit -Hn)" -lt 1048576 ]; then
	printf 'services: { chowk: { ulimits: !reset null } }\n' >"$work/limits.yaml"
	files+=(-f "$work/limits.yaml")
fi
compose() { docker compose -p chowktest "${files[@]}" "$@"; }
clean() {
	docker rm -fv chowktest-alone >/dev/null 2>&1 || true
	docker volume rm chowktest-alone >/dev/null 2>&1 || true
	compose down -v >/dev/null 2>&1 || true
}
trap 'clean; rm -rf "$work"' EXIT
clean

dump() { for c in $(docker ps -aq --filter name=chowktest); do docker logs --tail 8 "$c"; done; }
. deploy/containers/checks.sh
call() { # METHOD PATH [BODY]
	curl -fsS --max-time 10 -X "$1" "$address/api/v1$2" -H "Authorization: Bearer $token" -H 'Content-Type: application/json' ${3:+-d "$3"}
}
healthy() { [ "$(docker inspect "$1" --format '{{.State.Health.Status}}')" = healthy ]; }

step "the image"
if docker build -f deploy/docker/Dockerfile . >"$work/build.log" 2>&1; then fail "the build succeeded without a version"; fi
grep -q "set the version to build" "$work/build.log" || fail "the build without a version failed for another reason: $(tail -5 "$work/build.log")"
echo "ok: the build needs a version"
docker build -f deploy/docker/Dockerfile --build-arg VERSION=$version -t chowk:$version . >"$work/build.log" 2>&1 || fail "$(tail -20 "$work/build.log")"
image() { docker image inspect chowk:$version --format "$1"; }
same "its user" "$(image '{{.Config.User}}')" 65532:65532
same "its label" "$(image '{{index .Config.Labels "org.opencontainers.image.version"}}')" $version
same "its version" "$(docker run --rm chowk:$version version | cut -d, -f1)" "chowk $version"
size=$(image '{{.Size}}')
[ "$size" -lt 60000000 ] || fail "the image has $size bytes"
echo "ok: the image has $((size / 1000000)) MB"
if docker run --rm --entrypoint sh chowk:$version -c true 2>/dev/null; then fail "the image has a shell"; fi
echo "ok: the image has no shell"

step "one container: SQLite in a new volume, no other writable directory, no capabilities"
alone() {
	docker run -d --name chowktest-alone --read-only --cap-drop ALL --security-opt no-new-privileges --stop-timeout 30 \
		-v chowktest-alone:/data -p 127.0.0.1:18080:8080 chowk:$version >/dev/null
}
alone
address=http://127.0.0.1:18080
until_so 30 "it is ready" curl -fsS $address/readyz
until_so 60 "the daemon reports it healthy" healthy chowktest-alone
token=$(docker exec chowktest-alone /chowk token --user bot --create)
channel=$(call POST /channels/ '{"name":"general","channel_type":"group"}' | jq -r .id)
call POST "/channels/$channel/messages" '{"content":"kept"}' >/dev/null
docker stop chowktest-alone >/dev/null
same "the exit code after SIGTERM" "$(docker inspect chowktest-alone --format '{{.State.ExitCode}}')" 0
docker logs chowktest-alone 2>&1 | grep -q '"msg":"stopped","clean":true' || fail "it did not drain"
docker rm chowktest-alone >/dev/null
alone
until_so 30 "another container on the volume is ready" curl -fsS $address/readyz
call GET "/channels/$channel/messages" | jq -e 'any(.. | .content?; . == "kept")' >/dev/null || fail "the message is missing"
echo "ok: the message is still there"
docker rm -f chowktest-alone >/dev/null

step "the compose file: ${services[*]}"
if CHOWK_DB_PASSWORD='' compose config -q 2>"$work/config.log"; then fail "compose accepts an empty password"; fi
grep -q "a password for the database" "$work/config.log" || fail "$(cat "$work/config.log")"
echo "ok: nothing starts without a password for the database"
compose up -d --no-build "${services[@]}" >"$work/up.log" 2>&1 || fail "$(tail -20 "$work/up.log")"
address=http://127.0.0.1:8080
until_so 120 "chowk is ready" curl -fsS $address/readyz
sql() { compose exec -T -e PGPASSWORD="$CHOWK_DB_PASSWORD" "$1" psql -h 127.0.0.1 -U chowk -d chowk -Atc "$2"; }
token=$(compose exec -T chowk /chowk token --user bot --create)
channel=$(call POST /channels/ '{"name":"general","channel_type":"group"}' | jq -r .id)
for n in $(seq 20); do call POST "/channels/$channel/messages" "{\"content\":\"message $n\"}" >/dev/null; done
has_all() { [ "$(sql "$1" "SELECT count(*) FROM messages WHERE content LIKE 'message %'")" = 20 ]; }
until_so 30 "the primary has the messages" has_all primary
until_so 60 "the standby has them" has_all standby
same "the standby" "$(sql standby 'SELECT pg_is_in_recovery()')" t
same "the slot" "$(sql primary "SELECT active FROM pg_replication_slots WHERE slot_name = 'standby'")" t
prometheus() { curl -fsSG http://127.0.0.1:9090/api/v1/query --data-urlencode "query=$1" | jq -e "$2"; }
until_so 60 "Prometheus scrapes chowk" prometheus 'up{job="chowk"}' '.data.result | length == 1 and .[0].value[1] == "1"'
reads() { call GET "/channels/$channel/messages" && prometheus 'chowk_db_replica_reads_total{result="served"}' '.data.result[0].value[1] | tonumber > 0'; }
until_so 90 "history is read from the standby" reads
rules() { curl -fsS http://127.0.0.1:9090/api/v1/rules | jq -e '[.data.groups[].rules[] | select(.type == "alerting")] | length > 20 and all(.health == "ok")'; }
until_so 60 "every alert is loaded and evaluated" rules
if [ -z "${CHOWK_SUBSTITUTES:-}" ]; then
	grafana() { curl -fsS -u "admin:$GRAFANA_PASSWORD" "http://127.0.0.1:3000/api/$1" | jq -e "$2"; }
	until_so 90 "Grafana has the dashboard" grafana 'search?query=chowk' 'length > 0'
	until_so 30 "Grafana reaches Prometheus" grafana 'datasources/name/Prometheus' '.isDefault'
fi

step "a standby that is killed while it copies starts over"
compose rm -fsv standby >/dev/null 2>&1
docker volume rm chowktest_standby-data >/dev/null
sql primary "CREATE TABLE filler AS SELECT repeat(md5(g::text), 30) FROM generate_series(1, 300000) g" >/dev/null
compose up -d --no-deps standby >/dev/null 2>&1
copying() { compose exec -T standby bash -c 'test -n "$(find /var/lib/postgresql/data -name PG_VERSION -not -path "*/base/*")"'; }
until_so 30 "it is copying" copying
compose kill standby >/dev/null 2>&1
compose up -d --no-deps standby >/dev/null 2>&1
until_so 90 "it has the messages" has_all standby
sql primary "DROP TABLE filler" >/dev/null

step "without the standby; then down, and up again"
compose stop standby >/dev/null 2>&1
call POST "/channels/$channel/messages" '{"content":"without the standby"}' >/dev/null
call GET "/channels/$channel/messages" | jq -e 'any(.. | .content?; . == "without the standby")' >/dev/null || fail "reading history needs the standby"
echo "ok: chowk works without the standby"
compose down >/dev/null 2>&1
compose up -d --no-build chowk primary standby >"$work/up.log" 2>&1 || fail "$(tail -5 "$work/up.log")"
until_so 120 "after down and up chowk is ready" curl -fsS $address/readyz
call GET "/channels/$channel/messages" | jq -e 'any(.. | .content?; . == "without the standby")' >/dev/null || fail "the messages are missing"
echo "ok: the messages are still there"
until_so 60 "the standby follows again" has_all standby

if [ -z "${CHOWK_SUBSTITUTES:-}" ]; then
	printf '\nAll tests passed, with the images that the files name.\n'
else
	printf '\nAll tests passed, with substitute images: PostgreSQL and Prometheus have Debian'"'"'s versions, and Grafana was left out.\n'
fi
