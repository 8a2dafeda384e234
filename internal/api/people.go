package api

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
)

type (
	findUsers struct {
		Query string   `query:"query" maxLength:"100" doc:"The start of the name"`
		IDs   []string `query:"ids" doc:"Return these users instead, separated by commas"`
	}
	// OfUser is the user in a path.
	OfUser struct {
		ID chat.UserID `path:"id" doc:"The user"`
	}
)

// OnlineUsers lists users who are online.
type OnlineUsers struct {
	OnlineUsers []chat.UserID `json:"online_users"`
	Count       int           `json:"count"`
}

// OnlineMembers lists the members of a channel who are online.
type OnlineMembers struct {
	ChannelID     chat.ID       `json:"channel_id"`
	OnlineMembers []chat.UserID `json:"online_members"`
	Count         int           `json:"count"`
}

// UserStatus reports whether a user is online.
type UserStatus struct {
	UserID   chat.UserID `json:"user_id"`
	IsOnline bool        `json:"is_online"`
}

// peopleCalls registers the calls for users and presence.
func (d *handler) peopleCalls() {
	r := d.Rules
	add(d, call{route: "GET /users", id: "findUsers", tag: tagPeople, summary: "Find users by name, or get them by id"},
		func(ctx context.Context, a caller, in *findUsers) ([]chat.UserRef, error) {
			if len(in.IDs) == 0 {
				return r.FindUsers(ctx, a.Caller, in.Query)
			}
			ids := make([]chat.UserID, len(in.IDs))
			for i, id := range in.IDs {
				ids[i] = chat.UserID(id)
			}
			return r.Users(ctx, a.Caller, ids)
		})
	add(d, call{
		route: "GET /online-users", id: "onlineUsers", tag: tagPeople,
		summary: "List the online users who share a channel with you",
	},
		func(ctx context.Context, a caller, _ *nothing) (OnlineUsers, error) {
			users, err := r.OnlineUsers(ctx, a.Caller)
			return OnlineUsers{users, len(users)}, err
		})
	add(d, call{
		route: "GET /channel/{id}/online-members", id: "onlineMembers", tag: tagPeople,
		summary: "List the online members of a channel",
	},
		func(ctx context.Context, a caller, in *InChannel) (OnlineMembers, error) {
			users, err := r.OnlineMembers(ctx, a.Caller, in.ID)
			return OnlineMembers{in.ID, users, len(users)}, err
		})
	add(d, call{
		route: "GET /user/{id}/status", id: "userStatus", tag: tagPeople,
		summary: "Get whether a user who shares a channel with you is online",
	},
		func(ctx context.Context, a caller, in *OfUser) (UserStatus, error) {
			online, err := r.IsOnline(ctx, a.Caller, in.ID)
			return UserStatus{in.ID, online}, err
		})
}
