package command

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
)

// typing notifies the other members. It reads membership from memory only: a keystroke
// must not cost a query.
func typing(s *Service, _ context.Context, c Caller, in chat.TypingRequest) (chat.TypingReply, error) {
	if in.ChannelID.IsZero() {
		return chat.TypingReply{}, chat.Errorf(chat.BadRequest, chat.TextMissingChannel)
	}
	if member, known := s.Realtime.IsMember(in.ChannelID, c.User); !known || !member {
		return chat.TypingReply{}, chat.ErrAccessDenied
	}
	s.Realtime.Typing(in.ChannelID, c.User, in.IsTyping == nil || *in.IsTyping, s.at())
	return chat.TypingReply{Status: "sent"}, nil
}
