package command

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
)

func joinChannel(_ *Service, ctx context.Context, c Caller, in chat.ChannelRequest) (chat.JoinReply, error) {
	if in.ChannelID.IsZero() {
		return chat.JoinReply{}, chat.Errorf(chat.BadRequest, chat.TextMissingChannel)
	}
	last, err := c.Socket.Join(ctx, in.ChannelID)
	if err != nil {
		return chat.JoinReply{}, err
	}
	return chat.JoinReply{Status: "joined", ChannelID: in.ChannelID, LastSeq: last}, nil
}

func leaveChannel(_ *Service, _ context.Context, c Caller, in chat.ChannelRequest) (chat.LeaveReply, error) {
	if in.ChannelID.IsZero() {
		return chat.LeaveReply{}, chat.Errorf(chat.BadRequest, chat.TextMissingChannel)
	}
	c.Socket.Leave(in.ChannelID)
	return chat.LeaveReply{Status: "left", ChannelID: in.ChannelID}, nil
}
