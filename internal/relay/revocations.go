package relay

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

const (
	// revokedOverlap is how many revocations may be committed before one with a lower
	// number is.
	revokedOverlap = 1000
	revokedMost    = 10_000 // asked for at a time
)

// revocations applies those that are new; a few older ones may have been committed
// late.
func (h *reconciler) revocations(ctx context.Context) error {
	fresh, err := h.newRevocations(ctx)
	last := make(map[chat.UserID]int64) // of those about all that a user has
	for _, v := range fresh {
		if v.Hash == (model.TokenHash{}) {
			last[v.UserID] = v.ID
		}
	}
	for _, v := range fresh {
		if v.Hash != (model.TokenHash{}) || last[v.UserID] == v.ID { // what was taken back is over
			h.apply(v)
		}
	}
	return err
}

// newRevocations gives those that were not given before.
func (h *reconciler) newRevocations(ctx context.Context) (fresh []model.Revocation, err error) {
	for from := max(0, h.revoked-revokedOverlap); ; {
		all, err := h.node.config.Database.Revocations(ctx, from, revokedMost)
		for _, v := range all {
			from, h.revoked = v.ID, max(h.revoked, v.ID)
			if !h.given[v.ID] {
				h.given[v.ID] = true
				fresh = append(fresh, v)
			}
		}
		if err != nil || len(all) < revokedMost {
			for id := range h.given {
				if id <= h.revoked-revokedOverlap {
					delete(h.given, id)
				}
			}
			return fresh, err
		}
	}
}

// apply ends access, if only once more: what was told is not relied upon.
func (h *reconciler) apply(v model.Revocation) {
	key := v
	key.ID = 0
	h.mu.Lock()
	known := h.heard[key]
	delete(h.heard, key)
	h.mu.Unlock()
	if !known {
		h.node.config.Metrics.Reconciled.WithLabelValues("revocations").Inc()
	}
	switch {
	case v.Enabled:
		h.node.config.Access.EnabledElsewhere(v.UserID)
	case v.Hash == (model.TokenHash{}):
		h.node.config.Access.RevokedElsewhere(nil, v.UserID)
	default:
		h.node.config.Access.RevokedElsewhere([]model.TokenHash{v.Hash}, v.UserID)
	}
}

// heardMost bounds the revocations that are remembered until the database names
// them.
const heardMost = 10_000

// told notes what this node or another has said already of access that ended.
func (h *reconciler) told(note revokeNote) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.heard) >= heardMost {
		clear(h.heard) // applied twice it does no harm
	}
	v := model.Revocation{UserID: note.User, Enabled: note.Enabled}
	if len(note.Closed) == 0 {
		h.heard[v] = true
	}
	for _, b := range note.Closed {
		if len(b) == len(v.Hash) {
			v.Hash = model.TokenHash(b)
			h.heard[v] = true
		}
	}
}
