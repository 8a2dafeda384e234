package command

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

// DeleteMessage deletes a message. What remains has no content.
func (s *Service) DeleteMessage(ctx context.Context, c Caller, in chat.MessageRequest) (chat.StatusReply, error) {
	return s.changeMessage(ctx, c, state.DeleteMessage, in)
}
