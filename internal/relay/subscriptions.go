package relay

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/chowk-chat/chowk/chat"
)

// subscriptions is what this node is subscribed to: exactly what somebody here listens
// to or watches.
type subscriptions struct {
	node *Node
	wake chan struct{}

	mu      sync.Mutex      // guards what follows
	pending map[string]bool // what is to be subscribed to, or not any more

	fixed   int                           // subscriptions that every node has
	current map[string]*nats.Subscription // run's own
}

func newInterest(n *Node) *subscriptions {
	return &subscriptions{node: n, wake: make(chan struct{}, 1), pending: make(map[string]bool), current: make(map[string]*nats.Subscription)}
}

// want notes what is wanted last. It is called under locks of the hub.
func (i *subscriptions) want(subject string, wanted bool) {
	if i.node.unlinked {
		return
	}
	i.mu.Lock()
	i.pending[subject] = wanted
	i.mu.Unlock()
	select {
	case i.wake <- struct{}{}:
	default:
	}
}

// retryInterest is how long to wait when a subscription could not be made.
const retryInterest = 200 * time.Millisecond

func (i *subscriptions) run(ctx context.Context) {
	for {
		select {
		case <-i.wake:
		case <-ctx.Done():
			return
		}
		i.mu.Lock()
		pending := i.pending
		i.pending = make(map[string]bool)
		i.mu.Unlock()
		failed := i.apply(ctx, pending)
		if failed == 0 {
			continue
		}
		t := time.NewTimer(retryInterest)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
}

// apply brings the subscriptions to what is wanted, and puts back what failed.
func (i *subscriptions) apply(ctx context.Context, pending map[string]bool) (failed int) {
	n := i.node
	var made newSubscriptions
	for subject, wanted := range pending {
		sub := i.current[subject]
		var err error
		switch {
		case wanted && sub == nil:
			if sub, err = n.link.conn.ChanSubscribe(n.subject(subject), n.in); err == nil {
				i.current[subject] = sub
				if id, ok := strings.CutPrefix(subject, toChannel); ok {
					made.channels = append(made.channels, chat.MustParseID(id))
				} else if user, ok := strings.CutPrefix(subject, toUser); ok {
					made.users = append(made.users, userOf(user))
				}
			}
		case !wanted && sub != nil:
			err = sub.Unsubscribe()
			delete(i.current, subject)
		}
		if err != nil && ctx.Err() == nil {
			failed++
			n.config.Log.Debug("subscribe to what other nodes say", "subject", subject, "err", err)
			i.mu.Lock()
			if _, newer := i.pending[subject]; !newer {
				i.pending[subject] = wanted
			}
			i.mu.Unlock()
		}
	}
	n.config.Metrics.Subscriptions.Set(float64(len(i.current) + i.fixed))
	if !made.empty() && !n.peers.isAlone() {
		// The other nodes have not heard of it yet: what happens meanwhile is asked for.
		n.reconciler.scheduleCatchUp(made)
	}
	if failed > 0 {
		select {
		case i.wake <- struct{}{}:
		default:
		}
	}
	return failed
}
