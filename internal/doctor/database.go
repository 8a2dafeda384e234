package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/chowk-chat/chowk/internal/store"
)

const databaseTimeout = 30 * time.Second

func checkDatabase(ctx context.Context, s Subject) []Finding {
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	x, nodes, err := store.Examine(ctx, s.DatabaseURL)
	switch {
	case errors.Is(err, store.ErrNoDatabase):
		return []Finding{fine("database", "SQLite: none yet; the first start creates it")}
	case err != nil:
		return []Finding{{
			"database", Failure, err.Error(), "check database-url, that the database runs, and that this machine can reach it",
		}}
	}
	if x.Damage != "" {
		return []Finding{{
			"integrity", Failure, x.Damage, "stop the server, keep a copy of the file, and restore a backup: chowk restore FILE",
		}}
	}
	all := []Finding{
		fine("database", "%s %s, %s", databaseNames[x.Kind], x.Version, bytesText(uint64(max(x.Bytes, 0)))),
		schema(x), durability(x), flush(x),
	}
	if x.Kind == "postgres" {
		all = append(all, clock(x), connections(x, s))
		all = append(all, replicas(x)...)
		all = append(all, sessions(x)...)
		all = append(all, checkNodes(ctx, s, nodes)...)
	}
	if x.Standby {
		all = append(all, Finding{
			"standby", Failure, "this PostgreSQL is a standby and accepts no writes",
			"point database-url to the primary (target_session_attrs=read-write chooses among several hosts)",
		})
	}
	if v := strings.SplitN(x.Version, ".", 2)[0]; x.Kind == "postgres" && len(v) == 2 && v < "14" {
		all = append(all, Finding{
			"version", Warning, "PostgreSQL " + x.Version + " is older than the versions that chowk is tested with",
			"upgrade to 15 or later",
		})
	}
	return all
}

var databaseNames = map[string]string{"postgres": "PostgreSQL", "sqlite": "SQLite"}

func schema(x store.Examination) Finding {
	f := fine("schema", "version %d", x.SchemaVersion)
	switch {
	case x.SchemaVersion == 0:
		f.Found = "none yet; the first start creates it"
	case x.SchemaVersion < x.SchemaNewest:
		f.Found = fmt.Sprintf("version %d; the next start migrates it to %d", x.SchemaVersion, x.SchemaNewest)
	case x.SchemaVersion > x.SchemaNewest:
		f.Status, f.Found = Failure, fmt.Sprintf(
			"version %d, but this chowk knows versions up to %d: it will not start", x.SchemaVersion, x.SchemaNewest,
		)
		f.Advice = "run the newer chowk, or restore a backup from before its first start"
	}
	return f
}

func durability(x store.Examination) Finding {
	switch x.Durability {
	case "replica":
		return fine("durability", "an acknowledged message is on disk here and on a standby")
	case "disk":
		return fine("durability", "an acknowledged message is on disk")
	}
	var why []string
	for name, good := range map[string]string{"fsync": "on", "full_page_writes": "on"} {
		if v := x.Settings[name]; v != good {
			why = append(why, name+"="+v)
		}
	}
	if v := x.Settings["synchronous_commit"]; v == "off" {
		why = append(why, "synchronous_commit="+v)
	}
	return Finding{
		"durability", Warning, "a power failure can lose acknowledged messages: " + strings.Join(why, ", "),
		"run ALTER SYSTEM RESET for the setting (check ALTER ROLE and ALTER DATABASE too) and SELECT pg_reload_conf(), and " +
			"restart chowk",
	}
}

// Thresholds for the duration of a flush: slower ones delay acknowledgements, and a
// faster one is not a real flush.
const (
	slowFlush    = 20 * time.Millisecond
	awfulFlush   = 200 * time.Millisecond
	pretendFlush = 20 * time.Microsecond
)

func flush(x store.Examination) Finding {
	if len(x.Flush) == 0 {
		return Finding{"flush", Unknown, "the duration of a commit could not be measured", ""}
	}
	median, worst := x.Flush[len(x.Flush)/2], x.Flush[len(x.Flush)-1]
	f := fine("flush", "a small commit takes %v, at worst %v", short(median), short(worst))
	switch {
	case median > awfulFlush:
		f.Status, f.Advice = Failure, "the disk is far too slow for a database, and every message waits for it: check its "+
			"load and its limits"
	case median > slowFlush:
		f.Status, f.Advice = Warning, "the disk is slow, and every message waits for it: use a local SSD or a volume with "+
			"more operations a second"
	case median < pretendFlush && x.Durability != "os":
		f.Status, f.Advice = Warning, "too fast for a real disk: it may report writes as flushed when they are not (a RAM "+
			"disk, or a virtual disk that caches writes)"
	}
	return f
}

