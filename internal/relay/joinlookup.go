package relay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

// joinLookup is work for other nodes that may wait for the database: to look who becomes
// a member by an entry.
type joinLookup joinsNote

// errandsMost bounds the errands that wait.
const errandsMost = 4096

// send has an errand run soon, or knows that something is amiss when there are too
// many.
func (n *Node) send(e joinLookup) {
	select {
	case n.errands <- e:
	default:
		n.config.Metrics.Dropped.WithLabelValues("slow").Inc()
		n.peers.gap("more came than could be taken")
	}
}

func (n *Node) runErrands(ctx context.Context) {
	for {
		var e joinLookup
		select {
		case e = <-n.errands:
		case <-ctx.Done():
			return
		}
		ctx, cancel := context.WithTimeout(ctx, errandTimeout)
		if err := n.admit(ctx, joinsNote(e)); err != nil && !errors.Is(err, context.Canceled) {
			n.config.Log.Warn("look who became a member on another node", "channel", e.Channel, "err", err)
			n.peers.gap("the database did not say who became a member")
		}
		cancel()
	}
}

const errandTimeout = 5 * time.Second

// revoke ends access here. It waits for nobody.
func (n *Node) revoke(note revokeNote) {
	n.reconciler.told(note)
	if note.Enabled {
		n.config.Access.EnabledElsewhere(note.User)
		return
	}
	closed := make([]model.TokenHash, 0, len(note.Closed))
	for _, h := range note.Closed {
		if len(h) == len(model.TokenHash{}) {
			closed = append(closed, model.TokenHash(h))
		}
	}
	if len(closed) == 0 && len(note.Closed) > 0 {
		return
	}
	n.config.Access.RevokedElsewhere(closed, note.User)
}

// admit lets users hear a channel of which the database says that they are members,
// and those who listen to it hear of them.
func (n *Node) admit(ctx context.Context, note joinsNote) error {
	here := n.hub.Connected(note.Users)
	if len(here) > 0 {
		joined, head, err := n.config.Database.JoinSeqs(ctx, note.Channel, here)
		if err != nil {
			return fmt.Errorf("look up memberships: %w", err)
		}
		if len(joined) > 0 {
			n.hub.ApplyJoins(note.Channel, head, joined)
			return nil
		}
	}
	if !n.hub.HasListeners(note.Channel) {
		return nil
	}
	heads, err := n.config.Database.HeadsBeyond(ctx, map[chat.ID]chat.Seq{note.Channel: 0})
	if err != nil {
		return fmt.Errorf("look up a channel's head: %w", err)
	}
	n.hub.ObserveHeads(heads)
	return nil
}
