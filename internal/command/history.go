package command

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

// DefaultHistory is the page size when none is asked for.
const DefaultHistory = 50

// History gives a page of messages, newest first.
func (r *Service) History(ctx context.Context, c Caller, q model.HistoryQuery) ([]chat.Message, error) {
	if q.Limit == 0 {
		q.Limit = DefaultHistory
	}
	if q.Limit < 1 || q.Limit > chat.MaxHistory {
		return nil, chat.Invalid("limit", "limit must be 1 to "+itoa(chat.MaxHistory))
	}
	if q.AfterSeq < 0 {
		return nil, chat.Invalid("after_seq", "after_seq must not be negative")
	}
	q.Viewer = c.User
	messages, err := r.Store.History(ctx, q)
	for i := range messages {
		hideClientID(&messages[i], c.User)
	}
	return messages, err
}

// Message gives one message.
func (r *Service) Message(ctx context.Context, c Caller, channel, id chat.ID) (*chat.Message, error) {
	m, err := r.Store.Message(ctx, channel, id, c.User)
	if err != nil {
		return nil, err
	}
	hideClientID(m, c.User)
	return m, nil
}

// hideClientID keeps a sender's key to the sender.
func hideClientID(m *chat.Message, viewer chat.UserID) {
	if m.UserID != viewer {
		m.ClientID = ""
	}
}
