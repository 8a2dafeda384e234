#!/bin/bash
# Copies the primary on the first start, and then follows it. A standby that was down for
# so long that the primary has dropped its slot needs an empty volume to start over.
set -euo pipefail
volume=/var/lib/postgresql/data
export PGDATA=$volume/cluster
if [ ! -d "$PGDATA" ]; then
	# Half a copy looks like a cluster: only a complete copy gets the name.
	rm -rf "$volume/copying"
	chown postgres:postgres "$volume"
	# --write-recovery-conf stores the password in the data directory, which needs it.
	gosu postgres pg_basebackup --host=primary --username=standby --pgdata="$volume/copying" --slot=standby \
		--write-recovery-conf --wal-method=stream --checkpoint=fast
	mv "$volume/copying" "$PGDATA"
fi
exec gosu postgres postgres
