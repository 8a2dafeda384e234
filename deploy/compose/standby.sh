#!/bin/bash
# Copies the primary the first time, and follows it. A standby that was away for so
# long that the primary has dropped its slot starts anew with an empty volume.
set -euo pipefail
volume=/var/lib/postgresql/data
export PGDATA=$volume/cluster
if [ ! -d "$PGDATA" ]; then
	# Half a copy looks like a cluster: only a whole one gets the name.
	rm -rf "$volume/copying"
	chown postgres:postgres "$volume"
	# --write-recovery-conf keeps the password in the data directory, as it must.
	gosu postgres pg_basebackup --host=primary --username=standby --pgdata="$volume/copying" --slot=standby \
		--write-recovery-conf --wal-method=stream --checkpoint=fast
	mv "$volume/copying" "$PGDATA"
fi
exec gosu postgres postgres
