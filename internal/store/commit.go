package store

import (
	"context"
	"errors"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/state"
)

// Commit commits a group of changes. One round trip loads all rows that the decisions need,
// under locks on the channels, package state decides the changes in their order, and another
// round trip stores the result. New messages need no first round trip where the database can
// decide them itself: see sends. See journal.Store.
func (s *Store) Commit(ctx context.Context, changes []state.Change) ([]state.Outcome, error) {
	outcomes, err := s.commit(ctx, changes)
	if err == nil || len(changes) == 1 || !isStatementError(err) {
		return outcomes, err
	}
	// The database rejects something in the group. By halving it again and again, only that
	// change fails, at the price of a few commits.
	half := len(changes) / 2
	outcomes = make([]state.Outcome, 0, len(changes))
	for _, part := range [][]state.Change{changes[:half], changes[half:]} {
		some, err := s.Commit(ctx, part)
		if err != nil {
			some = make([]state.Outcome, len(part))
			for i := range some {
				some[i].Err = err
			}
		}
		outcomes = append(outcomes, some...)
	}
	return outcomes, nil
}

// isStatementError reports whether the database rejected a statement, as opposed to not
// having answered.
func isStatementError(err error) bool {
	for _, other := range []error{
		database.ErrUnavailable, database.ErrOverloaded, chat.ErrOutcomeUnknown, context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, other) {
			return false
		}
	}
	return true
}

func (s *Store) commit(ctx context.Context, changes []state.Change) ([]state.Outcome, error) {
	fastPath := s.memory.recent.allNew(changes)
	u, err := s.attempt(ctx, changes, fastPath)
	if fastPath && err != nil && isStatementError(err) {
		u, err = s.attempt(ctx, changes, false) // there may be a duplicate
	}
	if err != nil {
		return nil, err
	}
	outcomes, again := u.outcomes()
	if len(again) > 0 {
		s.decideAgain(ctx, changes, again, outcomes)
	}
	s.memory.recent.note(changes, outcomes)
	return outcomes, nil
}

// attempt commits the group. A group that was rolled back, or that may have been committed
// although the connection broke, does not take the fast path the next time.
func (s *Store) attempt(ctx context.Context, changes []state.Change, fastPath bool) (u *unit, err error) {
	err = s.db.Write(ctx, commitUnit, func(c conn) error {
		u = s.newUnit(changes, fastPath)
		fastPath = false
		return u.run(c, s.dialect)
	})
	return u, err
}

// decideAgain decides by package state what the database could not decide. The rest of the
// group is committed.
func (s *Store) decideAgain(ctx context.Context, changes []state.Change, index []int, outcomes []state.Outcome) {
	u, err := s.attempt(ctx, pick(changes, index), false)
	for k, i := range index {
		if err != nil {
			outcomes[i] = state.Outcome{Err: err}
		} else {
			outcomes[i] = u.decided[k]
		}
	}
}

func pick(changes []state.Change, index []int) []state.Change {
	some := make([]state.Change, len(index))
	for k, i := range index {
		some[k] = changes[i]
	}
	return some
}

// unit is one attempt at a group: new messages, which the database decides, and the rest,
// which package state decides.
type unit struct {
	changes []state.Change
	sends   *sends          // may be nil
	rest    []int           // into changes; nil for all of them when sends is nil
	group   *state.Group    // may be nil
	decided []state.Outcome // of group
}

func (s *Store) newUnit(changes []state.Change, fastPath bool) *unit {
	u := &unit{changes: changes}
	if fastPath {
		u.sends, u.rest = splitSends(changes, s.rules, &s.memory)
		if len(u.sends.index) == 0 {
			u.sends = nil
		}
	}
	switch {
	case u.sends == nil:
		u.group = state.NewGroup(changes, s.rules)
	case len(u.rest) > 0:
		u.group = state.NewGroup(pick(changes, u.rest), s.rules)
	}
	return u
}

func (u *unit) run(c conn, d *dialect) error {
	if u.group == nil {
		return d.send(u.sends, c)
	}
	var channels []chat.ID
	if u.sends != nil {
		channels = u.sends.channels()
	}
	if err := load(c, d, u.group, channels); err != nil {
		return err
	}
	var effects *state.Effects
	u.decided, effects = u.group.Decide()
	storeEffects(c, effects)
	if u.sends != nil {
		return d.send(u.sends, c)
	}
	return nil
}

// outcomes returns the outcomes of the changes once they are committed, and the indexes of
// those that must be decided again.
func (u *unit) outcomes() (all []state.Outcome, again []int) {
	if u.sends == nil {
		return u.decided, nil
	}
	all = make([]state.Outcome, len(u.changes))
	again = u.sends.outcomes(all)
	for k, i := range u.rest {
		all[i] = u.decided[k]
	}
	return all, again
}
