#!/usr/bin/env bash
# Starts as the PostgreSQL image does: becomes the user postgres, creates the cluster in an
# empty data directory, allows everyone to log in by password, runs the scripts in
# /docker-entrypoint-initdb.d on a server that listens only on its Unix socket, and then serves.
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
		# A script that is not executable is sourced, so its settings apply here.
		if [ -x "$f" ]; then "$f"; else . "$f"; fi
	done
	unset PGPASSWORD
	PGUSER=$user pg_ctl -D "$PGDATA" -m fast -w stop
fi
exec "$@"
