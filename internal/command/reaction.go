package command

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

// AddReaction adds the caller's reaction to a message. The reply has no seq if it was
// there already.
func (s *Service) AddReaction(ctx context.Context, c Caller, in chat.ReactionRequest) (chat.StatusReply, error) {
	return s.react(ctx, c, state.AddReaction, in)
}

// RemoveReaction removes the caller's reaction from a message. The reply has no seq if
// there was none.
func (s *Service) RemoveReaction(ctx context.Context, c Caller, in chat.ReactionRequest) (chat.StatusReply, error) {
	return s.react(ctx, c, state.RemoveReaction, in)
}

var reactionFields = fieldsOf[chat.ReactionRequest]()

func (s *Service) react(
	ctx context.Context, c Caller, kind state.ChangeKind, in chat.ReactionRequest,
) (chat.StatusReply, error) {
	if in.ChannelID.IsZero() || in.MessageID.IsZero() {
		return chat.StatusReply{}, chat.Errorf(chat.BadRequest, chat.TextMissingFields)
	}
	if in.Emoji == "" {
		return chat.StatusReply{}, missing(c, "emoji", chat.TextMissingFields)
	}
	if err := reactionFields.check(&in); err != nil {
		return chat.StatusReply{}, err
	}
	change := s.change(kind, c, in.ChannelID)
	change.MessageID, change.Emoji = in.MessageID, in.Emoji
	out, err := s.commit(ctx, change)
	return done(out), err
}
