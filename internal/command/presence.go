package command

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
)

var watchFields = fieldsOf[chat.WatchRequest]()

func subscribePresence(s *Service, ctx context.Context, c Caller, in chat.WatchRequest) (chat.WatchReply, error) {
	if err := watchFields.check(&in); err != nil {
		return chat.WatchReply{}, err
	}
	watched, err := s.watchable(ctx, c, in)
	if err != nil {
		return chat.WatchReply{}, err
	}
	// Watch first, so that a user who connects between the two is reported twice rather
	// than not at all.
	c.Socket.Watch(watched)
	reply := chat.WatchReply{Status: "subscribed"}
	if len(watched) > 0 { // without users, Online returns everyone
		reply.Online = s.Realtime.Online(watched)
	}
	return reply, nil
}

// watchable returns those of the requested users whose presence the caller may know.
func (s *Service) watchable(ctx context.Context, c Caller, in chat.WatchRequest) ([]chat.UserID, error) {
	if in.ChannelID.IsZero() {
		if len(in.UserIDs) == 0 {
			return nil, nil
		}
		return s.Store.SharesChannel(ctx, c.User, in.UserIDs)
	}
	members, err := s.Store.Members(ctx, in.ChannelID, c.User)
	if err != nil {
		return nil, err
	}
	var users []chat.UserID
	for _, m := range members[:min(len(members), chat.MaxPresence)] {
		users = append(users, m.UserID)
	}
	return users, nil
}
