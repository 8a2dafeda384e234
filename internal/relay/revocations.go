package relay

import (
	"context"
	"fmt"
	"sync"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

// revocations ends access on this node after another node has ended it. It applies what
// the relay brings at once, and what the database has in addition when it is polled.
type revocations struct {
	env
	db     revocationDatabase
	access Access

	mu       sync.Mutex                // guards what follows
	received map[model.Revocation]bool // without ids: those that nodes have sent or that are this node's

	// Used by begin and poll only.
	last int64          // the highest id that was read
	seen map[int64]bool // ids around last that were read
}

const (
	// revocationOverlap is how many revocations may be committed before one with a lower
	// id is.
	revocationOverlap      = 1000
	maxRevocationsRead     = 10_000 // at a time
	maxReceivedRevocations = 10_000 // that are remembered until they are read
)

func newRevocations(e env, db revocationDatabase, access Access) *revocations {
	return &revocations{
		env: e, db: db, access: access,
		received: make(map[model.Revocation]bool), seen: make(map[int64]bool),
	}
}

// begin reads the revocations up to now, which are not applied: no socket was opened
// before.
func (r *revocations) begin(ctx context.Context) (err error) {
	if r.last, err = r.db.LastRevocation(ctx); err != nil {
		return fmt.Errorf("read the last revocation: %w", err)
	}
	if _, err := r.readNew(ctx); err != nil {
		return fmt.Errorf("read the last revocations: %w", err)
	}
	return nil
}

// handle applies a revocation that another node sent.
func (r *revocations) handle(_ header, note revokeNote) bool {
	if !note.User.Valid() {
		return true
	}
	r.remember(note)
	if note.Enabled {
		r.access.EnabledElsewhere(note.User)
		return true
	}
	closed := closedHashes(note)
	if len(closed) > 0 || len(note.Closed) == 0 {
		r.access.RevokedElsewhere(closed, note.User)
	}
	return true
}

// closedHashes returns the token hashes in a note, except those of a wrong length.
func closedHashes(note revokeNote) (hashes []model.TokenHash) {
	for _, b := range note.Closed {
		if len(b) == len(model.TokenHash{}) {
			hashes = append(hashes, model.TokenHash(b))
		}
	}
	return hashes
}

// remember notes a revocation that this node made or another one sent.
func (r *revocations) remember(note revokeNote) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.received) >= maxReceivedRevocations {
		clear(r.received) // applying one twice does no harm
	}
	v := model.Revocation{UserID: note.User, Enabled: note.Enabled}
	if len(note.Closed) == 0 {
		r.received[v] = true
	}
	for _, hash := range closedHashes(note) {
		v.Hash = hash
		r.received[v] = true
	}
}

// poll applies the revocations that are new in the database.
func (r *revocations) poll(ctx context.Context) error {
	added, err := r.readNew(ctx)
	last := make(map[chat.UserID]int64) // the last one of each user as a whole
	for _, v := range added {
		if v.Hash == (model.TokenHash{}) {
			last[v.UserID] = v.ID
		}
	}
	for _, v := range added {
		if v.Hash != (model.TokenHash{}) || last[v.UserID] == v.ID { // earlier ones were undone
			r.apply(v)
		}
	}
	return err
}

// readNew returns the revocations that it did not return before. It reads some older
// ones again, because they may have been committed late.
func (r *revocations) readNew(ctx context.Context) (added []model.Revocation, err error) {
	for from := max(0, r.last-revocationOverlap); ; {
		page, err := r.db.Revocations(ctx, from, maxRevocationsRead)
		for _, v := range page {
			from, r.last = v.ID, max(r.last, v.ID)
			if !r.seen[v.ID] {
				r.seen[v.ID] = true
				added = append(added, v)
			}
		}
		if err != nil || len(page) < maxRevocationsRead {
			for id := range r.seen {
				if id <= r.last-revocationOverlap {
					delete(r.seen, id)
				}
			}
			return added, err
		}
	}
}

// apply applies a revocation from the database, also if a node has sent it: messages of
// nodes are not relied upon.
func (r *revocations) apply(v model.Revocation) {
	key := v
	key.ID = 0
	r.mu.Lock()
	received := r.received[key]
	delete(r.received, key)
	r.mu.Unlock()
	if !received {
		r.metrics.Reconciled.WithLabelValues("revocations").Inc()
	}
	switch {
	case v.Enabled:
		r.access.EnabledElsewhere(v.UserID)
	case v.Hash == (model.TokenHash{}):
		r.access.RevokedElsewhere(nil, v.UserID)
	default:
		r.access.RevokedElsewhere([]model.TokenHash{v.Hash}, v.UserID)
	}
}
