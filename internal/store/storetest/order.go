package storetest

import (
	"context"
	"sync"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

// acks are the messages that were acknowledged, by channel and seq.
type acks struct {
	mu    sync.Mutex // guards what follows
	by    map[chat.ID]map[chat.Seq]chat.ID
	count int
}

func (a *acks) add(b *bench, c *state.Change, out state.Outcome) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if out.Err != nil {
		b.t.Errorf("refused: %v", out.Err)
		return
	}
	if a.by[c.ChannelID] == nil {
		a.by[c.ChannelID] = make(map[chat.Seq]chat.ID)
	}
	if first, twice := a.by[c.ChannelID][out.Entry.Seq]; twice {
		b.t.Errorf("seq %d was assigned to %s and %s", out.Entry.Seq, first, c.ID)
	}
	a.by[c.ChannelID][out.Entry.Seq] = c.ID
	a.count++
}

// testOrderUnderLoad commits groups in parallel. Seqs have no gaps, and each is assigned to
// the message that was acknowledged with it.
func testOrderUnderLoad(t *testing.T, b *bench) {
	var channels []chat.ID
	for range 5 {
		channels = append(channels, b.channel("ada", "bob"))
	}
	const committers, groups, size = 8, 12, 20
	acked := &acks{by: make(map[chat.ID]map[chat.Seq]chat.ID)}
	var running sync.WaitGroup
	for w := range committers {
		var all [][]state.Change
		for range groups {
			var group []state.Change
			for i := range size {
				group = append(group, b.message(channels[(w+i)%len(channels)], "ada", "x"))
			}
			all = append(all, group)
		}
		running.Go(func() { // ends when all groups are committed
			for _, group := range all {
				outs, err := b.s.Commit(context.WithoutCancel(t.Context()), group)
				if err != nil {
					t.Errorf("commit: %v", err)
					return
				}
				for i, out := range outs {
					acked.add(b, &group[i], out)
				}
			}
		})
	}
	running.Wait()
	stored := 0
	for _, id := range channels {
		for _, e := range b.log(id)[1:] {
			if acked.by[id][e.Seq] != e.Message.ID {
				t.Fatalf("seq %d is message %s, and %s was acknowledged with it", e.Seq, e.Message.ID, acked.by[id][e.Seq])
			}
			stored++
		}
	}
	if want := committers * groups * size; stored != want || acked.count != want {
		t.Errorf("%d messages are stored and %d were acknowledged, want %d", stored, acked.count, want)
	}
}
