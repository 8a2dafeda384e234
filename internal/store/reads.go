package store

import (
	"cmp"
	"context"
	"slices"

	"github.com/chowk-chat/chowk/internal/state"
)

// CommitReads moves read cursors forward as one group. See journal.Store.
func (s *Store) CommitReads(ctx context.Context, reads []state.Read) (outcomes []state.ReadResult, err error) {
	own, asked := splitReads(reads)
	err = s.db.Write(ctx, commitReadsUnit, func(c conn) error {
		outcomes = make([]state.ReadResult, len(reads))
		return s.dialect.moveReads(c, reads, own, asked, outcomes)
	})
	s.forgetMembers(reads)
	return outcomes, err
}

// splitReads returns the indexes of the reads, in the order in which rows are locked
// everywhere. The reads of users who have just sent a message are own: they name the
// message and its ordinal. The others are asked.
func splitReads(reads []state.Read) (own, asked []int) {
	order := make([]int, len(reads))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(reads[a].ChannelID.Compare(reads[b].ChannelID), cmp.Compare(reads[a].UserID, reads[b].UserID))
	})
	for _, i := range order {
		if reads[i].Ordinal > 0 {
			own = append(own, i)
		} else {
			asked = append(asked, i)
		}
	}
	return own, asked
}
