package metric

import "time"

// Acquired counts a unit of work that is done.
func (s *Store) Acquired(unit string, waited, held time.Duration) {
	s.Wait.WithLabelValues(unit).Observe(waited.Seconds())
	s.Hold.WithLabelValues(unit).Observe(held.Seconds())
}

// Executed counts a round trip of statements.
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
func (s *Store) Refused(unit, why string) { s.Refusals.WithLabelValues(unit, why).Inc() }

// HeldLong counts a unit of work that is past its soft limit.
func (s *Store) HeldLong(unit string) { s.Held.WithLabelValues(unit).Inc() }

// Cancelled counts a unit of work that was cut off at its hard limit.
func (s *Store) Cancelled(unit string) { s.Cancellations.WithLabelValues(unit).Inc() }
