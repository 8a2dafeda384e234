#!/bin/bash
# Runs once, when the primary's data directory is created: allows the standby to connect.
set -euo pipefail
psql -v ON_ERROR_STOP=1 -v password="$REPLICATION_PASSWORD" -U "$POSTGRES_USER" -d "$POSTGRES_DB" <<'SQL'
CREATE ROLE standby REPLICATION LOGIN PASSWORD :'password';
SELECT pg_create_physical_replication_slot('standby');
SQL
echo "host replication standby all scram-sha-256" >> "$PGDATA/pg_hba.conf"
