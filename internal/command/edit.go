package command

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

var editFields = fieldsOf[chat.EditRequest]()

// EditMessage changes the content of the caller's own message. It returns the message as it
// is now. The reply has no seq if the message had this content already.
func (s *Service) EditMessage(
	ctx context.Context, c Caller, in chat.EditRequest,
) (*chat.Message, chat.StatusReply, error) {
	if in.ChannelID.IsZero() || in.MessageID.IsZero() {
		return nil, chat.StatusReply{}, chat.Errorf(chat.BadRequest, chat.TextMissingFields)
	}
	if in.Content == "" {
		return nil, chat.StatusReply{}, missing(c, "content", chat.TextMissingFields)
	}
	if err := editFields.check(&in); err != nil {
		return nil, chat.StatusReply{}, err
	}
	change := s.change(state.EditMessage, c, in.ChannelID)
	change.MessageID, change.Content = in.MessageID, in.Content
	out, err := s.commit(ctx, change)
	return out.Message, done(out), err
}

func editMessage(s *Service, ctx context.Context, c Caller, in chat.EditRequest) (chat.StatusReply, error) {
	_, reply, err := s.EditMessage(ctx, c, in)
	return reply, err
}
