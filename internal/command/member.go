package command

import (
	"context"
	"slices"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

// AddMembers makes users members, each by a change of its own, and returns how
// many were not members before. Owners and admins may; anyone may join a public
// channel himself.
func (r *Service) AddMembers(ctx context.Context, c Caller, in chat.AddMembersRequest) (added int, err error) {
	if in.Role == "" {
		in.Role = chat.RoleMember
	}
	users := slices.Clone(in.UserIDs)
	slices.Sort(users)
	users = slices.Compact(users)
	switch {
	case len(users) == 0:
		return 0, chat.Invalid("user_ids", "user_ids must name at least one user")
	case len(users) > chat.MaxAddMembers:
		return 0, chat.Invalid("user_ids", "user_ids holds too many: at most "+itoa(chat.MaxAddMembers))
	case !in.Role.Valid():
		return 0, chat.Invalid("role", "role must be one of owner, admin, member, guest")
	}
	if err := validUsers("user_ids", users); err != nil {
		return 0, err
	}
	for _, u := range users {
		change := r.change(state.AddMember, c, in.ChannelID)
		change.Subject, change.Role = u, in.Role
		out, err := r.commit(ctx, change)
		if err != nil {
			return added, err
		}
		if !out.Duplicate {
			added++
		}
	}
	return added, nil
}

// RemoveMember ends a membership: one's own, or another's as owner or admin.
func (r *Service) RemoveMember(ctx context.Context, c Caller, channel chat.ID, user chat.UserID) error {
	if !user.Valid() {
		return chat.Invalid("user_id", "user_id is not a user id")
	}
	change := r.change(state.RemoveMember, c, channel)
	change.Subject = user
	_, err := r.commit(ctx, change)
	return err
}

// UpdateMember gives a member another role.
func (r *Service) UpdateMember(ctx context.Context, c Caller, channel chat.ID, user chat.UserID, role chat.Role) error {
	if !user.Valid() {
		return chat.Invalid("user_id", "user_id is not a user id")
	}
	if !role.Valid() {
		return chat.Invalid("role", "role must be one of owner, admin, member, guest")
	}
	change := r.change(state.UpdateMember, c, channel)
	change.Subject, change.Role = user, role
	_, err := r.commit(ctx, change)
	return err
}

// Members lists who is in a channel.
func (r *Service) Members(ctx context.Context, c Caller, channel chat.ID) ([]chat.Member, error) {
	return r.Store.Members(ctx, channel, c.User)
}

// SetMembership changes the caller's own settings in a channel.
func (r *Service) SetMembership(ctx context.Context, c Caller, channel chat.ID, p chat.MembershipPatch) error {
	if p.NotificationLevel != nil && !p.NotificationLevel.Valid() {
		return chat.Invalid("notification_level", "notification_level must be one of all, mentions, none")
	}
	return r.Store.SetMembership(ctx, channel, c.User, p)
}
