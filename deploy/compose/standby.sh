#!/bin/bash
# Copies the primary the first time, and follows it.
set -euo pipefail
export PGDATA=/var/lib/postgresql/data
if [ ! -s "$PGDATA/PG_VERSION" ]; then
	chown postgres:postgres "$PGDATA"
	chmod 700 "$PGDATA"
	# --write-recovery-conf keeps the password in the data directory, as it must.
	gosu postgres pg_basebackup --host=primary --username=standby --pgdata="$PGDATA" --slot=standby \
		--write-recovery-conf --wal-method=stream --checkpoint=fast
fi
exec gosu postgres postgres
