package hub

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/hub/internal/compact"
)

func TestASubscriptionIsSmall(t *testing.T) {
	if got := unsafe.Sizeof(subscription{}); got > 24 {
		t.Errorf("a subscription takes %d bytes, and an idle socket has one for each channel; want at most 24", got)
	}
}

// emptyStore is a store of empty channels. Every user is a member of the first ones.
type emptyStore struct {
	Store
	channels []chat.ID
	joined   int
}

func (e emptyStore) ChannelStates(context.Context, chat.UserID) (states []chat.ChannelState, err error) {
	for _, id := range e.channels[:e.joined] {
		states = append(states, chat.ChannelState{ID: id, Role: chat.RoleMember})
	}
	return states, nil
}

func (emptyStore) Heads(context.Context, []chat.ID) (map[chat.ID]chat.Seq, error) { return nil, nil }

type discard struct{}

func (discard) Write([]byte) bool { return true }
func (discard) Backlogged() bool  { return false }

// TestSubscriptionsAndListenersAgree opens sockets, joins and leaves channels, and closes
// sockets, all at the same time, some of them with more channels than fit into a block.
// A channel's list and the subscriptions' indexes agree at all times, and nothing is left
// in the end.
func TestSubscriptionsAndListenersAgree(t *testing.T) {
	ids := make([]chat.ID, compact.MaxBlock+20)
	for i := range ids {
		ids[i] = chat.NewID()
	}
	for _, joined := range []int{0, 3, compact.MaxBlock} {
		h := Start(Config{Store: emptyStore{channels: ids, joined: joined}})
		var workers sync.WaitGroup
		for worker := range 8 {
			workers.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(worker), 1))
				user := chat.UserID(rune('a' + worker%4)) // two workers share a user
				for range 30 {
					joinAndLeave(t, h, user, ids, rng)
				}
			})
		}
		workers.Wait()
		for _, id := range ids {
			h.withChannel(id, func(ch *channel) {
				if got := ch.listeners.Len(); got != 0 {
					t.Errorf("%d listeners are left, want 0", got)
				}
			})
		}
		h.Close()
	}
}

// joinAndLeave joins and leaves channels at random while a socket closes.
func joinAndLeave(t *testing.T, h *Hub, user chat.UserID, ids []chat.ID, rng *rand.Rand) {
	s, _, err := h.Attach(t.Context(), discard{}, user, 0, false)
	if err != nil {
		t.Error(err)
		return
	}
	s.Open()
	var closing sync.WaitGroup
	closing.Go(s.Close)
	for range 40 {
		ch := h.getOrCreate(ids[rng.IntN(len(ids))])
		ch.mu.Lock()
		if !ch.gone {
			h.memberJoined(ch, user, 1)
			if rng.IntN(3) == 0 {
				removeAll(ch, h.socketsOf(user))
			}
			checkIndexes(t, ch)
		}
		ch.mu.Unlock()
	}
	closing.Wait()
}

// removeAll ends the sockets' subscriptions to the channel. Called with mu held.
func removeAll(ch *channel, sockets []*Socket) {
	for _, s := range sockets {
		if sub := s.subscriptionTo(ch); sub != nil {
			ch.remove(sub)
			s.dropSubscription(sub)
		}
	}
}

// checkIndexes is called with the channel's mu held.
func checkIndexes(t *testing.T, ch *channel) {
	for i := range ch.listeners.Len() {
		l := ch.listener(i)
		if l.subscription == nil || l.channel != ch || l.Index() != i {
			t.Errorf("the listener at index %d of %d is %+v", i, ch.listeners.Len(), l.subscription)
			return
		}
	}
}

// TestAUserReleasedWhileArriving: another socket of the user opened and closed between
// the registration of the user and their first socket. The memory is used up then, and
// the user is registered again in other memory.
func TestAUserReleasedWhileArriving(t *testing.T) {
	h := Start(Config{Store: emptyStore{}})
	defer h.Close()
	var memory user
	h.withUser("ada", &memory, func(u *user) {
		if u != &memory {
			t.Error("unused memory is not used")
		}
	})
	h.release(&memory)
	arrived := make(chan *user, 1)
	go h.withUser("ada", &memory, func(u *user) { arrived <- u }) // ends at once, or the test fails
	select {
	case u := <-arrived:
		if u == &memory || h.lookupUser("ada") != u {
			t.Error("the user is registered in memory that was released")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("withUser does not return")
	}
}
