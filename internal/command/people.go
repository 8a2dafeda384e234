package command

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
)

// peoplePage is how many users one look-up gives at most.
const peoplePage = 50

// FindUsers returns users whose name, email or id begins with query.
func (r *Service) FindUsers(ctx context.Context, c Caller, query string) ([]chat.UserRef, error) {
	if err := text("query", query, chat.MaxName); err != nil {
		return nil, err
	}
	users, err := r.Store.FindUsers(ctx, query, peoplePage)
	if err != nil {
		return nil, err
	}
	return refs(c, users), nil
}

// Users returns those of the users that exist.
func (r *Service) Users(ctx context.Context, c Caller, ids []chat.UserID) ([]chat.UserRef, error) {
	if len(ids) > chat.MaxPresence {
		return nil, chat.Invalid("ids", "ids holds too many: at most "+itoa(chat.MaxPresence))
	}
	if err := validUsers("ids", ids); err != nil {
		return nil, err
	}
	users, err := r.Store.Users(ctx, ids)
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

// OnlineUsers gives those who are online and share a channel with the caller.
func (r *Service) OnlineUsers(ctx context.Context, c Caller) ([]chat.UserID, error) {
	return r.Store.SharesChannel(ctx, c.User, r.Realtime.Online(nil))
}

// OnlineMembers gives a channel's members who are online.
func (r *Service) OnlineMembers(ctx context.Context, c Caller, channel chat.ID) ([]chat.UserID, error) {
	members, err := r.Store.Members(ctx, channel, c.User)
	if err != nil {
		return nil, err
	}
	ids := make([]chat.UserID, len(members))
	for i, m := range members {
		ids[i] = m.UserID
	}
	return r.Realtime.Online(ids), nil
}

// IsOnline tells of one user who shares a channel with the caller.
func (r *Service) IsOnline(ctx context.Context, c Caller, user chat.UserID) (bool, error) {
	if !user.Valid() {
		return false, chat.Invalid("user_id", "user_id is not a user id")
	}
	known, err := r.Store.SharesChannel(ctx, c.User, []chat.UserID{user})
	if err != nil {
		return false, err
	}
	if len(known) == 0 {
		return false, chat.Errorf(chat.NotFound, "No such user among those who share a channel with you")
	}
	return len(r.Realtime.Online(known)) == 1, nil
}
