#!/usr/bin/env bash
# What the compose file asks of the official image's entrypoint: a database and its
# user from the environment, made once, and scripts that run then.
set -euo pipefail
if [ "$(id -u)" = 0 ]; then
	mkdir -p "$PGDATA"
	chown -R postgres:postgres "$PGDATA"
	chmod 700 "$PGDATA"
	exec gosu postgres "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
	initdb -U "$POSTGRES_USER" --auth-local=trust --auth-host=scram-sha-256 --pwfile=<(echo "$POSTGRES_PASSWORD")
	echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
	pg_ctl -w start -o "-c listen_addresses=''"
	createdb -U "$POSTGRES_USER" "$POSTGRES_DB"
	for script in /docker-entrypoint-initdb.d/*.sh; do . "$script"; done
	pg_ctl -w stop
fi
exec "$@" -c listen_addresses='*'
