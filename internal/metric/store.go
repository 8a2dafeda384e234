package metric

import "time"

// Acquired counts a unit of work that is done.
func (s *Store) Acquired(unit string, waited, held time.Duration) {
	s.Wait.WithLabelValues(unit).Observe(waited.Seconds())
	s.Hold.WithLabelValues(unit).Observe(held.Seconds())
}

// Executed counts a statement.
func (s *Store) Executed(name string, took time.Duration, err error) {
	s.Statement.WithLabelValues(name).Observe(took.Seconds())
	if err != nil {
		s.Errors.WithLabelValues(name).Inc()
	}
}

// Refused counts a unit of work that got no connection.
func (s *Store) Refused(unit, why string) { s.Refusals.WithLabelValues(unit, why).Inc() }
