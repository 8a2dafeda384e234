package store

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
)

const selectChannelStates = `-- name: channel_states
	SELECT m.user_id, m.channel_id, m.role, m.last_read_seq, m.joined_seq, c.last_seq, c.is_archived, ` + unreadCount + `
	FROM members m JOIN channels c ON c.id = m.channel_id WHERE m.user_id = ANY($1)`

// ChannelStates returns what a socket needs to know about its user's channels. Calls made
// at the same time share a statement. See hub.Store.
func (s *Store) ChannelStates(ctx context.Context, user chat.UserID) ([]chat.ChannelState, error) {
	all, _, err := s.channelStates.get(ctx, user)
	return all, err
}

func (s *Store) loadChannelStates(
	ctx context.Context, users []chat.UserID,
) (all map[chat.UserID][]chat.ChannelState, err error) {
	err = s.db.Read(ctx, "channel_states", func(c conn) error {
		all = make(map[chat.UserID][]chat.ChannelState, len(users))
		return database.Query(c, selectChannelStates, func(r row) error {
			var user chat.UserID
			var st chat.ChannelState
			err := r.Scan(&user, &st.ID, (*string)(&st.Role), &st.LastReadSeq, &st.JoinedSeq, &st.LastSeq,
				&st.IsArchived, &st.UnreadCount)
			all[user] = append(all[user], st)
			return err
		}, users)
	})
	return all, err
}
