package store

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// ledger knows who holds the connections, and how many wait.
type ledger struct {
	mu      sync.Mutex // guards what follows
	next    uint64
	held    map[uint64]holding
	waiting int
}

type holding struct {
	unit  string
	since time.Time
}

func newLedger() *ledger { return &ledger{held: make(map[uint64]holding)} }

// wait counts a unit in that waits; false when there are too many already.
func (l *ledger) wait() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting >= maxWaiting {
		return false
	}
	l.waiting++
	return true
}

func (l *ledger) waited() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting--
}

func (l *ledger) borrow(unit string, at time.Time) (id uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	l.held[l.next] = holding{unit, at}
	return l.next
}

func (l *ledger) giveBack(id uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, id)
}

// Holder is a kind of unit of work that has connections.
type Holder struct {
	Unit    string
	Count   int
	Longest time.Duration
}

// PoolStats says how the connections are used at one moment.
type PoolStats struct {
	InUse, Idle, Most, Waiting int
	Holders                    []Holder
}

// PoolStats tells who has the connections. SQLite has no pool to speak of.
func (s *Store) PoolStats() PoolStats {
	db, ok := s.db.(*postgresDB)
	if !ok {
		return PoolStats{}
	}
	stat := db.pool.Stat()
	holders, waiting := db.ledger.holders()
	return PoolStats{
		InUse: int(stat.AcquiredConns()), Idle: int(stat.IdleConns()), Most: int(stat.MaxConns()),
		Waiting: waiting, Holders: holders,
	}
}

func (l *ledger) holders() (all []Holder, waiting int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for _, h := range l.held {
		i := slices.IndexFunc(all, func(o Holder) bool { return o.Unit == h.unit })
		if i < 0 {
			all, i = append(all, Holder{Unit: h.unit}), len(all)
		}
		all[i].Count++
		all[i].Longest = max(all[i].Longest, now.Sub(h.since))
	}
	slices.SortFunc(all, func(a, b Holder) int { return int(b.Longest - a.Longest) })
	return all, l.waiting
}

func (l *ledger) String() string {
	holders, waiting := l.holders()
	var b strings.Builder
	fmt.Fprintf(&b, "%d waiting; held by", waiting)
	for _, h := range holders {
		fmt.Fprintf(&b, " %d x %s (longest %v)", h.Count, h.Unit, h.Longest.Round(time.Millisecond))
	}
	return b.String()
}

// statementName is the first words of a statement: enough to find it by.
func statementName(sql string) string {
	words := strings.Fields(sql)
	keep := 0
	for i, w := range words {
		switch strings.ToUpper(w) {
		case "INSERT", "DELETE", "PRAGMA", "BEGIN", "COMMIT", "ROLLBACK":
			keep = min(i+3, len(words))
		case "FROM", "UPDATE", "INTO":
			keep = min(i+2, len(words))
		}
		if keep > 0 {
			return strings.ToLower(words[0] + " " + strings.Trim(words[keep-1], "(,;"))
		}
	}
	return strings.ToLower(words[0])
}
