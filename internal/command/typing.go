package command

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
)

// typing tells the others. It asks memory alone who is a member: a keystroke must
// not cost a query.
func typing(r *Service, _ context.Context, c Caller, in chat.TypingRequest) (chat.TypingReply, error) {
	if in.ChannelID.IsZero() {
		return chat.TypingReply{}, chat.Errorf(chat.BadRequest, chat.TextMissingChannel)
	}
	if member, known := r.Realtime.IsMember(in.ChannelID, c.User); !known || !member {
		return chat.TypingReply{}, chat.ErrAccessDenied
	}
	r.Realtime.Typing(in.ChannelID, c.User, in.IsTyping == nil || *in.IsTyping, r.at())
	return chat.TypingReply{Status: "sent"}, nil
}
