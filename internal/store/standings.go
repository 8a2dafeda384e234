package store

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
)

// Standings gives what a socket needs to know of its user's channels. Calls made
// at the same time share a statement. See hub.Store.
func (s *Store) Standings(ctx context.Context, user chat.UserID) ([]chat.Standing, error) {
	all, _, err := s.standings.get(ctx, user)
	return all, err
}

func (s *Store) loadStandings(ctx context.Context, users []chat.UserID) (all map[chat.UserID][]chat.Standing, err error) {
	err = s.db.read(ctx, "standings", func(c conn) error {
		all = make(map[chat.UserID][]chat.Standing, len(users))
		return query(c, `-- name: standings
			SELECT m.user_id, m.channel_id, m.role, m.last_read_seq, m.joined_seq, c.last_seq, c.is_archived,
				c.message_count - m.read_ordinal - (SELECT count(*) FROM messages d WHERE d.channel_id = m.channel_id AND d.ordinal > m.read_ordinal AND d.is_deleted)
			FROM members m JOIN channels c ON c.id = m.channel_id WHERE m.user_id = ANY($1)`, func(r row) error {
			var user chat.UserID
			var st chat.Standing
			err := r.scan(&user, &st.ID, (*string)(&st.Role), &st.LastReadSeq, &st.JoinedSeq, &st.LastSeq, &st.IsArchived, &st.UnreadCount)
			all[user] = append(all[user], st)
			return err
		}, users)
	})
	return all, err
}
