#!/usr/bin/env bash
# What the PostgreSQL image promises of its start: it becomes the user postgres, makes
# the cluster in an empty data directory, lets everybody in by password, runs the scripts of
# /docker-entrypoint-initdb.d on a server that only its socket reaches, and then serves.
set -Eeo pipefail
if [ "$1" = postgres ] && [ "$(id -u)" = 0 ]; then
	mkdir -p "$PGDATA"
	chown -R postgres "$PGDATA"
	chmod 700 "$PGDATA"
	exec gosu postgres "$BASH_SOURCE" "$@"
fi
if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
	: "${POSTGRES_PASSWORD:?}"
	user=${POSTGRES_USER:-postgres}
	initdb --username="$user" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") >/dev/null
	printf '\nhost all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
	PGUSER=$user pg_ctl -D "$PGDATA" -o "$(printf '%q ' -c listen_addresses= "${@:2}")" -w start
	export PGPASSWORD=$POSTGRES_PASSWORD
	[ "${POSTGRES_DB:-$user}" = postgres ] || createdb -U "$user" "${POSTGRES_DB:-$user}"
	for f in /docker-entrypoint-initdb.d/*.sh; do
		# Not executable is sourced: then a script's settings are this one's.
		if [ -x "$f" ]; then "$f"; else . "$f"; fi
	done
	unset PGPASSWORD
	PGUSER=$user pg_ctl -D "$PGDATA" -m fast -w stop
fi
exec "$@"
