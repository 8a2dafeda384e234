package command

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
)

// maxFound is the maximum number of users that FindUsers returns.
const maxFound = 50

// FindUsers returns users whose name, email or id begins with query.
func (s *Service) FindUsers(ctx context.Context, c Caller, query string) ([]chat.UserRef, error) {
	if err := checkQuery(query); err != nil {
		return nil, err
	}
	users, err := s.Store.FindUsers(ctx, query, maxFound)
	if err != nil {
		return nil, err
	}
	return refs(c, users), nil
}

// Users returns those of the users that exist.
func (s *Service) Users(ctx context.Context, c Caller, ids []chat.UserID) ([]chat.UserRef, error) {
	if len(ids) > chat.MaxPresence {
		return nil, tooMany("ids", chat.MaxPresence)
	}
	if err := validUsers("ids", ids); err != nil {
		return nil, err
	}
	users, err := s.Store.Users(ctx, ids)
	if err != nil {
		return nil, err
	}
	return refs(c, users), nil
}

// refs returns what the caller may see of users: their own email, and no other's.
func refs(c Caller, users []chat.User) []chat.UserRef {
	list := make([]chat.UserRef, 0, len(users))
	for _, u := range users {
		list = append(list, *u.Ref(u.ID == c.User))
	}
	return list
}

// OnlineUsers returns the users who are online and share a channel with the caller.
func (s *Service) OnlineUsers(ctx context.Context, c Caller) ([]chat.UserID, error) {
	return s.Store.SharesChannel(ctx, c.User, s.Realtime.Online(nil))
}

// OnlineMembers returns the members of a channel who are online.
func (s *Service) OnlineMembers(ctx context.Context, c Caller, channel chat.ID) ([]chat.UserID, error) {
	members, err := s.Store.Members(ctx, channel, c.User)
	if err != nil {
		return nil, err
	}
	ids := make([]chat.UserID, len(members))
	for i, m := range members {
		ids[i] = m.UserID
	}
	return s.Realtime.Online(ids), nil
}

// IsOnline reports whether a user who shares a channel with the caller is online.
func (s *Service) IsOnline(ctx context.Context, c Caller, user chat.UserID) (bool, error) {
	if err := validUser("user_id", user); err != nil {
		return false, err
	}
	known, err := s.Store.SharesChannel(ctx, c.User, []chat.UserID{user})
	if err != nil {
		return false, err
	}
	if len(known) == 0 {
		return false, chat.Errorf(chat.NotFound, "You share no channel with this user, or there is no such user")
	}
	return len(s.Realtime.Online(known)) == 1, nil
}
