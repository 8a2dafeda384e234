#!/usr/bin/env bash
# Boots Debian with systemd in a container, installs a release there as documented, and checks
# that the unit runs chowk as an unprivileged user that can write only to its state directory,
# restarts it after a crash and until its database is back, and drains it when stopped.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
clean() { docker rm -fv chowktest-unit >/dev/null 2>&1 || true; }
trap 'clean; rm -rf "$work"' EXIT
clean
on() { docker exec chowktest-unit "$@"; }
dump() { on journalctl --no-pager -n 30; }
. deploy/containers/checks.sh

base=debian:12
[ -z "${CHOWK_SUBSTITUTES:-}" ] || base=substitute-debian:2
CGO_ENABLED=0 go build -trimpath -ldflags "-X main.version=v0.0.0-test" -o "$work/chowk" ./cmd/chowk
cp deploy/systemd/chowk.service "$work"
cat >"$work/Dockerfile" <<END
FROM $base
RUN command -v curl >/dev/null && test -x /sbin/init || { apt-get update -q && apt-get install -y -q --no-install-recommends systemd-sysv curl; }
COPY chowk /usr/local/bin/chowk
COPY chowk.service /etc/systemd/system/chowk.service
RUN install -d -m 755 /etc/chowk \
    && printf 'listen: 127.0.0.1:8080\npublic-url: https://chat.example.org\ntrusted-proxies: [127.0.0.1]\n' >/etc/chowk/chowk.yaml \
    && printf 'CHOWK_LOG_LEVEL=info\n' >/etc/chowk/secrets && chmod 600 /etc/chowk/secrets
STOPSIGNAL SIGRTMIN+3
# The daemon mounts control groups read-only unless a container is privileged, which a sandbox
# may not allow.
CMD ["sh", "-c", "for g in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do mount -o remount,rw \$g 2>/dev/null; done; exec /sbin/init"]
END
docker build -q -t chowktest-unit "$work" >/dev/null
docker run -d --name chowktest-unit --cap-add SYS_ADMIN --cap-add NET_ADMIN --cap-add SYS_PTRACE --cap-add AUDIT_CONTROL --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
	--cgroupns private --tmpfs /run --tmpfs /run/lock --tmpfs /tmp chowktest-unit >/dev/null
until_so 60 "systemd is up" bash -c 'docker exec chowktest-unit systemctl is-system-running | grep -qE "running|degraded"'
until_so 1 "systemd finds no fault in the unit" bash -c '! docker exec chowktest-unit systemd-analyze verify --man=no chowk.service 2>&1 | grep chowk'
on systemctl enable --now chowk 2>/dev/null || fail "it does not start"
ready() { on curl -fsS http://127.0.0.1:8080/readyz; }
until_so 30 "chowk is ready" ready
pid() { on systemctl show chowk -p MainPID --value; }
status() { on sed -nE "s/^$1:\s*//p" "/proc/$(pid)/status"; }
[ "$(status Uid | cut -f1)" -gt 0 ] || fail "it runs as root"
echo "ok: it runs as user $(status Uid | cut -f1)"
[ "$(status CapEff)$(status CapBnd)" = 00000000000000000000000000000000 ] || fail "it has capabilities"
[ "$(status NoNewPrivs)$(status Seccomp)" = 12 ] || fail "it may gain privileges, or make any system call"
echo "ok: no capabilities, no new privileges, system calls filtered"
on systemd-analyze security chowk --no-pager | tail -1
on test -s /var/lib/chowk/chowk.db || fail "there is no database in the state directory"
# All directories in its mount namespace that its user may write to.
writable=$(on nsenter -t "$(pid)" -m -- setpriv --reuid "$(status Uid | cut -f1)" --regid "$(status Gid | cut -f1)" --clear-groups \
	find / -path /proc -prune -o -type d -writable -print 2>/dev/null | grep -v '^/var/lib/private/chowk/' | sort | xargs) || true
[ "$writable" = "/tmp /var/lib/private/chowk /var/tmp" ] || fail "it can write to $writable"
echo "ok: it can write only to /var/lib/chowk and its own /tmp"
token=$(on chowk token --user bot --create --data-dir /var/lib/chowk)
call() { # METHOD PATH [BODY]
	on curl -fsS --max-time 10 -X "$1" "http://127.0.0.1:8080/api/v1$2" -H "Authorization: Bearer $token" -H 'Content-Type: application/json' ${3:+-d "$3"}
}
channel=$(call POST /channels/ '{"name":"general","channel_type":"group"}' | jq -r .id)
call POST "/channels/$channel/messages" '{"content":"kept"}' >/dev/null
kept() { call GET "/channels/$channel/messages" | jq -e 'any(.. | .content?; . == "kept")'; }
first=$(pid)
on systemctl kill -s KILL chowk
until_so 30 "it is back after a crash" bash -c "p=\$(docker exec chowktest-unit systemctl show chowk -p MainPID --value); [ \$p != 0 ] && [ \$p != $first ]"
until_so 30 "and ready" ready
until_so 1 "with the message" kept
on systemctl stop chowk
[ "$(on systemctl show chowk -p Result --value)" = success ] || fail "it did not stop cleanly"
on journalctl -u chowk --no-pager -o cat | grep -q '"msg":"stopped","clean":true' || fail "it did not drain"
echo "ok: it drains when stopped"

# The server can use the files that root has written while it was stopped.
on chowk token --user admin --create --data-dir /var/lib/chowk >/dev/null || fail "no token can be created while it is stopped"
on systemctl start chowk
until_so 30 "it starts with the files that root wrote" ready
call POST "/channels/$channel/messages" '{"content":"more"}' >/dev/null || fail "it cannot write to the files that root wrote"
until_so 1 "and still has the message" kept

on systemctl stop chowk
on bash -c 'echo "CHOWK_DATABASE_URL=postgres://chowk:none@127.0.0.1:5432/chowk?sslmode=disable" >>/etc/chowk/secrets'
on systemctl start chowk || true
tries() { [ "$(on systemctl show chowk -p NRestarts --value)" -ge "$1" ]; }
# By default systemd gives up after five attempts within ten seconds.
until_so 60 "it keeps restarting without its database" tries 7
on sed -i '/CHOWK_DATABASE_URL/d' /etc/chowk/secrets
until_so 30 "it is ready once the database is back" ready
until_so 1 "with the message" kept

on systemctl stop chowk
on bash -c 'echo CHOWK_DRAIN_DELAY=soon >>/etc/chowk/secrets'
on systemctl start chowk || true
until_so 10 "a wrong setting stops it" bash -c 'docker exec chowktest-unit systemctl is-failed chowk'
[ "$(on systemctl show chowk -p ExecMainStatus -p NRestarts --value | xargs)" = "0 2" ] || fail "it was restarted with a wrong setting"
on journalctl -u chowk --no-pager -o cat -n 10 | grep -q soon || fail "the journal does not name the wrong setting"
echo "ok: immediately, and the journal names the setting"
printf '\nAll tests passed.\n'
