package command

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
)

// peoplePage is how many users one look-up gives at most.
const peoplePage = 50

// FindUsers lists users whose name begins with query. Without an open directory
// only those who share a channel with the caller.
func (r *Service) FindUsers(ctx context.Context, c Caller, query string) ([]chat.UserRef, error) {
	if err := text("query", query, chat.MaxName); err != nil {
		return nil, err
	}
	users, err := r.Store.FindUsers(ctx, query, peoplePage)
	if err != nil {
		return nil, err
	}
	return r.refs(ctx, c, users)
}

// Users gives those of the users that the caller may know of.
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
	return r.refs(ctx, c, users)
}

func (r *Service) refs(ctx context.Context, c Caller, users []chat.User) ([]chat.UserRef, error) {
	seen := make(map[chat.UserID]bool, len(users))
	if !r.OpenDirectory && len(users) > 0 {
		ids := make([]chat.UserID, len(users))
		for i, u := range users {
			ids[i] = u.ID
		}
		known, err := r.Store.SharesChannel(ctx, c.User, ids)
		if err != nil {
			return nil, err
		}
		for _, id := range known {
			seen[id] = true
		}
	}
	refs := make([]chat.UserRef, 0, len(users))
	for _, u := range users {
		if r.OpenDirectory || u.ID == c.User || seen[u.ID] {
			refs = append(refs, *u.Ref(u.ID == c.User))
		}
	}
	return refs, nil
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
