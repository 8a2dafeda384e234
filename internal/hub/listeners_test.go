package hub

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/chowk-chat/chowk/chat"
)

// nowhere is a store in which everybody is a member of the first channels.
type nowhere struct {
	Store
	channels []chat.ID
	opensIn  int
}

func (n nowhere) ChannelStates(context.Context, chat.UserID) (s []chat.ChannelState, err error) {
	for _, id := range n.channels[:n.opensIn] {
		s = append(s, chat.ChannelState{ID: id, Role: chat.RoleMember})
	}
	return s, nil
}

func (nowhere) Heads(context.Context, []chat.ID) (map[chat.ID]chat.Seq, error) { return nil, nil }

type bin struct{}

func (bin) Write([]byte) bool { return true }
func (bin) Backlogged() bool  { return false }

// TestEveryCursorSitsInItsPlace lets sockets come, be joined to channels and leave
// them, and close, all at the same time, some with more channels than they have room
// for when they open. Whatever the order, a channel's list and the cursors' own
// notes agree, and nothing is left in the end.
func TestEveryCursorSitsInItsPlace(t *testing.T) {
	ids := make([]chat.ID, maxBlock+20)
	for i := range ids {
		ids[i] = chat.NewID()
	}
	for _, opensIn := range []int{0, 3, maxBlock} {
		h := Start(Config{Store: nowhere{channels: ids, opensIn: opensIn}})
		var wg sync.WaitGroup
		for worker := range 8 {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(worker), 1))
				user := chat.UserID(rune('a' + worker%4)) // two have a user in common
				for range 30 {
					s, _, err := h.Attach(t.Context(), bin{}, user, 0, false)
					if err != nil {
						t.Error(err)
						return
					}
					s.Open()
					var ends sync.WaitGroup
					ends.Go(func() { s.Close() })
					for range 40 {
						ch := h.getOrCreate(ids[rng.IntN(len(ids))])
						ch.mu.Lock()
						if !ch.gone {
							h.joined(ch, user, 1)
							if rng.IntN(3) == 0 {
								leave(ch, h.socketsOf(user))
							}
							inPlace(t, ch)
						}
						ch.mu.Unlock()
					}
					ends.Wait()
				}
			})
		}
		wg.Wait()
		for _, id := range ids {
			ch := h.getOrCreate(id)
			ch.mu.Lock()
			if n := ch.listeners.len(); n > 0 {
				t.Errorf("%d listeners are left in a channel that nobody listens to", n)
			}
			ch.mu.Unlock()
		}
		h.Close()
	}
}

// leave takes out those of the sockets that are in the channel. Called with mu held.
func leave(ch *channel, sockets []*Socket) {
	for _, s := range sockets {
		if p := s.subscription(ch); p != nil {
			ch.remove(p)
			s.dropPair(p)
		}
	}
}

// inPlace is called with the channel's mu held.
func inPlace(t *testing.T, ch *channel) {
	for i := range ch.listeners.len() {
		p := ch.listener(i)
		if p.subscription == nil || p.ch != ch || p.place() != i {
			t.Errorf("the cursor at place %d of %d is another's", i, ch.listeners.len())
			return
		}
	}
}
