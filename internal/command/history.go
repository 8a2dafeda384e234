package command

import (
	"context"
	"fmt"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

// DefaultHistory is the number of messages in a page if the request names none.
const DefaultHistory = 50

// History returns a page of messages, newest first.
func (s *Service) History(ctx context.Context, c Caller, q model.HistoryQuery) ([]chat.Message, error) {
	if q.Limit == 0 {
		q.Limit = DefaultHistory
	}
	if q.Limit < 1 || q.Limit > chat.MaxHistory {
		return nil, chat.Invalid("limit", fmt.Sprintf("limit must be 1 to %d", chat.MaxHistory))
	}
	if q.AfterSeq < 0 {
		return nil, chat.Invalid("after_seq", "after_seq must not be negative")
	}
	q.Viewer = c.User
	messages, err := s.Store.History(ctx, q)
	for i := range messages {
		hideClientID(&messages[i], c.User)
	}
	return messages, err
}

// Message returns one message.
func (s *Service) Message(ctx context.Context, c Caller, channel, id chat.ID) (*chat.Message, error) {
	m, err := s.Store.Message(ctx, channel, id, c.User)
	if err != nil {
		return nil, err
	}
	hideClientID(m, c.User)
	return m, nil
}

// hideClientID removes the client_id of a message unless the viewer sent it.
func hideClientID(m *chat.Message, viewer chat.UserID) {
	if m.UserID != viewer {
		m.ClientID = ""
	}
}
