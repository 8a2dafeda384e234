package command

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

// PinMessage pins a message. The reply has no seq if it was pinned.
func (s *Service) PinMessage(ctx context.Context, c Caller, in chat.MessageRequest) (chat.StatusReply, error) {
	return s.changeMessage(ctx, c, state.PinMessage, in)
}

// UnpinMessage unpins a message. The reply has no seq if it was not pinned.
func (s *Service) UnpinMessage(ctx context.Context, c Caller, in chat.MessageRequest) (chat.StatusReply, error) {
	return s.changeMessage(ctx, c, state.UnpinMessage, in)
}
