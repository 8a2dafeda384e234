package command

import (
	"context"
	"strconv"

	"github.com/chowk-chat/chowk/chat"
)

// What only a socket can ask for: to hear a channel or not, from where, and of
// whom.

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

func resume(_ *Service, ctx context.Context, c Caller, in chat.ResumeRequest) (chat.ResumeReply, error) {
	if len(in.Cursors) > chat.MaxCursors {
		return chat.ResumeReply{}, chat.Invalid("cursors", "cursors holds too many channels: at most "+itoa(chat.MaxCursors))
	}
	for id, seq := range in.Cursors {
		if seq < 0 {
			return chat.ResumeReply{}, chat.Invalid("cursors", "the cursor of channel "+id.String()+" is negative: "+strconv.FormatInt(seq, 10))
		}
	}
	resumed, err := c.Socket.Resume(ctx, in.Epoch, in.Cursors)
	if err != nil {
		return chat.ResumeReply{}, err
	}
	return chat.ResumeReply{Status: "resumed", Channels: resumed}, nil
}

func subscribePresence(r *Service, ctx context.Context, c Caller, in chat.WatchRequest) (chat.WatchReply, error) {
	if len(in.UserIDs) > chat.MaxPresence {
		return chat.WatchReply{}, chat.Invalid("user_ids", "user_ids holds too many: at most "+itoa(chat.MaxPresence))
	}
	if err := validUsers("user_ids", in.UserIDs); err != nil {
		return chat.WatchReply{}, err
	}
	watched := in.UserIDs
	if !in.ChannelID.IsZero() {
		members, err := r.Store.Members(ctx, in.ChannelID, c.User)
		if err != nil {
			return chat.WatchReply{}, err
		}
		watched = nil
		for _, m := range members[:min(len(members), chat.MaxPresence)] {
			watched = append(watched, m.UserID)
		}
	} else if len(watched) > 0 {
		var err error
		if watched, err = r.Store.SharesChannel(ctx, c.User, watched); err != nil {
			return chat.WatchReply{}, err
		}
	}
	// Watch before looking, so that whoever comes between the two is told twice
	// rather than not at all.
	c.Socket.Watch(watched)
	return chat.WatchReply{Status: "subscribed", Online: r.Realtime.Online(watched)}, nil
}
