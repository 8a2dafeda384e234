package metric

import "time"

// Store counts what the database does.
type Store struct {
	Wait      Histograms // by unit
	Hold      Histograms // by unit
	Statement Histograms // by name
	// Statements counts every statement, also of those that are sent together.
	Statements    Counters // by name
	Errors        Counters // by name
	Refusals      Counters // by unit and reason
	Held          Counters // by unit
	Cancellations Counters // by unit
}

func newStore(b builder) *Store {
	return &Store{
		Wait: b.histograms("chowk_db_wait_seconds",
			"Time a unit of work waited for a connection.", latency, "unit"),
		Hold: b.histograms("chowk_db_hold_seconds", "Time a unit of work held a connection.", latency, "unit"),
		Statement: b.histograms("chowk_db_statement_duration_seconds",
			"Duration of round trips: of a statement, or of several sent together under the name of their unit.",
			latency, "name"),
		Statements: b.counters("chowk_db_statements_total", "Statements sent.", "name"),
		Errors:     b.counters("chowk_db_errors_total", "Round trips that ended in an error.", "name"),
		Refusals: b.counters("chowk_db_refusals_total",
			"Units of work that got no connection.", "unit", "reason"),
		Held: b.counters("chowk_db_held_too_long_total",
			"Units of work that held their connection beyond the soft limit.", "unit"),
		Cancellations: b.counters("chowk_db_hold_cancelled_total",
			"Units of work cancelled at the hard limit.", "unit"),
	}
}

// Acquired counts a finished unit of work.
func (s *Store) Acquired(unit string, waited, held time.Duration) {
	s.Wait.WithLabelValues(unit).Observe(waited.Seconds())
	s.Hold.WithLabelValues(unit).Observe(held.Seconds())
}

// Executed counts a round trip and its statements.
func (s *Store) Executed(name string, statements []string, took time.Duration, err error) {
	s.Statement.WithLabelValues(name).Observe(took.Seconds())
	for _, n := range statements {
		s.Statements.WithLabelValues(n).Inc()
	}
	if err != nil {
		s.Errors.WithLabelValues(name).Inc()
	}
}

// Refused counts a unit of work that got no connection.
func (s *Store) Refused(unit, reason string) { s.Refusals.WithLabelValues(unit, reason).Inc() }

// HeldLong counts a unit of work that is past its soft limit.
func (s *Store) HeldLong(unit string) { s.Held.WithLabelValues(unit).Inc() }

// Cancelled counts a unit of work that was cancelled at its hard limit.
func (s *Store) Cancelled(unit string) { s.Cancellations.WithLabelValues(unit).Inc() }