// Thresholds for the difference between clocks: tokens and cursors tolerate a minute.
const (
	offClock   = time.Second
	wrongClock = 30 * time.Second
)

func clock(x store.Examination) Finding {
	off := x.ClockOffset
	f := fine(
		"clock", "the database's clock differs by %v from this machine's, plus or minus %v", short(off), short(x.ClockError),
	)
	if off < 0 {
		off = -off
	}
	if off -= x.ClockError; off > offClock {
		f.Status, f.Advice = Warning, "run NTP (chrony, systemd-timesyncd) on both machines"
		if off > wrongClock {
			f.Status = Failure
		}
	}
	return f
}

func connections(x store.Examination, s Subject) Finding {
	need := s.Nodes * s.PoolMax
	f := fine(
		"connections", "%d nodes x %d = %d of the %d that PostgreSQL allows; %d are in use", s.Nodes, s.PoolMax, need,
		x.ConnectionsMax, x.Connections,
	)
	const spare = 5 // for psql, backups, the next node of a rolling update
	switch {
	case need > x.ConnectionsMax:
		f.Status = Failure
	case need > x.ConnectionsMax-spare || x.Connections > x.ConnectionsMax-spare:
		f.Status = Warning
	default:
		return f
	}
	f.Advice = "lower pool.size and pool.overflow, or raise max_connections: nodes x (size + overflow) must fit, with a " +
		"few left for psql and updates"
	return f
}

const (
	lateReplica     = 10 * time.Second
	lateReplicaSize = 64 << 20
)

func replicas(x store.Examination) (all []Finding) {
	for _, r := range x.Replicas {
		f := fine(
			"replica", "%s: %s, %s, %s behind, %v late", r.Name, r.State, r.Sync, bytesText(uint64(max(r.LagBytes, 0))),
			short(r.Lag),
		)
		if r.State != "streaming" || r.Lag > lateReplica || r.LagBytes > lateReplicaSize {
			f.Status, f.Advice = Warning, "check the standby's log, network and disk: a fail-over to it now would lose what "+
				"it has not received"
		}
		all = append(all, f)
	}
	return all
}

// maxIdle is how long a transaction of chowk may be idle. It never waits for a client.
const maxIdle = time.Second

func sessions(x store.Examination) (all []Finding) {
	for _, s := range x.Sessions {
		who := fmt.Sprintf(
			"session %d (%s, %s from %s), %s for %v", s.PID, orUnnamed(s.Application), s.User, s.Client, s.State, short(s.For),
		)
		if s.Statement != "" {
			who += ", " + s.Statement
		}
		terminate := fmt.Sprintf("SELECT pg_terminate_backend(%d) ends it", s.PID)
		switch idle := strings.HasPrefix(s.State, "idle in transaction"); {
		case s.Blocks > 0:
			all = append(all, Finding{"blocks others", Failure, fmt.Sprintf("%s, blocks %d", who, s.Blocks), terminate})
		case len(s.BlockedBy) > 0:
			all = append(all, Finding{
				"blocked", Warning, fmt.Sprintf("%s, waits for %v", who, s.BlockedBy), "end what it waits for",
			})
		case idle && strings.HasPrefix(s.Application, "chowk") && s.For > maxIdle:
			all = append(all, Finding{
				"idle", Failure, who, "chowk never waits inside a transaction: report this, with /debug/pool. " + terminate,
			})
		case idle:
			all = append(all, Finding{"idle", Warning, who, "an open transaction keeps dead rows and locks. " + terminate})
		}
	}
	if len(all) == 0 {
		all = append(all, fine("sessions", "none blocks another one or is idle in a transaction"))
	}
	if x.Limited {
		all = append(all, Finding{
			"sessions", Unknown, "this role sees only its own sessions",
			"GRANT pg_read_all_stats TO this role to see the others",
		})
	}
	return all
}

func orUnnamed(s string) string {
	if s == "" {
		return "unnamed"
	}
	return s
}
