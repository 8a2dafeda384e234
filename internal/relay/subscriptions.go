package relay

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/async"
)

// subscriptions are the subjects that this node is subscribed to in addition to those
// that every node has: one for each channel with listeners here, and for each user who
// is watched here.
type subscriptions struct {
	env
	subscribe subscribeFunc
	onNew     func(newSubscriptions)
	fixed     int // subscriptions that every node has
	wake      async.Signal

	mu      sync.Mutex      // guards what follows
	pending map[string]bool // subjects to subscribe to, or to unsubscribe from

	current map[string]subscription // used by run only
}

// subscription is a subscription at NATS.
type subscription interface{ Unsubscribe() error }

// subscribeFunc subscribes to one of the cluster's subjects.
type subscribeFunc func(subject string) (subscription, error)

// newSubscriptions are channels and users that this node has just subscribed to.
type newSubscriptions struct {
	channels []chat.ID
	users    []chat.UserID
}

func (n *newSubscriptions) empty() bool { return len(n.channels)+len(n.users) == 0 }

// add adds the channel or the user of a subject.
func (n *newSubscriptions) add(subject string) {
	if id, ok := strings.CutPrefix(subject, toChannel); ok {
		n.channels = append(n.channels, chat.MustParseID(id))
	} else if token, ok := strings.CutPrefix(subject, toUser); ok {
		n.users = append(n.users, userOf(token))
	}
}

func newSubscriptionSet(e env, fixed int, subscribe subscribeFunc, onNew func(newSubscriptions)) *subscriptions {
	return &subscriptions{
		env: e, fixed: fixed, subscribe: subscribe, onNew: onNew, wake: async.NewSignal(),
		pending: make(map[string]bool), current: make(map[string]subscription),
	}
}

// want notes whether a subject is wanted; the last call counts. It is called with locks
// of the hub held.
func (s *subscriptions) want(subject string, wanted bool) {
	s.mu.Lock()
	s.pending[subject] = wanted
	s.mu.Unlock()
	s.wake.Notify()
}

// subscribeRetryDelay is the time before a failed subscription is attempted again.
const subscribeRetryDelay = 200 * time.Millisecond

// run subscribes and unsubscribes until ctx ends.
func (s *subscriptions) run(ctx context.Context) {
	for s.wake.Wait(ctx) {
		s.mu.Lock()
		pending := s.pending
		s.pending = make(map[string]bool)
		s.mu.Unlock()
		if s.apply(ctx, pending) {
			continue
		}
		s.wake.Notify()
		if !async.Sleep(ctx, subscribeRetryDelay) {
			return
		}
	}
}

// apply subscribes to what is wanted and unsubscribes from the rest. What failed it puts
// back; ok is false then.
func (s *subscriptions) apply(ctx context.Context, pending map[string]bool) (ok bool) {
	var added newSubscriptions
	ok = true
	for subject, wanted := range pending {
		isNew, err := s.set(subject, wanted)
		if isNew {
			added.add(subject)
		}
		if err != nil && ctx.Err() == nil {
			ok = false
			s.log.Debug("subscribe to a subject of other nodes", "subject", subject, "wanted", wanted, "err", err)
			s.putBack(subject, wanted)
		}
	}
	s.metrics.Subscriptions.Set(float64(len(s.current) + s.fixed))
	if !added.empty() {
		s.onNew(added)
	}
	return ok
}

// set subscribes to a subject or unsubscribes from it.
func (s *subscriptions) set(subject string, wanted bool) (isNew bool, err error) {
	current := s.current[subject]
	switch {
	case wanted && current == nil:
		if current, err = s.subscribe(subject); err != nil {
			return false, err
		}
		s.current[subject] = current
		return true, nil
	case !wanted && current != nil:
		delete(s.current, subject)
		return false, current.Unsubscribe()
	}
	return false, nil
}

// putBack has a subject set again, unless it was changed meanwhile.
func (s *subscriptions) putBack(subject string, wanted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, newer := s.pending[subject]; !newer {
		s.pending[subject] = wanted
	}
}
